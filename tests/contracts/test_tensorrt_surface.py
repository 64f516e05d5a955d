"""The frozen surfaces of TensorRT's bindings say what the fact base says, and the fake holds to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from tensorrt_api import rebuild
from tensorrt_api.classes import unknown_types
from tensorrt_api.fake import SURFACES, VERSIONS, calls, fake_tensorrt, surface_of
from tensorrt_api.manners import outcomes

from dlarewrite.testing import parse

NET = """<ir_version: 9, opset_import: ["": 17]> g (float[1,8,8,8] x) => (float[1,8,8,8] y) <float[8,8,3,3] w> {
    a = Conv<pads=[1,1,1,1]>(x, w) b = Relu(a) y = Conv<pads=[1,1,1,1]>(b, w)
}"""
TEN = ("10.3.0", "10.7.0.post1", "10.13.3.9", "10.16.1.11")
TO_TEN = ("8.6.1", *TEN)
NEW = ("10.16.1.11", "11.4.0.106")
FROM_TEN = (*TEN, "11.4.0.106")

# (where, name, the versions that have it), from the table of what changed between releases.
FACTS = [
    ("enums.BuilderFlag", "FP16", TO_TEN),
    ("enums.BuilderFlag", "INT8", TO_TEN),
    ("enums.BuilderFlag", "FP8", TO_TEN),
    ("enums.BuilderFlag", "BF16", TEN),
    ("enums.BuilderFlag", "INT4", TEN),
    ("enums.BuilderFlag", "OBEY_PRECISION_CONSTRAINTS", TO_TEN),
    ("enums.BuilderFlag", "PREFER_PRECISION_CONSTRAINTS", TO_TEN),
    ("enums.BuilderFlag", "REJECT_EMPTY_ALGORITHMS", TO_TEN),
    ("enums.BuilderFlag", "GPU_FALLBACK", VERSIONS),
    ("enums.BuilderFlag", "SPARSE_WEIGHTS", VERSIONS),
    ("enums.BuilderFlag", "DIRECT_IO", VERSIONS),
    ("enums.BuilderFlag", "ERROR_ON_TIMING_CACHE_MISS", FROM_TEN),
    ("enums.NetworkDefinitionCreationFlag", "EXPLICIT_BATCH", TO_TEN),
    ("enums.NetworkDefinitionCreationFlag", "STRONGLY_TYPED", FROM_TEN),
    ("enums.OnnxParserFlag", "NATIVE_INSTANCENORM", VERSIONS),
    ("enums.OnnxParserFlag", "ENABLE_UINT8_AND_ASYMMETRIC_QUANTIZATION_DLA", ("10.13.3.9", *NEW)),
    ("enums.OnnxParserFlag", "REPORT_CAPABILITY_DLA", NEW),
    ("enums.OnnxParserFlag", "ADJUST_FOR_DLA", NEW),
    ("enums.TacticSource", "CUDNN", TO_TEN),
    ("enums.TacticSource", "JIT_CONVOLUTIONS", VERSIONS),
    ("enums.MemoryPoolType", "DLA_MANAGED_SRAM", VERSIONS),
    ("enums.MemoryPoolType", "TACTIC_SHARED_MEMORY", FROM_TEN),
    ("classes", "IFullyConnectedLayer", ("8.6.1",)),
    ("classes", "IInt8EntropyCalibrator2", TO_TEN),
    ("classes", "IProgressMonitor", FROM_TEN),
    ("classes.IBuilderConfig.methods", "can_run_on_DLA", VERSIONS),
    ("classes.IBuilderConfig.methods", "set_memory_pool_limit", VERSIONS),
    ("classes.IBuilderConfig.properties", "int8_calibrator", TO_TEN),
    ("classes.IBuilderConfig.properties", "algorithm_selector", TO_TEN),
    ("classes.IBuilderConfig.properties", "builder_optimization_level", VERSIONS),
    ("classes.IBuilderConfig.properties", "hardware_compatibility_level", VERSIONS),
    ("classes.IBuilderConfig.properties", "max_num_tactics", FROM_TEN[1:]),
    ("classes.IBuilderConfig.properties", "runtime_platform", FROM_TEN),
    ("classes.ITensor.properties", "dynamic_range", TO_TEN),
    ("classes.ILayer.properties", "precision", TO_TEN),
    ("classes.ILayer.properties", "metadata", VERSIONS),
    ("classes.OnnxParser.methods", "set_builder_config", NEW),
]


def has(version: str, where: str, name: str) -> bool:
    found: Any = surface_of(version)
    for key in where.split("."):
        found = found.get(key, {})
    return name in found


@pytest.mark.parametrize(("where", "name", "versions"), FACTS, ids=lambda v: v if isinstance(v, str) else "")
def test_a_release_has_what_the_fact_base_says(where: str, name: str, versions: tuple[str, ...]) -> None:
    assert tuple(v for v in VERSIONS if has(v, where, name)) == versions


def test_surfaces_are_complete_and_small() -> None:
    assert {p.stem for p in SURFACES.glob("*.json")} == set(VERSIONS) == set(rebuild.PACKAGES)
    for path in SURFACES.glob("*.json"):
        assert json.loads(path.read_text())["version"] == path.stem
        assert path.stat().st_size < 200_000


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_a_surface_is_that_of_the_real_bindings(version: str, tmp_path: Path) -> None:
    try:
        real = rebuild.rebuild(version, tmp_path)
    except rebuild.UnavailableError as error:
        pytest.skip(f"the bindings of {version} cannot be loaded here: {error}")
    assert real == surface_of(version)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_the_fake_answers_as_the_real_bindings_do(version: str, tmp_path: Path) -> None:
    try:
        real = rebuild.inspect(version, tmp_path, "manners.py")
    except rebuild.UnavailableError as error:
        pytest.skip(f"the bindings of {version} cannot be loaded here: {error}")
    assert outcomes(fake_tensorrt(version)) == real


@pytest.mark.parametrize("version", VERSIONS)
def test_every_type_that_a_builder_meets_is_known(version: str) -> None:
    assert {t.rpartition(".")[2].partition(":")[0] for t in unknown_types(fake_tensorrt(version)._fake)} <= {
        "add_plugin",
        "add_plugin_v2",
        "add_plugin_v3",
    }


def logger_of(trt: Any, said: list[str]) -> Any:
    class Collect(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            if severity <= trt.ILogger.Severity.WARNING:
                said.append(msg)

    return Collect()


def parsed(trt: Any, said: list[str]) -> tuple[Any, Any, Any]:
    logger = logger_of(trt, said)
    builder = trt.Builder(logger)
    flag = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    model = parse(NET)
    for index, node in enumerate(model.graph.node):
        node.name = f"node{index}"
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(model.SerializeToString())
    return builder, network, builder.create_builder_config()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_build_is_acted_out_and_logged(version: str) -> None:
    trt = fake_tensorrt(version, can_run_on_dla=lambda layer, config: layer.name != "node1")
    builder, network, config = parsed(trt, [])
    config.default_device_type = trt.DeviceType.DLA
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    assert [(la.name, la.metadata) for la in layers] == [(f"node{i}", f"[ONNX Layer: node{i}]") for i in range(3)]
    for layer in layers:
        if not config.can_run_on_DLA(layer):
            config.set_device_type(layer, trt.DeviceType.GPU)
    engine = trt.Runtime(logger_of(trt, [])).deserialize_cuda_engine(builder.build_serialized_network(network, config))
    text = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    assert [la["Name"] for la in json.loads(text)["Layers"]] == [
        "{ForeignNode[node0]}",
        "node1",
        "{ForeignNode[node2]}",
    ]
    assert "IBuilderConfig.default_device_type = DeviceType.DLA" in calls(trt)
    assert "IBuilderConfig.set_device_type(<ILayer node1>, DeviceType.GPU)" in calls(trt)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_release_lacks_is_an_error(version: str) -> None:
    trt = fake_tensorrt(version)
    builder, _, config = parsed(trt, [])
    with pytest.raises(AttributeError, match="nonesuch"):
        config.nonesuch = 1
    with pytest.raises(AttributeError, match="num_DLA_cores"):
        builder.num_DLA_cores = 3
    with pytest.raises(TypeError, match="set_flag"):
        config.set_flag(3)
    with pytest.raises(TypeError, match="set_memory_pool_limit"):
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, size=1)
    with pytest.raises(TypeError, match="incompatible"):
        config.DLA_core = "0"
    with pytest.raises(TypeError, match="No constructor"):
        trt.IBuilderConfig()
    with pytest.raises(AttributeError, match="UFF"):
        _ = trt.UFF
    with pytest.raises(TypeError, match="not iterable"):
        list(trt.BuilderFlag)


def test_removed_things_are_gone_as_in_the_release() -> None:
    eleven = fake_tensorrt("11.4", reports="11.4.1")
    assert eleven.__version__ == "11.4.1"
    assert not hasattr(eleven.BuilderFlag, "FP16")
    assert not hasattr(eleven, "IInt8EntropyCalibrator2")
    _, network, config = parsed(eleven, [])
    with pytest.raises(AttributeError, match="int8_calibrator"):
        config.int8_calibrator = None
    with pytest.raises(AttributeError, match="precision"):
        network.get_layer(0).precision = eleven.DataType.HALF
    with pytest.raises(AttributeError, match="progress_monitor"):
        parsed(fake_tensorrt("8.6"), [])[2].progress_monitor = None


def test_a_subclass_must_call_the_base() -> None:
    trt = fake_tensorrt("10.3")

    class Forgetful(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            pass

    with pytest.raises(TypeError, match=r"ILogger\.__init__\(\) must be called"):
        Forgetful()


def test_failures_are_told_as_tensorrt_tells_them() -> None:
    said: list[str] = []
    trt = fake_tensorrt("10.3", builds=False, messages=[("WARNING", "Layer 'node1' is slow")])
    builder, network, config = parsed(trt, said)
    assert builder.build_serialized_network(network, config) is None
    assert said[0] == "Layer 'node1' is slow"
    assert "Could not find any implementation" in said[1]
    refusing = fake_tensorrt("10.16", can_run_on_dla=lambda layer, config: layer.name != "b")
    builder = refusing.Builder(logger_of(refusing, said))
    parser = refusing.OnnxParser(builder.create_network(), logger_of(refusing, said))
    parser.set_flag(refusing.OnnxParserFlag.REPORT_CAPABILITY_DLA)
    parser.set_builder_config(builder.create_builder_config())
    model = onnx.ModelProto()
    model.CopyFrom(parse(NET))
    for node, name in zip(model.graph.node, "abc", strict=True):
        node.name = name
    assert not parser.parse(model.SerializeToString())
    assert parser.get_error(0).desc() == "DLA validation failed for layer: b"


def test_an_implicit_batch_network_does_not_parse_in_8() -> None:
    trt = fake_tensorrt("8.6")
    parser = trt.OnnxParser(trt.Builder(logger_of(trt, [])).create_network(), logger_of(trt, []))
    assert not parser.parse(parse(NET).SerializeToString())
    assert "explicit batch" in parser.get_error(0).desc()

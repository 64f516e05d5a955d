"""The builders of ``models/``: valid, reproducible, runnable, and made of the nodes that each form promises."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from click.testing import CliRunner
from onnx import helper

ROOT = Path(__file__).parents[2]
# models/ is no installed package; appended, so that an installed dlarewrite still wins over the source tree.
sys.path.append(str(ROOT))
BUILDERS = import_module("models").BUILDERS

SMALL = (64, 48)
PILLARS = {"size": SMALL, "pillars": 40}
CASES: dict[str, tuple[str, dict[str, Any], dict[str, int]]] = {
    "pointpillars-mixed": (
        "pointpillars",
        {"size": SMALL},
        {
            "Pad": 3,
            "BatchNormalization": 15,
            "HardSwish": 4,
            "HardSigmoid": 1,
            "MaxPool": 3,
            "Clip": 2,
            "Resize": 1,
            "ConvTranspose": 1,
            "Dropout": 1,
            "Identity": 1,
            "Shape": 3,
            "ConstantOfShape": 3,
            "Transpose": 3,
        },
    ),
    "pointpillars-permuted": ("pointpillars", {"size": SMALL, "permuted_heads": True}, {"Transpose": 6}),
    "pointpillars-stride-kernel": (
        "pointpillars",
        {"form": "stride-kernel", "size": SMALL},
        {"Pad": 3, "ConvTranspose": 3, "BatchNormalization": 3, "Resize": 0, "HardSwish": 0},
    ),
    "pointpillars-padded-deconv": ("pointpillars", {"form": "padded-deconv", "size": SMALL}, {"ConvTranspose": 4}),
    "pointpillars-bilinear": ("pointpillars", {"form": "bilinear", "size": SMALL}, {"Resize": 2, "ConvTranspose": 0}),
    "pointpillars-pillars": (
        "pointpillars",
        {"form": "pillar-features", **PILLARS},
        {"MatMul": 1, "ReduceMax": 1, "ScatterND": 1, "ConvTranspose": 3},
    ),
    "pointpillars-lossy": ("pointpillars", {"form": "lossy-resize", "size": SMALL}, {"Resize": 2}),
    "resnet50": (
        "resnet50",
        {"size": (64, 64), "width": 8},
        {"Conv": 53, "Add": 16, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1},
    ),
    "mobilenetv2": ("mobilenetv2", {"size": (64, 64)}, {"Clip": 35, "Add": 10, "Gemm": 1}),
    "mobilenetv3": ("mobilenetv3", {"size": (64, 64)}, {"HardSwish": 19, "HardSigmoid": 9, "GlobalAveragePool": 10}),
    "mobilenetv3-legacy": (
        "mobilenetv3",
        {"size": (64, 64), "legacy": True},
        {"HardSwish": 0, "HardSigmoid": 0, "Clip": 28, "Div": 28},
    ),
    "unet-padded-deconv": ("unet", {"size": (32, 64), "width": 8}, {"ConvTranspose": 4, "MaxPool": 4, "Sigmoid": 1}),
    "unet-stride-kernel": ("unet", {"form": "stride-kernel", "size": (32, 64), "width": 8}, {"ConvTranspose": 4}),
    "unet-bilinear": ("unet", {"form": "bilinear", "size": (32, 64), "width": 8}, {"Resize": 4, "Shape": 12}),
    "unet-corners": ("unet", {"form": "align-corners", "size": (32, 64), "width": 8}, {"Resize": 4, "Shape": 0}),
    "yolo": (
        "yolo_focus_spp",
        {"size": (64, 96), "classes": 4},
        {"Slice": 4, "MaxPool": 3, "Resize": 2, "Sigmoid": 59, "Reshape": 0},
    ),
    "yolo-decode": (
        "yolo_focus_spp",
        {"size": (64, 96), "classes": 4, "decode_boxes": True, "focus": "chained"},
        {"Slice": 15, "Pow": 3, "Reshape": 6, "Transpose": 3, "Sigmoid": 62},
    ),
    "shufflenet": ("shufflenet", {"size": (64, 64)}, {"Split": 13, "Transpose": 16, "ReduceMean": 1, "Gemm": 1}),
    "shufflenet-slice": ("shufflenet", {"form": "slice", "size": (64, 64)}, {"Split": 0, "Slice": 26, "Shape": 13}),
    "chain": ("chain", {"nodes": 300}, {}),
    "resnet34": ("resnet34", {"size": (64, 64), "width": 8}, {"Conv": 36, "Add": 16, "MaxPool": 1}),
    "retinanet": ("retinanet", {"size": (64, 64), "width": 8, "classes": 3}, {"Conv": 94, "Resize": 2}),
    "retinanet-grouped": (
        "retinanet",
        {"size": (64, 64), "trunk": "resnext50", "classes": 3},
        {"Conv": 111, "Resize": 2},
    ),
    "ssd-mobilenetv1": ("ssd", {"size": (256, 224), "classes": 5}, {"Conv": 47, "Clip": 27, "Relu": 8}),
    "ssd-resnet34": ("ssd", {"size": (400, 400), "trunk": "resnet34", "width": 0.125, "classes": 5}, {"Conv": 51}),
    "googlenet": (
        "googlenet",
        {"size": (64, 64), "classes": 10},
        {"Conv": 57, "LRN": 2, "MaxPool": 13, "Concat": 9, "Gemm": 1},
    ),
    "alexnet": ("alexnet", {"size": (96, 96), "width": 0.0625, "classes": 10}, {"Conv": 5, "LRN": 2, "Gemm": 3}),
    "yolov5": ("yolov5", {"size": (64, 96), "classes": 4}, {"Conv": 60, "MaxPool": 3, "Resize": 2, "Sigmoid": 57}),
    "yolox": ("yolox_nano", {"size": (64, 64), "classes": 4}, {"Slice": 4, "MaxPool": 3, "Resize": 2}),
}


def _case(case: str, **extra: Any) -> onnx.ModelProto:
    name, options, _ = CASES[case]
    model = BUILDERS[name](**{**options, **extra})
    assert isinstance(model, onnx.ModelProto)
    return model


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def _all(model: onnx.ModelProto, op_type: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == op_type]


def _run(model: onnx.ModelProto) -> Mapping[str, np.ndarray[Any, Any]]:
    """Every float activation of the model, on normal inputs and, for the pillars' coordinates, on distinct cells."""
    shown = {item.name for item in model.graph.output}
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(
        item for item in model.graph.value_info if item.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    )
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(7)
    feeds = {}
    for item in session.get_inputs():
        if item.type == "tensor(int64)":
            cells = np.arange(item.shape[0])
            feeds[item.name] = np.stack((cells * 0, cells * 0, cells // 8, cells % 8), axis=1)
        else:
            feeds[item.name] = generator.standard_normal(item.shape, dtype=np.float32)
    names = [item.name for item in session.get_outputs()]
    assert shown <= set(names)
    return dict(zip(names, session.run(names, feeds), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_runs_with_sane_activations(case: str) -> None:
    model = _case(case)
    onnx.checker.check_model(model, full_check=True)
    values = _run(model)
    shapes = {
        item.name: tuple(dim.dim_value for dim in item.type.tensor_type.shape.dim)
        for item in (*model.graph.value_info, *model.graph.output)
    }
    for name, value in values.items():
        assert np.isfinite(value).all(), name
        assert np.abs(value).max() < 4096, name
        assert value.shape == shapes[name], name
    for item in model.graph.output:
        assert 0.02 < values[item.name].std() < 100, item.name


@pytest.mark.parametrize("case", CASES)
def test_has_the_promised_nodes(case: str) -> None:
    count = Counter(node.op_type for node in _case(case).graph.node)
    promised = CASES[case][2]
    assert {op_type: count[op_type] for op_type in promised} == promised


@pytest.mark.parametrize("case", CASES)
def test_bytes_depend_on_the_seed_alone(case: str) -> None:
    first, again, other = (_case(case, seed=seed).SerializeToString(deterministic=True) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("opset", [11, 13, 18, 21])
def test_other_opsets(case: str, opset: int) -> None:
    if opset < 14 and case in ("chain", "pointpillars-pillars") and (opset, case) != (13, "pointpillars-pillars"):
        with pytest.raises(ValueError, match="opset"):
            _case(case, opset=opset)
        return
    model = _case(case, opset=opset)
    assert model.opset_import[0].version == opset
    names = [node.name for node in model.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)


def test_committed_pointpillars_is_what_the_builder_makes() -> None:
    data = (ROOT / "models" / "pointpillars.onnx").read_bytes()
    assert len(data) < 3_000_000
    assert data == BUILDERS["pointpillars"]().SerializeToString(deterministic=True)


def test_mixed_form_is_rank_4_with_the_refused_attributes() -> None:
    model = _case("pointpillars-mixed")
    assert [item.name for item in model.graph.output] == ["cls_preds", "box_preds", "dir_cls_preds"]
    assert [[dim.dim_value for dim in item.type.tensor_type.shape.dim] for item in model.graph.output] == [
        [1, 18, 32, 24],
        [1, 42, 32, 24],
        [1, 12, 32, 24],
    ]
    assert [_attributes(node)["kernel_shape"] for node in _all(model, "MaxPool")] == [[5, 5], [9, 9], [13, 13]]
    (deconv,) = _all(model, "ConvTranspose")
    wanted = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4, "output_padding": [1, 1]}
    assert wanted.items() <= _attributes(deconv).items()
    made = {name: node.op_type for node in model.graph.node for name in node.output}
    (resize,) = _all(model, "Resize")
    assert made[resize.input[3]] == "Concat"
    assert {made[node.input[1]] for node in _all(model, "Pad")} == {"Cast"}
    assert sorted(len(node.input) for node in _all(model, "Clip")) == [2, 3]
    following = {made[node.input[0]] for node in _all(model, "BatchNormalization")}
    assert following == {"Conv", "ConvTranspose"}


def test_neck_forms_have_their_attributes() -> None:
    for node, factor in zip(_all(_case("pointpillars-stride-kernel"), "ConvTranspose"), (1, 2, 4), strict=True):
        attributes = _attributes(node)
        assert attributes["kernel_shape"] == attributes["strides"] == [factor, factor]
        assert attributes["pads"] == [0] * 4
    padded = [_attributes(node) for node in _all(_case("pointpillars-padded-deconv"), "ConvTranspose")]
    assert [item["strides"][0] for item in padded] == [1, 2, 2, 2]
    assert all(item["pads"] == [1] * 4 for item in padded)
    for case, mode in (("pointpillars-bilinear", b"linear"), ("pointpillars-lossy", b"cubic")):
        for node in _all(_case(case), "Resize"):
            assert len(node.input) == 4
            assert not node.input[2]
            assert _attributes(node)["mode"] == mode
            assert _attributes(node)["coordinate_transformation_mode"] == b"half_pixel"


def test_focus_forms_are_the_same_function() -> None:
    merged, chained = (
        _run(BUILDERS["yolo_focus_spp"](size=(64, 64), classes=4, focus=form)) for form in ("merged", "chained")
    )
    for name in ("p3", "p4", "p5"):
        np.testing.assert_array_equal(merged[name], chained[name])


def test_shufflenet_forms_are_the_same_function() -> None:
    split, chunked = _run(_case("shufflenet")), _run(_case("shufflenet-slice"))
    np.testing.assert_array_equal(split["logits"], chunked["logits"])


def test_mobilenet_forms_are_the_same_function() -> None:
    new, legacy, old = (
        _run(_case("mobilenetv3", legacy=legacy, opset=opset))["logits"]
        for legacy, opset in ((False, 17), (True, 17), (False, 13))
    )
    scale = np.abs(new).max()
    assert np.abs(new - legacy).max() < 1e-4 * scale
    assert np.abs(new - old).max() < 1e-4 * scale


@pytest.mark.parametrize("nodes", [1, 2, 50, 777])
def test_chain_has_exactly_the_nodes_asked_for(nodes: int) -> None:
    assert len(BUILDERS["chain"](nodes=nodes).graph.node) == nodes


def test_without_a_seed_weights_have_shapes_and_no_values() -> None:
    real, bare = (BUILDERS["resnet34"](size=(64, 64), width=8, seed=seed) for seed in (0, None))
    assert [tuple(w.dims) for w in bare.graph.initializer] == [tuple(w.dims) for w in real.graph.initializer]
    assert [n.name for n in bare.graph.node] == [n.name for n in real.graph.node]
    assert bare.ByteSize() < real.ByteSize() / 20


def test_chain_mixes_its_operators_and_depends_on_its_input() -> None:
    model = BUILDERS["chain"](nodes=300)
    assert set(Counter(node.op_type for node in model.graph.node)) == {
        "Add",
        "BatchNormalization",
        "Conv",
        "HardSwish",
        "Identity",
        "MaxPool",
        "Relu",
        "Resize",
    }
    assert all(_attributes(node)["kernel_shape"] == [13, 13] for node in _all(model, "MaxPool"))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    first, second = (session.run(None, {"input": np.full((1, 4, 8, 8), value, np.float32)})[0] for value in (0.0, 1.0))
    assert np.abs(first - second).max() > 0.1


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pointpillars", {"size": (100, 96)}, "multiples of 8"),
        ("pointpillars", {"form": "nope"}, "form must be one of"),
        ("pointpillars", {"width": "huge"}, "width must be one of"),
        ("unet", {"size": (40, 64)}, "multiples of 16"),
        ("unet", {"form": "nope"}, "form must be one of"),
        ("yolo_focus_spp", {"size": (64, 40)}, "multiples of 32"),
        ("yolo_focus_spp", {"focus": "nope"}, "focus must be one of"),
        ("shufflenet", {"form": "nope"}, "form must be one of"),
        ("shufflenet", {"width": "9"}, "width must be one of"),
        ("chain", {"nodes": 0}, "nodes must be positive"),
        ("resnet50", {"opset": 10}, "opset must be in"),
        ("retinanet", {"trunk": "vgg"}, "trunk must be one of"),
        ("retinanet", {"size": (100, 96)}, "multiples of 32"),
        ("retinanet", {"trunk": "resnext50", "width": 24}, "multiple of 16"),
        ("ssd", {"trunk": "vgg"}, "trunk must be one of"),
        ("ssd", {"size": (64, 300)}, "at least 224x224"),
        ("yolov5", {"size": (64, 40)}, "multiples of 32"),
        ("yolox_nano", {"size": (64, 40)}, "multiples of 32"),
    ],
)
def test_wrong_options_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BUILDERS[name](**options)


def test_builders_list_every_architecture() -> None:
    runnable = {path.stem for path in (ROOT / "models").glob("*.py") if 'if __name__ == "__main__"' in path.read_text()}
    assert set(BUILDERS) == runnable
    assert len(BUILDERS) == len(runnable)
    with pytest.raises(KeyError):
        BUILDERS["pointnet"]


@pytest.mark.parametrize("name", list(BUILDERS))
def test_every_entry_explains_itself_and_is_in_the_readme(name: str) -> None:
    result = CliRunner().invoke(import_module(f"models.{name}").main, ["--help"])
    assert result.exit_code == 0
    assert all(option in result.output for option in ("OUT", "--size", "--seed", "--opset"))
    assert f"| `{name}` |" in (ROOT / "models" / "README.md").read_text()


def test_entry_runs_as_a_module(tmp_path: Path) -> None:
    out = tmp_path / "unet.onnx"
    command = [sys.executable, "-W", "error", "-m", "models.unet", str(out), "--size", "32x64", "--width", "8"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "50 nodes" in result.stderr
    assert not result.stdout
    assert out.read_bytes() == _case("unet-padded-deconv").SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["out.onnx", "--size", "12"], 2, "multiples of 8"),
        (["out.onnx", "--size", "12y3"], 2, "HEIGHTxWIDTH"),
        (["missing/out.onnx", "--size", "32"], 1, "cannot write"),
    ],
)
def test_entry_refuses_in_one_line(
    arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(import_module("models.pointpillars").main, arguments)
    assert result.exit_code == code
    assert message in result.output

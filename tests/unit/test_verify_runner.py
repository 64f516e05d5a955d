from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper, parser

from dlarewrite.errors import ModelError
from dlarewrite.verify import CannotRun, RunFailure, Session, run, runtime
from dlarewrite.verify.weights import loadable

X = {"x": np.arange(6, dtype=np.float32).reshape(2, 3)}


def model(text: str, opset: int = 17, ir: int = 8) -> onnx.ModelProto:
    return parser.parse_model(f'<ir_version: {ir}, opset_import: ["" : {opset}, "lab" : 1]> {text}')


def weighted(scale: float = 1.0, size: int = 3000) -> onnx.ModelProto:
    proto = model(f"g (float[2,3] x) => (float[2,{size}] y) {{ h = MatMul(x, w) y = Add(h, b) }}")
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((3, size)).astype(np.float32) * np.float32(scale)
    proto.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    bias = TensorProto(name="b", data_type=TensorProto.FLOAT, dims=[size])
    bias.float_data.extend(rng.standard_normal(size))
    proto.graph.initializer.append(bias)
    return proto


def externalise(proto: onnx.ModelProto, folder: Path, location: str = "w.bin") -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    tensor = copy.graph.initializer[0]
    (folder / location).write_bytes(b"\0" * 64 + tensor.raw_data)
    length = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", 64), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return copy


def test_outputs_come_by_name_and_repeat() -> None:
    session = Session(model("g (float[2,3] x) => (float[2,3] y, float[2,3] z) { y = Relu(x) z = Neg(x) }"))
    first, second = session.run(X), session.run(X)
    assert list(first) == ["y", "z"]
    assert np.array_equal(first["z"], -X["x"])
    assert np.array_equal(first["y"], second["y"])


def test_nothing_is_optimised_away() -> None:
    import onnxruntime as ort

    options = Session(weighted())._session.get_session_options()
    assert options.graph_optimization_level == ort.GraphOptimizationLevel.ORT_DISABLE_ALL


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    gather = model("g (float[3] x, int64 k) => (float y) { y = Gather(x, k) }")
    with pytest.raises(RunFailure, match="out of data bounds"):
        run(gather, {"x": np.ones(3, np.float32), "k": np.array(7)})
    with pytest.raises(CannotRun):
        Session(model("g (float[2] x) => (float[2] y) { y = lab.Frob(x) }"))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_an_unknown_operator_names_node_and_operator() -> None:
    proto = model("g (float[2] x) => (float[2] y) { y = lab.Frob(x) }")
    proto.graph.node[0].name = "stem/frob"
    with pytest.raises(CannotRun) as caught:
        Session(proto)
    assert caught.value.message == "onnxruntime does not know node stem/frob (lab.Frob)"
    assert "--no-verify" in caught.value.hint
    assert (caught.value.op_type, caught.value.domain) == ("Frob", "lab")


def test_a_missing_kernel_names_the_node_even_if_it_has_no_name() -> None:
    proto = model("g (int16[2] x) => (int16[2] y) { h = Identity(x) y = Relu(h) }")
    with pytest.raises(CannotRun, match=r"no CPU implementation for the types of node y \(Relu\)"):
        Session(proto)
    assert not proto.graph.node[1].name


def test_an_operator_of_no_opset_and_a_broken_model_are_told_apart() -> None:
    with pytest.raises(CannotRun, match="Frob"):
        Session(model("g (float[2] x) => (float[2] y) { y = Frob(x) }"))
    with pytest.raises(ModelError, match="refuses the model") as caught:
        Session(model("g (float[2] x) => (float[2] y) { y = Relu(x, x) }"))
    assert not isinstance(caught.value, CannotRun)
    assert "\n" not in str(caught.value)


def test_an_opset_before_onnxruntime_s_first_is_named_as_the_cause() -> None:
    proto = model("g (float[2] x) => (float[2] y) { y = Add <broadcast = 1> (x, x) }", opset=6)
    with pytest.raises(CannotRun, match=r"does not run opset 6.*y") as caught:
        Session(proto)
    assert "version_converter" in caught.value.hint


def test_two_nodes_of_one_name_are_named() -> None:
    proto = model("g (float[2] x) => (float[2] y) { [same] h = Relu(x) [same] y = Neg(h) }")
    with pytest.raises(ModelError, match="two nodes of the model are named 'same'"):
        Session(proto)


def test_a_newer_ir_or_opset_runs_where_nothing_changed_and_is_explained_elsewhere() -> None:
    newest = onnx.defs.onnx_opset_version()
    proto = model("g (float[2,3] x) => (float[2,3] y) { y = Relu(x) }", opset=newest, ir=onnx.IR_VERSION)
    assert np.array_equal(run(proto, X)["y"], X["x"])
    assert proto.opset_import[0].version == newest
    with pytest.raises(CannotRun, match=r"of opset 999, and this onnxruntime takes opset \d+ at most"):
        Session(model("g (float[2] x) => (float[2] y) { y = Relu(x) }", opset=999))


def test_a_path_with_external_data_loads_from_its_folder(tmp_path: Path) -> None:
    expected = run(weighted(), X)["y"]
    folder = tmp_path / "models"
    folder.mkdir()
    onnx.save(externalise(weighted(), folder), folder / "m.onnx")
    assert np.array_equal(run(folder / "m.onnx", X)["y"], expected)
    assert np.array_equal(run(externalise(weighted(), folder), X, base_dir=folder)["y"], expected)


def test_missing_external_data_is_one_clear_line(tmp_path: Path) -> None:
    proto = externalise(weighted(), tmp_path)
    with pytest.raises(ModelError, match="directory is not known"):
        Session(proto)
    (tmp_path / "w.bin").unlink()
    with pytest.raises(ModelError, match=r"external data is missing or unreadable: .*w\.bin"):
        Session(proto, base_dir=tmp_path)


def test_over_the_limit_weights_pass_through_a_folder_that_is_removed(tmp_path: Path) -> None:
    proto, seen = weighted(), []
    untouched = proto.SerializeToString()
    with loadable(proto, None, max_bytes=10_000) as (shell, folder):
        assert folder is not None
        seen.append(folder)
        assert shell.ByteSize() < 1000
        assert (folder / "spilled.weights").stat().st_size == (3 + 1) * 3000 * 4
    assert not seen[0].exists()
    assert np.array_equal(Session(proto, max_bytes=10_000).run(X)["y"], run(proto, X)["y"])
    assert proto.SerializeToString() == untouched


def test_over_the_limit_with_weights_in_two_places(tmp_path: Path) -> None:
    proto = externalise(weighted(), tmp_path)
    session = Session(proto, base_dir=tmp_path, max_bytes=10_000)
    assert np.array_equal(session.run(X)["y"], run(weighted(), X)["y"])
    assert [path.name for path in tmp_path.iterdir()] == ["w.bin"]
    outside = externalise(weighted(), tmp_path, "other.bin")
    outside.graph.initializer[0].external_data[0].value = "../other.bin"
    with pytest.raises(ModelError, match="missing from"):
        Session(outside, base_dir=tmp_path, max_bytes=10_000)


@pytest.mark.parametrize("content", [b"", b"no model at all", None])
def test_an_unreadable_path_is_a_model_error(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.onnx"):
        Session(path)


def test_bfloat16_goes_in_and_comes_out() -> None:
    import ml_dtypes

    proto = model("g (bfloat16[4] x) => (bfloat16[4] y, float[4] z) { z = Cast<to = 1>(x) y = Cast<to = 16>(z) }")
    given = np.array([1, -2.5, 3e38, 0.1], ml_dtypes.bfloat16)
    found = run(proto, {"x": given})
    assert found["y"].dtype == given.dtype
    assert np.array_equal(found["y"], given)
    assert np.array_equal(found["z"], given.astype(np.float32))


def test_the_runtime_is_named() -> None:
    assert runtime().startswith("onnxruntime 1.")
    assert runtime().endswith("CPU, optimisations off")

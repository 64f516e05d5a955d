"""``dlarewrite build`` for a strongly typed TensorRT: the model that is written is FP16."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from conftest import Run, make

NET = """<ir_version: 9, opset_import: ["": 17]> g (float[1,8,16,16] images) => (float[1,8,16,16] maps)
<float[8,8,3,3] w> { a = Conv<pads=[1,1,1,1]>(images, w) maps = Relu(a) }"""
QUANTISED = """<ir_version: 9, opset_import: ["": 17]> g (float[1,8,16,16] images) => (float[1,8,16,16] maps)
<float[8,8,3,3] w, float s = {0.1}, int8 z = {0}> {
    q = QuantizeLinear(images, s, z) d = DequantizeLinear(q, s, z) maps = Conv<pads=[1,1,1,1]>(d, w)
}"""
FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


def built(run: Run, model: Path, *more: str) -> onnx.ModelProto:
    done = run("build", model, "--target", "agx-orin-jp7", "--emit", "trtexec", "--no-verify", *more)
    assert done.exit_code == 0, done.stderr
    return onnx.load(model.with_suffix(".dla.onnx"))


def weights(proto: onnx.ModelProto) -> set[int]:
    return {t.data_type for t in proto.graph.initializer if len(t.dims) == 4}


@pytest.mark.parametrize(("more", "border", "casts"), [((), FLOAT, 2), (("--io", "native"), HALF, 0)])
def test_the_model_becomes_fp16(run: Run, tmp_path: Path, more: tuple[str, ...], border: int, casts: int) -> None:
    proto = built(run, make(NET, tmp_path / "net.onnx"), *more)
    assert weights(proto) == {HALF}
    assert sum(node.op_type == "Cast" for node in proto.graph.node) == casts
    assert {v.type.tensor_type.elem_type for v in (*proto.graph.input, *proto.graph.output)} == {border}
    assert "the DLA needs FP16" not in (tmp_path / "net.trtexec.sh").read_text()


@pytest.mark.parametrize(("net", "more"), [(NET, ["--no-optimize"]), (QUANTISED, [])])
def test_a_model_as_it_is_and_a_quantised_one_keep_their_types(
    run: Run, tmp_path: Path, net: str, more: list[str]
) -> None:
    assert HALF not in weights(built(run, make(net, tmp_path / "net.onnx"), *more))
    assert "the DLA needs FP16" in (tmp_path / "net.trtexec.sh").read_text()


def test_earlier_releases_get_the_model_in_fp32(run: Run, tmp_path: Path) -> None:
    model = make(NET, tmp_path / "net.onnx")
    assert run("build", model, "--emit", "trtexec", "--no-verify").exit_code == 0
    assert weights(onnx.load(tmp_path / "net.dla.onnx")) == {FLOAT}

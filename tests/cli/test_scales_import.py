"""``dlarewrite scales import`` and ``export``: from a Q/DQ model to what each TensorRT takes, and wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

from dlarewrite.cli.main import program
from dlarewrite.precision.scales import ScaleTable
from dlarewrite.testing import parse

QDQ = """<ir_version: 8, opset_import: ["" : 13]> g (float[N,4,8,8] x) => (float[N,4,8,8] y)
<float s = {0.05}, float t = {0.5}, int8 z = {0}, uint8 u = {3}, float[4,4,1,1] w> {
  q = QuantizeLinear(x, s, z)
  d = DequantizeLinear(q, s, z)
  wq = QuantizeLinear(w, s, z)
  wd = DequantizeLinear(wq, s, z)
  c = Conv(d, wd)
  a = Add(c, d)
  e = QuantizeLinear(a, t, z)
  y = DequantizeLinear(e, t, z)
}"""


def scales(*words: object) -> Result:
    return CliRunner().invoke(program, ["scales", *map(str, words)])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "qat.onnx"
    onnx.save(parse(QDQ.replace("[N,", "[1,")), path)
    return path


def read(model: Path, *more: object) -> Result:
    return scales(
        "import", model, "-o", model.with_name("plain.onnx"), "--scales", model.with_name("scales.json"), *more
    )


def test_a_model_becomes_plain_model_scales_and_precisions(model: Path) -> None:
    text = model.with_name("layers.txt")
    done = read(model, "--layer-precisions", text)
    assert done.exit_code == 0, done.stderr
    assert "Equal to the original without rounding (EXACT)" in done.stdout
    assert "off the original by: y: 0, 0 of max" in done.stdout
    assert text.read_text() == "c:fp16,y:fp16\n"
    table = ScaleTable.load(model.with_name("scales.json"))
    assert list(table.scales) == ["x", "y"]
    assert table.layer_precisions == {"c": "fp16", "y": "fp16"}
    assert {n.op_type for n in onnx.load(model.with_name("plain.onnx")).graph.node} == {"Conv", "Add"}


def test_json_and_unary(model: Path) -> None:
    done = read(model, "--unary", "--json", "-q")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["activations"], found["constants"], found["scales"]) == (2, 1, 3)
    assert found["layer_precisions"] == {}
    assert found["proofs"]["plain"]["ok"] is True


def test_a_dynamic_batch_is_read_and_frozen(model: Path) -> None:
    onnx.save(parse(QDQ), model)
    done = read(model)
    assert done.exit_code == 0, done.stderr
    assert read(model, "--shape", "x:2x4x8x8").exit_code == 0
    assert onnx.load(model.with_name("plain.onnx")).graph.input[0].type.tensor_type.shape.dim[0].dim_value == 2


def test_a_cache_for_trtexec_follows(model: Path) -> None:
    assert read(model).exit_code == 0
    cache, text = model.with_name("out.cache"), model.with_name("layers.txt")
    plain, table = model.with_name("plain.onnx"), model.with_name("scales.json")
    done = scales("export", plain, "--scales", table, "-o", cache, "--layer-precisions", text, "--trt-version", 10300)
    assert done.exit_code == 0, done.stderr
    assert f"--calib={cache}" in done.stdout
    assert f"--layerPrecisions=$(cat {text})" in done.stdout
    assert cache.read_text().splitlines() == ["TRT-10300-EntropyCalibration2", "x: 3d4ccccd", "y: 3f000000"]


@pytest.mark.parametrize("words", [["--to", "fp16"], ["--target", "agx-orin-jp7"], ["--to", "fp16", "--io", "fp16"]])
def test_an_fp16_model_follows(model: Path, words: list[str]) -> None:
    assert read(model).exit_code == 0
    out = model.with_name("half.onnx")
    done = scales("export", model.with_name("plain.onnx"), "-o", out, *words)
    assert done.exit_code == 0, done.stderr
    assert "FP16 but for 0 layers of 2" in done.stdout
    assert ("Off the model on drawn inputs by" in done.stdout) is ("--io" not in words)
    assert {t.data_type for t in onnx.load(out).graph.initializer} == {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize("form", ["int8", "uint8"])
def test_a_q_dq_model_follows_and_says_that_it_is_experimental(model: Path, form: str) -> None:
    assert read(model, "--unary").exit_code == 0
    plain, table, out = (model.with_name(name) for name in ("plain.onnx", "scales.json", "out.onnx"))
    done = scales("export", plain, "--scales", table, "-o", out, "--to", form)
    assert done.exit_code == 0, done.stderr
    assert "experimental" in done.stderr
    assert "2 activations and 1 weight quantised" in done.stdout
    assert sum(n.op_type == "QuantizeLinear" for n in onnx.load(out).graph.node) == 2


def test_a_difference_is_measured_on_the_inputs_given(model: Path, tmp_path: Path) -> None:
    assert read(model).exit_code == 0
    plain, table, out = (model.with_name(name) for name in ("plain.onnx", "scales.json", "out.onnx"))
    entry = onnx.load(plain).graph.input[0]
    dims = [d.dim_value for d in entry.type.tensor_type.shape.dim]
    np.savez(tmp_path / "several.npz", **{entry.name: np.zeros([3 * dims[0], *dims[1:]], np.float32)})
    words = ["export", plain, "--scales", table, "-o", out, "--to", "int8", "--inputs"]
    done = scales(*words, tmp_path / "several.npz")
    assert done.exit_code == 0, done.stderr
    assert "Off the model on the inputs given by: " in done.stdout
    out.unlink()
    assert scales(*words, tmp_path / "none.npz").exit_code == 2
    assert not out.exists()


def test_wrong_input_is_one_line_and_writes_nothing(model: Path) -> None:
    plain = model.with_name("plain.onnx")
    asymmetric = model.with_name("u.onnx")
    onnx.save(parse(QDQ.replace("[N,", "[1,").replace("e, t, z", "e, t, u").replace("a, t, z", "a, t, u")), asymmetric)
    table = model.with_name("t.json")
    for words, code, text in [
        (["import", model, "-o", model, "--scales", table], 2, "is the input model"),
        (["import", model, "-o", plain, "--scales", plain], 2, "different files"),
        (["import", model.with_name("no.onnx"), "-o", plain, "--scales", table], 2, "does not exist"),
        (["import", asymmetric, "-o", plain, "--scales", table, "--asymmetric", "refuse"], 1, "zero point 3 (uint8)"),
        (["import", asymmetric, "-o", plain, "--scales", "x.cache", "--asymmetric", "keep"], 2, "zero point -125"),
        (["import", model, "-o", plain, "--scales", table, "--weights", "max"], 1, "output channels"),
        (["export", model, "-o", plain], 2, "--to cache needs --scales"),
        (["export", model, "-o", plain, "--to", "fp16", "--trt-version", "8600"], 2, "belong to --to cache"),
    ]:
        done = scales(*words)
        assert (done.exit_code, text in done.stderr) == (code, True), (words, done.stderr)
        assert len(done.stderr.splitlines()) <= 2
        assert not plain.exists()
        assert not table.exists()


def test_a_table_of_another_model_is_refused(model: Path) -> None:
    assert read(model).exit_code == 0
    table = model.with_name("other.json")
    ScaleTable.load(model.with_name("scales.json")).renamed({"x": "p", "y": "q"})[0].save(table)
    done = scales(
        "export", model.with_name("plain.onnx"), "--scales", table, "-o", model.with_name("o"), "--to", "int8"
    )
    assert done.exit_code == 2
    assert "names no tensor" in done.stderr

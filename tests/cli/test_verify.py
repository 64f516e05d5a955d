"""``dlarewrite verify`` on a laptop: two ONNX files, and what it says where a board is needed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import numpy_helper

from dlarewrite.cli.main import program
from dlarewrite.testing import parse

NET = """<ir_version: 8, opset_import: ["": 17]> g (float[N,8,8,8] x) => (float[N,8,8,8] y)
<float[8,8,3,3] w> { a = Conv<pads=[1,1,1,1]>(x, w) y = HardSigmoid(a) }"""


def verify(*words: object) -> Result:
    return CliRunner().invoke(program, ["verify", *map(str, words)])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    onnx.save(parse(NET.replace("[N,", "[1,")), path)
    return path


@pytest.fixture
def other(model: Path) -> Path:
    """The same with one weight changed."""
    proto = onnx.load(model)
    values = numpy_helper.to_array(proto.graph.initializer[0]).copy()
    values[0, 0, 1, 1] += 0.5
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, proto.graph.initializer[0].name))
    path = model.with_name("other.onnx")
    onnx.save(proto, path)
    return path


def test_an_optimised_model_is_proven_equal(model: Path) -> None:
    out = model.with_name("out.onnx")
    assert CliRunner().invoke(program, ["optimize", str(model), str(out), "-q"]).exit_code == 0
    done = verify(model, out)
    assert done.exit_code == 0, done.stderr
    assert "Proven equal as ROUNDING" in done.stdout


def test_a_changed_weight_is_found(model: Path, other: Path) -> None:
    done = verify(model, other)
    assert done.exit_code == 4
    assert "does not compute what" in done.stderr
    assert "NOT equal" in done.stdout
    assert verify(model, other, "--atol", "2").exit_code == 0
    assert verify(model, other, "--atol", "y:1e-9").exit_code == 4


def test_json_says_the_same(model: Path, other: Path) -> None:
    done = verify(model, other, "--json")
    assert done.exit_code == 4
    assert json.loads(done.stdout)["proof"]["ok"] is False
    assert json.loads(verify(model, model, "--json").stdout)["proof"]["ok"] is True


def test_own_inputs_and_shapes(model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.ones((1, 8, 8, 8), np.float32))
    assert "from" in verify(model, model, "--inputs", tmp_path / "data.npz").stdout
    dynamic = tmp_path / "dynamic.onnx"
    onnx.save(parse(NET), dynamic)
    assert "[2,8,8,8]" in verify(dynamic, dynamic, "--shape", "x:2x8x8x8").stdout


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nowhere.onnx", "m.onnx"], 2, "'nowhere.onnx' does not exist"),
        (["m.onnx", "nowhere.engine"], 2, "'nowhere.engine' does not exist"),
        (["m.engine", "m.onnx"], 2, "is an engine"),
        (["m.onnx", "text.onnx"], 1, "is not an ONNX model"),
        (["m.onnx", "m.onnx", "--layers"], 2, "--layers compares an engine's tensors"),
        (["m.onnx", "m.onnx", "--atol", "z:1"], 2, "atol names 'z', which is no output"),
        (["m.onnx", "loadable.bin"], 2, "is a DLA loadable"),
        (["m.onnx", "m.engine"], 5, "TensorRT's Python package is not usable here"),
        (["m.onnx", "renamed.bin"], 5, "TensorRT's Python package is not usable here"),
    ],
)
def test_wrong_use_is_one_line(
    words: list[str], code: int, says: str, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.chdir(model.parent)
    Path("text.onnx").write_text("hello")
    Path("m.engine").write_bytes(b"ftrt engine")
    Path("renamed.bin").write_bytes(b"ftrt engine")
    Path("loadable.bin").write_bytes(b"\0\0\0\0NVDA")
    done = verify(*words)
    assert done.exit_code == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2

"""dlarewrite calibrate: tables from data, previews, resuming, and what wrong input leads to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from dlarewrite.precision.scales import ScaleTable
from dlarewrite.testing import parse

PICTURES = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1,3,16,16] images) => (float[1,4,16,16] scores) <float[4,3,3,3] w> {
  a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(images, w)
  scores = Relu(a)
}
"""


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "data.npz"
    np.savez(path, images=rng.standard_normal((6, 8, 8, 8)).astype(np.float32))
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def taker(tmp_path: Path) -> Path:
    path = tmp_path / "taker.onnx"
    onnx.save(parse(PICTURES), path)
    return path


def test_a_table_and_a_cache(run, model: Path, samples: Path, tmp_path: Path) -> None:
    result = run("calibrate", model, "--data", samples, "-o", tmp_path / "scales.json")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == (f"4 scales (4 measured); made by entropy, 6 samples\nwrote {tmp_path / 'scales.json'}\n")
    assert "[I] data: 6 samples from 1 numpy files" in result.stderr
    table = ScaleTable.load(tmp_path / "scales.json")
    assert list(table.scales) == ["images", "a", "b", "scores"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.npz", "model.onnx", "scales.json"]
    assert run("calibrate", model, "--data", samples, "-o", tmp_path / "calibration.cache").exit_code == 0
    lines = (tmp_path / "calibration.cache").read_text().splitlines()
    assert lines[0].endswith("EntropyCalibration2")
    assert [line.rpartition(": ")[2] for line in lines[1:]] == [f"{s.bits:x}" for s in table.scales.values()]


def test_the_same_command_gives_the_same_bytes(run, model: Path, samples: Path, tmp_path: Path) -> None:
    for name in ("one.json", "two.json"):
        assert run("calibrate", model, "--data", samples, "-o", tmp_path / name, "--method", "mse").exit_code == 0
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_pictures_and_their_preview(run, taker: Path, pictures: Path, tmp_path: Path) -> None:
    out, preview = tmp_path / "scales.json", tmp_path / "seen.png"
    how = ("--mean", "0.5,0.4,0.3", "--std", "0.2", "--resize", "20", "--order", "bgr", "--limit", "4")
    result = run("calibrate", taker, "--data", pictures, "-o", out, "--preview", preview, *how)
    assert result.exit_code == 0, result.stderr
    assert "5 pictures, 16x16 bgr nchw, crop from 20, (pixel * 0.00392157 - 0.5,0.4,0.3) / 0.2" in result.stderr
    assert json.loads(out.read_text())["method"] == "entropy, 4 samples"
    with Image.open(preview) as sheet:
        assert sheet.size == (36, 36)


def test_a_preview_alone_runs_nothing(run, taker: Path, pictures: Path, tmp_path: Path) -> None:
    result = run("calibrate", taker, "--data", pictures, "--preview", tmp_path / "seen.png")
    assert result.exit_code == 0 and result.stdout == ""
    assert (tmp_path / "seen.png").stat().st_size > 0


def test_it_goes_on_after_an_error(run, model: Path, tmp_path: Path) -> None:
    script = tmp_path / "loader.py"
    text = "import numpy as np\ndef load():\n  for n in range(4):\n    {}yield np.full((1,8,8,8), n + 1, np.float32)\n"
    script.write_text(text.format("\n    if n == 3: raise OSError('unplugged')\n    "))
    out = tmp_path / "scales.json"
    words = ("calibrate", model, "--data", f"{script}:load", "-o", out)
    result = run(*words)
    assert result.exit_code == 2 and "raised OSError: unplugged" in result.stderr and not out.exists()
    assert (tmp_path / "scales.json.state").exists()
    script.write_text(text.format(""))
    result = run(*words)
    assert result.exit_code == 0 and "made by entropy, 4 samples (3 of them kept by an earlier run)" in result.stdout
    assert not (tmp_path / "scales.json.state").exists()
    resumed = out.read_bytes()
    assert run(*words).exit_code == 0 and out.read_bytes() == resumed


def test_an_interrupt_says_how_to_go_on(run, model: Path, tmp_path: Path) -> None:
    script = tmp_path / "loader.py"
    script.write_text(
        "import numpy as np\ndef load():\n  yield np.ones((1,8,8,8), np.float32)\n  raise KeyboardInterrupt\n"
    )
    result = run("calibrate", model, "--data", f"{script}:load", "-o", tmp_path / "scales.json")
    assert result.exit_code == 130 and "the same command goes on from there" in result.stderr


def test_a_kept_state_gives_another_method_at_once(run, model: Path, samples: Path, tmp_path: Path) -> None:
    state, out = tmp_path / "state", tmp_path / "scales.json"
    assert run("calibrate", model, "--data", samples, "-o", out, "--state", state).exit_code == 0
    result = run("calibrate", model, "--data", samples, "-o", out, "--state", state, "--method", "percentile")
    assert "made by percentile 99.99, 6 samples (6 of them" in result.stdout and state.exists()


def test_zeros_and_gaps_are_told(run, model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "zero.npz", images=np.zeros((1, 8, 8, 8), np.float32))
    result = run("calibrate", model, "--data", tmp_path / "zero.npz", "-o", tmp_path / "scales.json")
    assert result.exit_code == 0
    assert "[W] 2 tensors zero in all samples, given the floor: images, a" in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "Missing option '--data'"),
        (("--data", "DATA"), 2, "there is nothing to write"),
        (("--data", "nowhere", "-o", "OUT"), 2, "data 'nowhere' does not exist"),
        (("--data", "EMPTY", "-o", "OUT"), 2, "holds no pictures"),
        (("--data", "DATA", "-o", "MODEL"), 2, "is the input model"),
        (("--data", "DATA", "-o", "OUT", "--mean", "0.5"), 2, "--mean is for pictures"),
        (("--data", "DATA", "-o", "OUT", "--mean", "a,b"), 2, "is no list of numbers"),
        (("--data", "DATA", "-o", "OUT", "--scale", "1/0"), 2, "is no factor"),
        (("--data", "DATA", "-o", "OUT", "--size", "axb"), 2, "is no size"),
        (("--data", "DATA", "-o", "OUT", "--percentile", "0"), 2, "percentile 0 is not within"),
        (("--data", "DATA", "--preview", "OUT"), 2, "--preview shows pictures"),
        (("--data", "BAD", "-o", "OUT"), 2, "holds NaN"),
    ],
)
def test_wrong_input_is_one_line(
    run, model: Path, samples: Path, tmp_path: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "bad.npz", images=np.full((1, 8, 8, 8), np.nan, np.float32))
    places = {"DATA": samples, "OUT": tmp_path / "out", "MODEL": model, "EMPTY": tmp_path / "empty"}
    places["BAD"] = tmp_path / "bad.npz"
    result = run("calibrate", model, *(places.get(word, word) for word in words))
    errors = [line for line in result.stderr.splitlines() if line.startswith("[E]")]
    assert result.exit_code == code and len(errors) == 1 and message in errors[0], result.stderr
    assert "Traceback" not in result.stderr and not (tmp_path / "out").exists()


def test_symbolic_shapes_have_to_be_given(run, dynamic: Path, samples: Path, tmp_path: Path) -> None:
    words = ("calibrate", dynamic, "--data", samples, "-o", tmp_path / "scales.json")
    result = run(*words)
    assert result.exit_code == 2 and "give the dims" in result.stderr
    assert run(*words, "--shape", "1x8x8x8").exit_code == 0

"""``dlarewrite scales`` as its users meet it, right and wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from dlarewrite.precision.scales import Certainty, Scale, ScaleTable

Run = Callable[..., Result]

CACHE = "TRT-8600-EntropyCalibration2\nimages: 3c00f9f4\na: 3d00f9f4\nb: 3c00f9f4\nscores: 3d10f9f4\n"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    path = tmp_path / "calibration.cache"
    path.write_text(CACHE)
    return path


def test_show_lists_and_is_json(run: Run, cache: Path) -> None:
    shown = run("scales", "show", cache)
    assert shown.exit_code == 0
    assert "4 scales (4 exact); made by EntropyCalibration2" in shown.stdout
    assert "3d00f9f4" in shown.stdout
    assert json.loads(run("scales", "show", cache, "--json").stdout)["tensors"]["a"]["scale"] == "3d00f9f4"


def test_convert_there_and_back_is_exact(run: Run, cache: Path, tmp_path: Path) -> None:
    assert run("scales", "convert", cache, tmp_path / "t.json").exit_code == 0
    back = run("scales", "convert", tmp_path / "t.json", tmp_path / "back.cache")
    assert back.exit_code == 0
    assert f"wrote {tmp_path / 'back.cache'}" in back.stdout
    assert (tmp_path / "back.cache").read_text() == CACHE


def test_merge_tells_contradictions_and_strict_writes_nothing(run: Run, cache: Path, tmp_path: Path) -> None:
    other, out = tmp_path / "other.json", tmp_path / "out.json"
    ScaleTable({"a": Scale(9, "min-max", Certainty.MEASURED), "c": Scale(1, "", Certainty.MEASURED)}).save(other)
    strict = run("scales", "merge", cache, other, "-o", out, "--strict")
    assert strict.exit_code == 3
    assert "exact is surer than measured" in strict.stderr
    assert not out.exists()
    merged = run("scales", "merge", cache, other, "-o", out)
    assert merged.exit_code == 0
    assert "5 scales" in merged.stdout
    assert ScaleTable.load(out).scales["a"].bits == 0x3D00F9F4


def test_carry_covers_the_rewritten_model(run: Run, cache: Path, model: Path, tmp_path: Path) -> None:
    after, out = tmp_path / "after.onnx", tmp_path / "after.json"
    assert run("optimize", model, after, "--precision", "int8", "--no-verify").exit_code == 0
    before = run("scales", "coverage", after, "--scales", cache, "--require-full")
    assert before.exit_code == 3
    assert "have no scale, the first is" in before.stderr
    done = run("scales", "carry", model, after, "--scales", cache, "-o", out, "--require-full")
    assert done.exit_code == 0, done.stderr
    assert "Without a scale" not in done.stdout
    full = run("scales", "coverage", after, "--scales", out, "--require-full")
    assert full.exit_code == 0
    assert full.stdout.startswith("100 % of")
    data = json.loads(run("scales", "coverage", after, "--scales", out, "--json").stdout)
    assert data["share"] == 1.0
    told = json.loads(run("scales", "carry", model, after, "--scales", cache, "-o", out, "--json").stdout)
    assert told["gaps"] == []
    # The tensor between Conv and HardSigmoid went into what was folded.
    assert told["scales"]["exact"] == 3


def test_open_dims_are_those_of_the_rewritten_model(run: Run, cache: Path, dynamic: Path, tmp_path: Path) -> None:
    after, out = tmp_path / "after.onnx", tmp_path / "after.json"
    assert run("optimize", dynamic, after, "--no-verify", "--shape", "images:1x8x8x8").exit_code == 0
    done = run("scales", "carry", dynamic, after, "--scales", cache, "-o", out, "--require-full")
    assert done.exit_code == 0, done.stderr


def test_a_gap_is_told_and_gated(run: Run, model: Path, tmp_path: Path) -> None:
    table, out = tmp_path / "t.json", tmp_path / "o.json"
    ScaleTable({"scores": Scale(1, "", Certainty.MEASURED)}).save(table)
    done = run("scales", "carry", model, model, "--scales", table, "-o", out, "--require-full")
    assert done.exit_code == 3
    assert "an input of the model that the table does not have" in done.stdout
    assert out.exists()


def test_another_models_table_is_refused_or_doubted(run: Run, model: Path, cache: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.json"
    ScaleTable({"elsewhere": Scale(1, "", Certainty.MEASURED)}).save(table)
    refused = run("scales", "coverage", model, "--scales", table)
    assert refused.exit_code == 2
    assert f"names no tensor of '{model}'" in refused.stderr
    ScaleTable({"images": Scale(1, "", Certainty.MEASURED)}, model="0123").save(table)
    assert "seems to be made for another model" in run("scales", "coverage", model, "--scales", table).stderr
    assert "seems" not in run("scales", "coverage", model, "--scales", cache).stderr


@pytest.mark.parametrize(
    "text", ["", "{", "\0", "TRT-1-a\nx: 7fc00000\n", '{"schema_version": 1, "tensors": {"a": {}}}']
)
def test_hostile_tables_are_one_line_and_exit_code_2(run: Run, tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad"
    path.write_text(text)
    found = run("scales", "show", path)
    assert found.exit_code == 2
    assert found.stderr.count("[E]") == 1
    assert "Traceback" not in found.stderr
    assert not found.stdout


def test_an_input_is_never_overwritten(run: Run, cache: Path, tmp_path: Path) -> None:
    same = run("scales", "convert", cache, cache)
    assert (same.exit_code, cache.read_text()) == (2, CACHE)
    assert "is an input" in same.stderr
    assert run("scales", "convert", cache, tmp_path).exit_code == 2
    assert run("scales", "convert", cache, tmp_path / "none" / "x.json").exit_code == 2
    assert run("scales", "merge", cache, "-o", cache).exit_code == 2


def test_help_and_wrong_commands(run: Run) -> None:
    assert "Carry a table to the model that was rewritten." in run("scales", "--help").stdout
    wrong = run("scales", "shw")
    assert (wrong.exit_code, "did you mean show?" in wrong.stderr) == (2, True)
    assert run("scales").exit_code == 2

"""dlarewrite emulate and dlarewrite sparsity: reports, gates, plans, and wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dlarewrite.precision.scales import ScaleTable


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    path = tmp_path / "data.npz"
    np.savez(path, images=np.random.default_rng(0).standard_normal((3, 8, 8, 8)).astype(np.float32))
    return path


@pytest.fixture
def scales(run, model: Path, samples: Path, tmp_path: Path) -> Path:
    path = tmp_path / "scales.json"
    assert run("calibrate", model, "--data", samples, "-o", path, "--method", "minmax").exit_code == 0
    return path


def test_the_report(run, model: Path, samples: Path, scales: Path) -> None:
    result = run("emulate", model, "--scales", scales, "--data", samples)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("worst output ") and "3 operations: 2 in int8, 1 in float" in result.stdout
    assert "Outputs\n" in result.stdout and "Tensors, worst scale first (4 tensors)" in result.stdout
    assert "Not in INT8" in result.stdout and "[W]" not in result.stderr
    document = json.loads(run("emulate", model, "--scales", scales, "--inputs", samples, "--json").stdout)
    assert document["schema_version"] == 1 and document["operations"] == {"int8": 2, "fp16": 0, "float": 1}
    assert 20 < document["outputs"][0]["snr_db"] < 60 and document["samples"] == 3
    everything = json.loads(
        run("emulate", model, "--scales", scales, "--data", samples, "--everything", "--json").stdout
    )
    assert everything["operations"]["int8"] == 3


def test_a_bad_scale_stands_first_and_the_gate_fails(run, model: Path, samples: Path, scales: Path) -> None:
    text = json.loads(scales.read_text())
    good, bad = text["tensors"]["scores"], dict(text["tensors"]["images"])
    del good["scale"], bad["scale"]
    text["tensors"]["images"] = bad | {"amax": bad["amax"] / 20}
    text["tensors"]["scores"] = good
    scales.write_text(json.dumps(text))
    result = run("emulate", model, "--scales", scales, "--data", samples, "--min-snr", 15, "--json")
    assert result.exit_code == 3 and "--min-snr demands 15 dB, found" in result.stderr
    first = json.loads(result.stdout)["tensors"][0]
    assert first["tensor"] == "images" and first["clipped"] > 0.5


def test_a_plan_is_written_with_the_table(run, model: Path, samples: Path, scales: Path, tmp_path: Path) -> None:
    out = tmp_path / "planned.json"
    words = ("emulate", model, "--scales", scales, "--data", samples, "--precision-plan", "--want-snr", 200)
    result = run(*words, "--max-slowdown", "100000%", "-o", out)
    assert result.exit_code == 0, result.stderr
    line = next(line for line in result.stdout.splitlines() if line.startswith("--layerPrecisions="))
    table = ScaleTable.load(out)
    assert table.layer_precisions and set(table.layer_precisions.values()) == {"fp16"}
    assert line == "--layerPrecisions=" + ",".join(f"{name}:fp16" for name in table.layer_precisions)
    assert table.scales == ScaleTable.load(scales).scales
    document = json.loads(run(*words, "--max-slowdown", "0%", "--json").stdout)
    assert document["precision_plan"]["layer_precisions"] == {} and len(document["precision_plan"]["layers"]) == 2


def test_another_models_table_is_told(run, model: Path, samples: Path, scales: Path, tmp_path: Path) -> None:
    out = tmp_path / "rewritten.onnx"
    assert run("optimize", model, out, "--no-verify").exit_code == 0
    result = run("emulate", out, "--scales", scales, "--data", samples)
    assert result.exit_code == 0 and "scales were made for another model" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--scales", "SCALES"), "emulation needs data"),
        (("--scales", "SCALES", "--data", "DATA", "--inputs", "DATA"), "--data and --inputs are given both"),
        (("--scales", "nowhere", "--data", "DATA"), "nowhere"),
        (("--scales", "SCALES", "--data", "DATA", "-o", "OUT"), "-o writes a plan's table"),
        (("--scales", "OTHER", "--data", "DATA"), "names no tensor of this model"),
        (("--scales", "SCALES", "--data", "DATA", "--target", "thor"), "thor"),
    ],
)
def test_wrong_input_is_one_line(
    run, model: Path, samples: Path, scales: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "other.cache").write_text("TRT-8600-EntropyCalibration2\nother: 3c010a14\n")
    places = {"DATA": samples, "SCALES": scales, "OUT": tmp_path / "out", "OTHER": tmp_path / "other.cache"}
    result = run("emulate", model, *(places.get(word, word) for word in words))
    errors = [line for line in result.stderr.splitlines() if line.startswith("[E]")]
    assert result.exit_code == 2 and len(errors) == 1 and message in errors[0], result.stderr


def test_sparsity(run, model: Path, scales: Path) -> None:
    result = run("sparsity", model, "--scales", scales)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("0 of 2 convolutions could be 2:4 sparse on orin-jp6")
    assert "SP-C64: 8 input channels" in result.stdout
    document = json.loads(run("sparsity", model, "--json", "--target", "xavier-jp5").stdout)
    assert document["schema_version"] == 1 and document["eligible_share"] == 0
    assert document["convs"][0]["reasons"][0].startswith("SP-HW")

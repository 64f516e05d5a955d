"""dlarewrite run as a user meets it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest


@pytest.fixture
def parts(run, model: Path, tmp_path: Path) -> Path:
    """The split of the model with the HardSigmoid, which stays on the GPU."""
    out = tmp_path / "parts"
    assert run("split", model, "-o", out).exit_code == 0
    return out


def draw(path: Path, **seeds: int) -> Path:
    """An archive of inputs, each drawn from its seed."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, seed in seeds.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.save(file, np.random.default_rng(seed).normal(size=(1, 8, 8, 8)).astype(np.float32))
    return path


def test_it_runs_the_parts_and_writes_the_outputs(run, parts: Path, model: Path, tmp_path: Path) -> None:
    inputs = draw(tmp_path / "x.npz", images=1)
    result = run("run", parts, "--inputs", inputs, "-o", tmp_path / "y.npz", "--against", model)
    assert result.exit_code == 0, result.stderr
    assert "trunk" in result.stdout and "scores: float32[1,8,8,8] from " in result.stdout
    assert "equal (EXACT: within 1 ulp" in result.stdout and str(inputs) in result.stdout
    assert np.load(tmp_path / "y.npz")["scores"].shape == (1, 8, 8, 8)
    assert f"wrote {tmp_path / 'y.npz'}" in result.stderr


def test_several_samples(run, parts: Path, tmp_path: Path) -> None:
    inputs = draw(tmp_path / "x.npz", **{"0/images": 1, "1/images": 2})
    result = run("run", parts, "--inputs", inputs, "-o", tmp_path / "y.npz", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert len(document["outputs"]) == 2 and all(len(took) == 2 for took in document["seconds"].values())
    found = np.load(tmp_path / "y.npz")
    assert sorted(found.files) == ["0/scores", "1/scores"] and not np.array_equal(found["0/scores"], found["1/scores"])


def test_against_draws_inputs_and_finds_a_difference(run, parts: Path, model: Path, tmp_path: Path) -> None:
    same = run("run", parts, "--against", model, "--seed", "7")
    assert same.exit_code == 0 and "seeds 7" in same.stdout
    from conftest import HARD_SIGMOID, make

    other = make(HARD_SIGMOID.replace("alpha=0.2", "alpha=0.3"), tmp_path / "other.onnx")
    result = run("run", parts, "--against", other)
    assert result.exit_code == 4 and "the parts differ" in result.stderr and "output 'scores'" in result.stderr
    assert "not equal" in result.stdout
    assert run("run", parts, "--against", other, "--rtol", "10").exit_code == 0


def test_a_changed_part_is_run_on_request_only(run, parts: Path, model: Path) -> None:
    changed = onnx.load(parts / "trunk.onnx")
    changed.doc_string = "quantised by hand"
    onnx.save(changed, parts / "trunk.onnx")
    result = run("run", parts, "--against", model)
    assert result.exit_code == 1 and "SHA-256" in result.stderr and "--allow-changed" in result.stderr
    assert run("run", parts, "--against", model, "--allow-changed").exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["parts"], "nothing to run on"),
        (["nowhere", "--inputs", "x.npz"], "'nowhere' is no folder"),
        (["empty", "--inputs", "x.npz"], "empty/manifest.json"),
        (["parts", "--inputs", "no.npz"], "'no.npz' does not exist"),
        (["parts", "--inputs", "wrong.npz"], "wrong.npz does not fit the model"),
        (["parts", "--against", "model.onnx", "-o", "y.npz"], "outputs are written for given inputs"),
        (["parts", "--inputs", "x.npz", "-o", "x.npz"], "is the input"),
        (["parts", "--inputs", "x.npz", "-o", "no/y.npz"], "does not exist"),
        (["parts", "--inputs", "x.npz", "--against", "no.onnx"], "'no.onnx' does not exist"),
        (["parts", "--inputs", "x.npz", "--against", "x.npz"], "x.npz"),
    ],
)
def test_wrong_requests_are_one_line(
    run, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    draw(Path("x.npz"), images=0)
    np.savez("wrong.npz", pictures=np.zeros(3, np.float32))
    result = run("run", *words)
    assert result.exit_code in (1, 2) and said in result.stderr and "internal error" not in result.stderr
    assert sum(line.startswith("[E]") for line in result.stderr.splitlines()) == 1
    assert not Path("y.npz").exists()

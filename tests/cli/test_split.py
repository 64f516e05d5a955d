"""dlarewrite split as a user meets it: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

DETECTING = """
<ir_version: 8, opset_import: ["" : 17]>
g (uint8[1,8,8,8] images) => (float[1,8,8,8] scores, int64[1,1,8,8] best) <float[8,8,3,3] w> {
  f = Cast<to=1>(images)
  a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(f, w)
  b = HardSigmoid<alpha=0.2, beta=0.5>(a)
  c = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(b, w)
  d = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(c, w)
  scores = Erf(d)
  best = ArgMax<axis=1>(d)
}
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    from conftest import make

    return make(DETECTING, tmp_path / "net.onnx")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_splits_proves_and_says_what_crosses(run, net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("split", net, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert files(out) == ["head.onnx", "manifest.json", "runner.py", "tail.onnx", "trunk.onnx"]
    assert result.stdout.startswith("3 parts, 66.7 % of the MACs on the DLA in 1 loadable\n")
    assert "  yields d float32[1,8,8,8] to tail" in result.stdout and "equal (EXACT: " in result.stdout
    assert "36,864 MACs (a): before 'b' (HardSigmoid), which the DLA does not take" in result.stdout
    assert "[I] --optimize" in result.stderr and f"wrote {out / 'head.onnx'}, " in result.stderr


def test_optimize_first_takes_all_of_it(run, net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("split", net, "-o", out, "--optimize", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document == json.loads((out / "manifest.json").read_text())
    assert document["order"] == ["head", "trunk", "tail"] and document["left_out"] == []
    assert document["numerics"] == "ROUNDING" and document["evidence"]["numerics"] == "EXACT"
    assert document["source"] == "net.onnx" and document["target"] == "orin-jp6"
    assert "HardSigmoid" not in {n.op_type for n in onnx.load(out / "trunk.onnx").graph.node}
    assert run("run", out, "--against", net).exit_code == 0


def test_regions_and_a_plan_that_was_edited(run, net: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    assert run("plan", net, "-o", plan).exit_code == 0
    result = run("split", net, "-o", tmp_path / "regions", "--regions", "--plan", plan)
    assert result.exit_code == 0, result.stderr
    document = json.loads((tmp_path / "regions" / "manifest.json").read_text())
    assert document["kind"] == "regions" and [p["device"] for p in document["parts"]].count("dla") >= 1
    assert document["notes"] == []
    plan.write_text(plan.read_text().replace("- d\n", "- scores\n", 1))
    result = run("split", net, "-o", tmp_path / "trunk", "--plan", plan)
    assert result.exit_code == 0, result.stderr
    assert "The plan does not fit everywhere:" in result.stdout and "node 'scores' is gpu (" in result.stdout


def test_a_folder_in_use_is_replaced_on_request_only(run, net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("split", net, "-o", out).exit_code == 0
    before = files(out)
    again = run("split", net, "-o", out)
    assert again.exit_code == 2 and "is not empty" in again.stderr and "--force" in again.stderr
    assert run("split", net, "-o", out, "--force", "--optimize").exit_code == 0
    assert files(out) == before and [p.name for p in sorted(tmp_path.iterdir())] == ["net.onnx", "out"]
    (out / "mine.txt").write_text("keep me")
    refused = run("split", net, "-o", out, "--force")
    assert refused.exit_code == 2 and "'mine.txt'" in refused.stderr and (out / "mine.txt").exists()


def test_a_folder_is_not_replaced_while_the_model_lies_in_it(run, net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("split", net, "-o", out).exit_code == 0
    result = run("split", out / "tail.onnx", "-o", out, "--force")
    assert result.exit_code == 2 and "would be replaced" in result.stderr


def test_dynamic_shapes_are_frozen_or_asked_for(run, dynamic: Path, tmp_path: Path) -> None:
    result = run("split", dynamic, "-o", tmp_path / "out")
    assert result.exit_code == 2 and "static shapes" in result.stderr and not (tmp_path / "out").exists()
    result = run("split", dynamic, "-o", tmp_path / "out", "--shape", "images:1x8x8x8")
    assert result.exit_code == 0, result.stderr
    assert run("run", tmp_path / "out", "--against", dynamic).exit_code == 0


def test_a_trunk_without_work_is_warned_of(run, tmp_path: Path) -> None:
    from conftest import make

    text = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[1,8,8,8] x) => (float[1,8,8,16] y) <float[8,16] m> { a = Relu(x) b = Erf(a) y = MatMul(b, m) }"""
    result = run("split", make(text, tmp_path / "m.onnx"), "-o", tmp_path / "out")
    assert result.exit_code == 0 and "[W] less than 2% of the MACs go to the DLA" in result.stderr


def test_no_verify_says_so(run, net: Path, tmp_path: Path) -> None:
    result = run("split", net, "-o", tmp_path / "out", "--no-verify")
    assert result.exit_code == 0 and "not proven: verification was turned off" in result.stdout
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["evidence"]["ok"] is False


def test_a_custom_operator_is_cut_at(run, tmp_path: Path) -> None:
    from conftest import CUSTOM, make

    result = run("split", make(CUSTOM, tmp_path / "c.onnx", check=False), "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "cut at: com.example.Swirl -> scores" in result.stdout


def test_without_a_proof_nothing_is_written(run, tmp_path: Path) -> None:
    """What the custom operator makes has no known shape, so the proof cannot go around it."""
    from conftest import CUSTOM, make

    text = CUSTOM.replace("scores = com.example.Swirl(a)", "u = com.example.Swirl(a) scores = Relu(u)")
    custom, out = make(text, tmp_path / "c.onnx", check=False), tmp_path / "out"
    result = run("split", custom, "-o", out)
    assert result.exit_code == 1 and "--no-verify" in result.stderr and not out.exists()
    assert run("split", custom, "-o", out, "--no-verify").exit_code == 0 and out.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing.onnx", "-o", "out"], "'missing.onnx' does not exist"),
        (["net.onnx", "-o", "no/where"], "does not exist"),
        (["net.onnx", "-o", "net.onnx"], "is a file"),
        (["net.onnx"], "Missing option '-o'"),
        (["net.onnx", "-o", "out", "--plan", "bad.onnx"], "plan 'bad.onnx'"),
        (["net.onnx", "-o", "out", "--plan", "no.yaml"], "cannot read plan 'no.yaml'"),
        (["net.onnx", "-o", "out", "--regions", "--max-loadables", "2"], "--max-loadables is for the trunk"),
        (["net.onnx", "-o", "out", "--max-loadables", "0"], "0 is not in the range"),
        (["net.onnx", "-o", "out", "--inputs", "no.npz"], "no.npz"),
        (["bad.onnx", "-o", "out"], "bad.onnx"),
    ],
)
def test_wrong_requests_are_one_line(
    run, net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.onnx").write_text("version https://git-lfs")
    result = run("split", *words)
    assert result.exit_code in (1, 2) and said in result.stderr and "internal error" not in result.stderr
    assert sum(line.startswith("[E]") for line in result.stderr.splitlines()) == 1
    assert files(tmp_path) == ["bad.onnx", "net.onnx"]

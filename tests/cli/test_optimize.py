"""dlarewrite optimize, the real thing on a small model."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from conftest import hard_sigmoid_pass

from dlarewrite.errors import MismatchError

LIAR = hard_sigmoid_pass("liar", 'edit.replace_uses(node.outputs[0], edit.op("Neg", [node.inputs[0]]))')


def test_it_rewrites_proves_and_writes(run, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    result = run("optimize", model, out)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == f"[I] wrote {out}\n"
    onnx.checker.check_model(onnx.load(out), full_check=True)
    assert "HardSigmoid" not in {n.op_type for n in onnx.load(out).graph.node}
    first = result.stdout.splitlines()[0]
    assert first.startswith("GPU nodes 1 -> 0, MACs on the DLA ") and "loadables 2 -> 1" in first
    order = [result.stdout.index(part) for part in ("Passes that fired", "hard-sigmoid", "off the DLA", "Proven equal")]
    assert order == sorted(order)
    assert "seeds 0, 1, 2" in result.stdout and "scores" in result.stdout


def test_json_is_one_document_and_nothing_else(run, model: Path, tmp_path: Path) -> None:
    result = run("optimize", model, tmp_path / "out.onnx", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["schema_version"] == 1 and document["target"]["name"] == "orin-jp6"
    figures = {"nodes", "gpu_nodes", "macs", "dla_macs", "loadables", "crossings", "bytes_crossed"}
    assert figures <= set(document["before"]) and figures <= set(document["after"])
    assert document["before"]["gpu_nodes"] == 1 and document["after"]["gpu_nodes"] == 0
    assert {p["name"]: p["fired"] for p in document["passes"]}["hard-sigmoid"] == 1
    assert document["evidence"]["ok"] is True
    names = [n["name"] for n in document["nodes"]]
    assert len(names) == len(onnx.load(tmp_path / "out.onnx").graph.node)
    for node in document["nodes"]:
        assert node["verdict"] in ("dla", "uncertain", "gpu", "unknown", "folded", "noop")
        assert set(node) >= {"name", "op", "outputs", "verdict", "findings"}


def test_skip(run, model: Path, tmp_path: Path) -> None:
    result = run("optimize", model, tmp_path / "out.onnx", "--skip", "hard-sigmoid")
    assert result.exit_code == 0, result.stderr
    assert "On the GPU (still)" in result.stdout and "HardSigmoid" in result.stdout
    assert "HardSigmoid" in {n.op_type for n in onnx.load(tmp_path / "out.onnx").graph.node}


def test_only_one_pass_and_a_pipeline(run, model: Path, tmp_path: Path) -> None:
    for number, words in enumerate((["--pass", "hard-sigmoid"], ["--pipeline", "(hard-sigmoid)*"])):
        result = run("optimize", model, tmp_path / f"{number}.onnx", "--json", *words)
        assert result.exit_code == 0, result.stderr
        fired = {p["name"]: p["fired"] for p in json.loads(result.stdout)["passes"]}
        assert fired["hard-sigmoid"] == 1


def test_limit_stops_early(run, model: Path, tmp_path: Path) -> None:
    result = run("optimize", model, tmp_path / "out.onnx", "--limit", "0", "--json")
    assert result.exit_code == 0, result.stderr
    assert sum(p["fired"] for p in json.loads(result.stdout)["passes"]) == 0


def test_no_verify_says_so(run, model: Path, tmp_path: Path) -> None:
    for word in (["--no-verify"], ["--verify", "off"]):
        result = run("optimize", model, tmp_path / "out.onnx", *word)
        assert result.exit_code == 0, result.stderr
        assert "Not verified" in result.stdout and "Proven" not in result.stdout


def test_print_after_goes_to_stderr(run, model: Path, tmp_path: Path) -> None:
    result = run("optimize", model, tmp_path / "out.onnx", "--json", "--print-after", "hard-sigmoid")
    assert result.exit_code == 0, result.stderr
    json.loads(result.stdout)
    assert "// after hard-sigmoid (1 rewrites)" in result.stderr and "Clip" in result.stderr


def test_dump_each(run, model: Path, tmp_path: Path) -> None:
    result = run("optimize", model, tmp_path / "out.onnx", "--dump-each", tmp_path / "steps")
    assert result.exit_code == 0, result.stderr
    steps = sorted(path.name for path in (tmp_path / "steps").iterdir())
    assert any(name.endswith("-hard-sigmoid.onnx") for name in steps)


def test_progress_is_plain_lines_with_v(run, model: Path, tmp_path: Path) -> None:
    result = run("optimize", model, tmp_path / "out.onnx", "-v")
    assert "[V] optimize: load" in result.stderr and "[V] optimize: hard-sigmoid" in result.stderr


def test_a_mismatch_writes_nothing(run, model: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "liar.py"
    plugin.write_text(LIAR)
    out = tmp_path / "out.onnx"
    result = run("optimize", model, out, "--plugin", plugin)
    assert result.exit_code == MismatchError.exit_code == 4
    assert "pass 'liar' changed the outputs" in result.stderr.splitlines()[0]
    assert "--skip liar" in result.stderr
    assert result.stdout == "" and not out.exists()


def test_keep_going_takes_the_pass_back(run, model: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "liar.py"
    plugin.write_text(LIAR)
    out = tmp_path / "out.onnx"
    result = run("optimize", model, out, "--plugin", plugin, "--keep-going")
    assert result.exit_code == 0, result.stderr
    assert "[W] pass 'liar' changed the outputs" in result.stderr
    assert "Taken back" in result.stdout and "Proven equal" in result.stdout
    assert "Neg" not in {n.op_type for n in onnx.load(out).graph.node}


@pytest.mark.parametrize("link", ["same", "symlink", "hardlink", "relative"])
def test_output_is_the_input(run, model: Path, tmp_path: Path, link: str, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = model.read_bytes()
    out = {"same": model, "relative": Path("sub") / ".." / model.name}.get(link, tmp_path / "link.onnx")
    (tmp_path / "sub").mkdir()
    if link == "symlink":
        out.symlink_to(model)
    if link == "hardlink":
        out.hardlink_to(model)
    result = run("optimize", model, out)
    assert result.exit_code == 2
    assert "is the input model" in result.stderr
    assert model.read_bytes() == before


def test_a_plan_holds_back_what_it_leaves_to_the_gpu_and_names_what_no_longer_fits(
    run, model: Path, tmp_path: Path
) -> None:
    import yaml

    plan = tmp_path / "plan.yaml"
    assert run("plan", model, "-o", plan).exit_code == 0
    data = yaml.safe_load(plan.read_text())
    refused = next(iter(data["gpu"]))
    free = run("optimize", model, tmp_path / "free.onnx", "--plan", plan, "--json")
    data["gpu"] = dict.fromkeys(data["gpu"], "by choice") | {"ghost": "gone"}
    plan.write_text(yaml.safe_dump(data))
    held = run("optimize", model, tmp_path / "held.onnx", "--plan", plan, "--json")
    assert held.exit_code == free.exit_code == 0
    assert "planned nodes that are not in the model: 1, the first: 'ghost'" in held.stderr
    reasons = {r["reason"] for r in json.loads(held.stdout)["refusals"] if refused in r["nodes"]}
    assert "the plan leaves it to the GPU" in reasons
    assert "the plan leaves it to the GPU" not in free.stdout


def test_scales_are_carried_beside_the_model(run, model: Path, tmp_path: Path) -> None:
    import onnx

    from dlarewrite.precision.scales import Certainty, Scale, ScaleTable

    graph = onnx.load(model).graph
    names = [t.name for t in graph.input] + [n for node in graph.node for n in node.output]
    table = tmp_path / "in.json"
    ScaleTable({n: Scale(2.0, "test", Certainty.MEASURED) for n in names}).save(table)
    result = run("optimize", model, tmp_path / "out.onnx", "--scales", table)
    assert result.exit_code == 0
    made = onnx.load(tmp_path / "out.onnx").graph
    carried = ScaleTable.load(tmp_path / "out.scales.json")
    assert {n for node in made.node for n in node.output} <= set(carried.scales)
    assert "has no scale" not in result.stderr


def test_scales_that_cannot_be_read_stop_before_any_work(run, model: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.cache"
    bad.write_text("TRT-8600-EntropyCalibration2\nx: 7fc00000\n")
    result = run("optimize", model, tmp_path / "out.onnx", "--scales", bad)
    assert result.exit_code == 2
    assert "bad.cache:2: " in result.stderr
    assert not (tmp_path / "out.onnx").exists()
    assert run("optimize", model, tmp_path / "out.onnx", "--scales-output", tmp_path / "s.json").exit_code == 2


def test_scales_are_never_written_over_those_that_are_read(run, model: Path, tmp_path: Path) -> None:
    from dlarewrite.precision.scales import Certainty, Scale, ScaleTable

    table = tmp_path / "out.scales.json"  # where OUTPUT's scales go by default
    ScaleTable({"x": Scale(2.0, "test", Certainty.MEASURED)}).save(table)
    before = table.read_bytes()
    result = run("optimize", model, tmp_path / "out.onnx", "--scales", table)
    assert result.exit_code == 2
    assert table.read_bytes() == before
    assert not (tmp_path / "out.onnx").exists()

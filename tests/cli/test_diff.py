"""dlarewrite diff: what changed, grouped by pass; equal; exit codes."""

from __future__ import annotations

import json
from pathlib import Path


def test_it_groups_changes_by_pass(run, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    assert run("optimize", model, out, "--no-verify").exit_code == 0
    result = run("diff", model, out)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert " removed" in lines[0] and lines[0].endswith("kept")
    heading = next(n for n, line in enumerate(lines) if line.startswith("hard-sigmoid: "))
    assert lines[heading + 1].startswith("  - HardSigmoid ")
    assert any(line.startswith("  + ") and " from " in line for line in lines[heading:])


def test_equal_models_are_called_equal(run, model: Path) -> None:
    result = run("diff", model, model, "--exit-code")
    assert result.exit_code == 0
    assert result.stdout == "equal: 3 nodes, nothing changed\n"


def test_exit_code_tells_only_where_asked(run, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    run("optimize", model, out, "--no-verify")
    assert run("diff", model, out).exit_code == 0
    result = run("diff", model, out, "--exit-code")
    assert result.exit_code == 1 and not result.stderr


def test_json_is_one_document(run, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    run("optimize", model, out, "--no-verify")
    document = json.loads(run("diff", model, out, "--json").stdout)
    assert document["schema_version"] == 1 and document["equal"] is False
    assert document["sources"] == {"before": str(model), "after": str(out)}
    assert document["nodes"]["before"] == 3
    group = next(g for g in document["passes"] if g["name"] == "hard-sigmoid")
    assert {c["kind"] for c in group["changes"]} >= {"removed", "added"}
    listed = [c["kind"] for g in document["passes"] for c in g["changes"]]
    counts = document["counts"]
    assert len(listed) == sum(counts.values()) - counts["kept"]
    assert json.loads(run("diff", model, model, "--json").stdout)["equal"] is True


def test_a_missing_file_is_a_usage_error(run, model: Path, tmp_path: Path) -> None:
    result = run("diff", model, tmp_path / "none.onnx")
    assert result.exit_code == 2 and "does not exist" in result.stderr

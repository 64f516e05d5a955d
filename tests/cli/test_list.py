"""dlarewrite list, and completion from the same sources."""

from __future__ import annotations

import json
from pathlib import Path

from click.shell_completion import ShellComplete

from dlarewrite.cli.main import program


def test_passes(run) -> None:
    result = run("list", "passes")
    assert result.exit_code == 0, result.stderr
    assert "hard-sigmoid" in result.stdout and "ROUNDING" in result.stdout
    rows = json.loads(run("list", "passes", "--json").stdout)
    row = next(r for r in rows if r["name"] == "hard-sigmoid")
    assert (row["provider"], row["phase"], row["numerics"]) == ("dlarewrite", "legalise", "ROUNDING")


def test_targets(run) -> None:
    rows = json.loads(run("list", "targets", "--json").stdout)
    assert [r["name"] for r in rows if r["default"]] == ["orin-jp6"]
    assert next(r for r in rows if r["name"] == "orin-jp6")["tensorrt"].startswith("10.3")
    assert "xavier-jp4" in run("list", "targets").stdout


def test_rules(run) -> None:
    everything = json.loads(run("list", "rules", "--json").stdout)
    fewer = json.loads(run("list", "rules", "--target", "xavier-jp4", "--json").stdout)
    assert 0 < len(fewer) < len(everything)
    assert all("X82" in r["columns"] for r in fewer)
    assert fewer[0]["id"] in run("list", "rules", "--target", "xavier-jp4").stdout


def test_rules_of_an_unknown_target(run) -> None:
    result = run("list", "rules", "--target", "orin-jp66")
    assert result.exit_code == 2 and "orin-jp6" in result.stderr


def test_plugins(run) -> None:
    rows = json.loads(run("list", "plugins", "--json").stdout)
    assert rows[0]["plugin"] == "dlarewrite" and rows[0]["status"] == "loaded"
    assert "hard-sigmoid" in rows[0]["passes"]


def test_a_local_file_is_listed(run, tmp_path: Path) -> None:
    run("new", "pass", "my-pass", "--dir", tmp_path)
    assert "my-pass" in run("list", "passes", "--plugin", tmp_path / "my_pass.py").stdout
    rows = json.loads(run("list", "plugins", "--plugin", tmp_path / "my_pass.py", "--json").stdout)
    assert {"plugin": str(tmp_path / "my_pass.py"), "status": "loaded", "passes": ["my-pass"], "reason": ""} in rows


def _complete(args: list[str], incomplete: str) -> list[str]:
    return [item.value for item in ShellComplete(program, {}, "dlarewrite", "X").get_completions(args, incomplete)]


def test_completion() -> None:
    assert _complete([], "opt") == ["optimize"]
    assert _complete(["optimize", "--target"], "xavier-jp4") == ["xavier-jp4"]
    assert "orin-jp6" in _complete(["check", "m.onnx", "--target"], "orin")
    assert _complete(["optimize", "--skip"], "hard-sig") == ["hard-sigmoid"]
    assert _complete(["optimize", "--pass"], "resize-mode,hard-sig") == ["resize-mode,hard-sigmoid"]
    assert _complete(["check", "--format"], "sa") == ["sarif"]

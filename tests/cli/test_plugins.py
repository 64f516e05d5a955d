"""Plugins through the front door: a real distribution is installed, broken ones are reported, clashes name both."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DISTRIBUTION = Path(__file__).parents[1] / "plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which pip installed the distribution; its sources are built in a copy."""
    work = tmp_path_factory.mktemp("plugin")
    shutil.copytree(DISTRIBUTION, work / "source", ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    if all(importlib.util.find_spec(name) for name in ("setuptools", "wheel")):
        command.append("--no-build-isolation")
    command += ["--target", str(work / "site"), str(work / "source")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return work / "site"


def _program(site: Path, *words: object) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "dlarewrite.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)


def test_the_distribution_is_seen(installed: Path) -> None:
    rows = json.loads(_program(installed, "list", "plugins", "--json").stdout)
    assert {
        "plugin": "dlarewrite-redundant-relu",
        "status": "loaded",
        "passes": ["redundant-relu"],
        "reason": "",
    } in rows
    rows = json.loads(_program(installed, "list", "passes", "--json").stdout)
    assert {r["name"]: r["provider"] for r in rows}["redundant-relu"] == "dlarewrite-redundant-relu"


def test_its_pass_runs_in_the_default_pipeline(installed: Path, tmp_path: Path) -> None:
    import onnx
    from conftest import make

    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,2,4,4] x) => (float[1,2,4,4] y) '
    source = make(text + "{ a = Sigmoid(x) b = Relu(a) y = Tanh(b) }", tmp_path / "m.onnx")
    done = _program(installed, "optimize", source, tmp_path / "out.onnx", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert {p["name"]: p["fired"] for p in document["passes"]}["redundant-relu"] == 1
    assert document["evidence"]["ok"] is True
    assert [n.op_type for n in onnx.load(tmp_path / "out.onnx").graph.node] == ["Sigmoid", "Tanh"]


def _distribution(site: Path, name: str, source: str) -> None:
    """What pip leaves behind for a distribution with one module and one entry point."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[dlarewrite.passes]\n{name} = {name}:CATALOGUE\n")
    (site / f"{name}.py").write_text(source)


def test_a_plugin_that_raises_is_reported_and_left_out(run, model: Path, tmp_path: Path, monkeypatch) -> None:
    _distribution(tmp_path / "site", "broken_plugin", "raise RuntimeError('no licence')\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    rows = json.loads(run("list", "plugins", "--json").stdout)
    failed = [r for r in rows if r["status"] == "failed"]
    assert [r["plugin"] for r in failed] == ["broken_plugin"] and "RuntimeError: no licence" in failed[0]["reason"]
    assert "failed" in run("list", "plugins").stdout
    result = run("optimize", model, tmp_path / "out.onnx")
    assert result.exit_code == 0
    assert result.stderr.startswith("[W] plugin 'broken_plugin' is left out: ") and "no licence" in result.stderr


def test_an_entry_point_that_is_no_catalogue(run, tmp_path: Path, monkeypatch) -> None:
    _distribution(tmp_path / "site", "odd_plugin", "CATALOGUE = 3\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    rows = json.loads(run("list", "plugins", "--json").stdout)
    assert [r["reason"] for r in rows if r["status"] == "failed"] == ["odd_plugin:CATALOGUE is not a Catalogue"]


def test_a_name_clash_names_both(run, model: Path, tmp_path: Path, monkeypatch) -> None:
    source = (
        "from dlarewrite.catalogue import Catalogue, PassRef\n"
        "CATALOGUE = Catalogue('rival', (PassRef('hard-sigmoid', 'rival_plugin:Nothing'),))\n"
    )
    _distribution(tmp_path / "site", "rival_plugin", source)
    monkeypatch.syspath_prepend(tmp_path / "site")
    for words in (["list", "plugins"], ["optimize", model, tmp_path / "out.onnx"]):
        result = run(*words)
        assert result.exit_code == 1
        assert "'hard-sigmoid' is provided by both dlarewrite and rival" in result.stderr
    assert not (tmp_path / "out.onnx").exists()


def test_a_name_clash_with_a_local_file(run, model: Path, tmp_path: Path) -> None:
    run("new", "pass", "mine", "--dir", tmp_path)
    plugin = tmp_path / "mine.py"
    plugin.write_text(plugin.read_text().replace('"mine"', '"hard-sigmoid"'))
    result = run("check", model, "--plugin", plugin)
    assert result.exit_code == 1
    assert f"provided by both dlarewrite and {plugin}" in result.stderr

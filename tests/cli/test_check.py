"""dlarewrite check: judgement, gates, formats."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest


def test_it_judges_and_changes_nothing(run, model: Path) -> None:
    before = model.read_bytes()
    result = run("check", model)
    assert result.exit_code == 0, result.stderr
    assert model.read_bytes() == before
    lines = result.stdout.splitlines()
    assert lines[0].startswith(("Worth", "Probably", "Not worth", "Stay", "The model"))
    assert "1 on the GPU" in lines[1]
    assert "HardSigmoid" in result.stdout and "hard-sigmoid" in result.stdout
    header = next(line for line in lines if line.startswith("Operator"))
    assert header.split() == ["Operator", "Count", "Rule", "Reason", "Nodes", "Cure"]
    assert "Not checked" in result.stdout


def test_json_is_one_document(run, model: Path) -> None:
    for words in (["--json"], ["--format", "json"]):
        document = json.loads(run("check", model, *words).stdout)
        assert document["before"] == document["after"]
        assert document["passes"] == [] and document["evidence"] is None
        assert [n["op"] for n in document["nodes"]] == ["Conv", "HardSigmoid", "Conv"]
        (finding,) = [f for n in document["nodes"] if n["verdict"] == "gpu" for f in n["findings"]][:1]
        assert finding["rule"] and finding["source"] and finding["cure"] == "hard-sigmoid"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["--require-full-dla"], "require-full-dla"),
        (["--min-dla-work", "100%"], None),
        (["--max-loadables", "1"], "max-loadables"),
        (["--max-loadables", "2"], None),
        (["--max-crossings", "1"], "max-crossings"),
        (["--max-crossings", "2"], None),
    ],
)
def test_gates(run, model: Path, words: list[str], name: str | None) -> None:
    result = run("check", model, *words)
    assert result.exit_code == (3 if name else 0), result.stderr
    if name:
        assert result.stderr.startswith(f"[E] {name} demands ")
    assert ("NOT met: " if name else "met: ") in result.stdout
    document = json.loads(run("check", model, *words, "--json").stdout)
    assert [gate["ok"] for gate in document["gates"]] == [name is None]


def test_min_dla_work_fails_where_a_convolution_is_refused(run, tmp_path: Path) -> None:
    from conftest import HARD_SIGMOID, make

    text = HARD_SIGMOID.replace(
        "<kernel_shape=[3,3], pads=[1,1,1,1]>(images, w)", "<kernel_shape=[3,3], pads=[40,40,40,40]>(images, w)"
    )
    text = text.replace("(float[1,8,8,8] scores)", "(float[1,8,86,86] scores)")
    result = run("check", make(text, tmp_path / "pads.onnx"), "--min-dla-work", "95%")
    assert result.exit_code == 3
    assert "min-dla-work demands at least 95 % of the MACs" in result.stderr


@pytest.mark.parametrize("word", ["95", "-1%", "nearly all"])
def test_a_share_that_is_none(run, model: Path, word: str) -> None:
    assert run("check", model, f"--min-dla-work={word}").exit_code == 2


def test_formats(run, model: Path) -> None:
    words = ["check", model, "--require-full-dla", "--format"]
    sarif = json.loads(run(*words, "sarif").stdout)
    assert sarif["version"] == "2.1.0"
    results = sarif["runs"][0]["results"]
    assert {r["level"] for r in results} >= {"error", "warning"}
    junit = ElementTree.fromstring(run(*words, "junit").stdout)
    assert len(junit.findall("testsuite/testcase/failure")) == 1
    assert len(junit.findall("testsuite/testcase/skipped")) == 1
    github = run(*words, "github").stdout
    assert github.startswith("::error file=") and "\n::warning file=" in github


def test_dynamic_shapes_are_judged_with_shapes(run, dynamic: Path) -> None:
    document = json.loads(run("check", dynamic, "--shape", "1x8x8x8", "--json").stdout)
    assert document["before"]["gpu_nodes"] == 1


def test_targets_differ(run, model: Path) -> None:
    names = {
        json.loads(run("check", model, "--json", "--target", t).stdout)["target"]["name"]
        for t in ("orin-jp6", "xavier-jp4")
    }
    assert names == {"orin-jp6", "xavier-jp4"}

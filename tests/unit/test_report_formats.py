"""The reports that machines read."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

from report_samples import JUDGED, NODES, REPORT

from dlarewrite.report import gates, github, json_, junit, sarif

GATES = gates.judge(JUDGED, full_dla=True, max_loadables=5)


def test_json_is_the_report() -> None:
    document = json.loads(json_.render(REPORT))
    assert document["schema_version"] == 1
    assert document["after"]["loadables"] == 1
    assert "gates" not in document
    assert [n["name"] for n in document["nodes"]] == [n.name for n in NODES]


def test_json_carries_the_gates() -> None:
    document = json.loads(json_.render(JUDGED, GATES))
    assert [(g["name"], g["ok"]) for g in document["gates"]] == [("require-full-dla", False), ("max-loadables", True)]


def test_sarif() -> None:
    run = json.loads(sarif.render(JUDGED, GATES, "1.2.3"))["runs"][0]
    assert run["tool"]["driver"]["version"] == "1.2.3"
    rules = [r["id"] for r in run["tool"]["driver"]["rules"]]
    assert len(rules) == len(set(rules))
    assert {r["ruleId"] for r in run["results"]} == set(rules)
    found = [(r["ruleId"], r["level"]) for r in run["results"]]
    assert found == [
        ("GATE-REQUIRE-FULL-DLA", "error"),
        ("GEN-LOADABLES", "none"),
        ("POOL-WIN", "warning"),
        ("POOL-WIN", "warning"),
        ("POOL-WIN", "warning"),
        ("POOL-PAD", "warning"),
        ("RSZ-MODE", "note"),
        ("UNKNOWN-OPERATOR", "warning"),
    ]
    pool = run["results"][2]
    assert pool["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "nets/a%2Cb%3A%20100%25.onnx"
    assert pool["locations"][0]["logicalLocations"][0]["name"] == "pool1"
    assert "Pass pool-window rewrites it." in pool["message"]["text"]


def test_junit_fails_for_gates_and_skips_for_nodes() -> None:
    root = ElementTree.fromstring(junit.render(JUDGED, GATES).encode())
    first, second = root.findall("testsuite")
    assert (first.get("tests"), first.get("failures")) == ("2", "1")
    assert [c.get("name") for c in first.findall("testcase") if c.find("failure") is not None] == ["require-full-dla"]
    assert (second.get("tests"), second.get("failures"), second.get("skipped")) == ("7", "0", "5")
    skipped = [c for c in second.findall("testcase") if c.find("skipped") is not None]
    assert [c.get("name") for c in skipped] == ["pool1", "pool2", "pool3", "up", "odd [red]"]
    assert skipped[2].find("skipped").get("message") == (  # type: ignore[union-attr]
        "gpu: POOL-WIN: window 9, at most 8; POOL-PAD: pads 9, at most 7"
    )


def test_junit_survives_what_xml_cannot_hold() -> None:
    odd = replace(NODES[0], name='a\x00<b>&"\ud800')
    root = ElementTree.fromstring(junit.render(replace(JUDGED, nodes=(odd,))).encode())
    assert root.findall("testsuite/testcase")[0].get("name") == 'a?<b>&"?'


def test_github() -> None:
    lines = github.render(JUDGED, GATES).splitlines()
    file = "file=nets/a%2Cb%3A 100%25.onnx"
    assert lines[0].startswith(f"::error {file},title=require-full-dla::NOT met: ")
    assert lines[1].startswith(f"::warning {file},title=POOL-WIN::2 MaxPool nodes off the DLA: window 13")
    assert lines[2].startswith(f"::warning {file},title=POOL-WIN%2C POOL-PAD::1 MaxPool node off the DLA")
    assert "%0Anodes: pool1, pool2%0Acure: pool-window" in lines[1]
    assert lines[3].startswith(f"::warning {file},title=unknown::1 Swirl node off the DLA: no rule")
    assert lines[4].startswith(f"::notice {file},title=RSZ-MODE::")
    assert lines[5] == f"::notice {file},title=dlarewrite orin-jp6::{JUDGED.verdict.replace('%', '%25')}"
    assert len(lines) == 6

"""SARIF 2.1.0: a result for each finding on each node, and for each gate not met."""

from __future__ import annotations

import urllib.parse
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from dlarewrite.report.groups import NO_RULE, OFF_DLA
from dlarewrite.report.json_ import document_text

if TYPE_CHECKING:
    from dlarewrite.outcome import NodeEntry, Report
    from dlarewrite.report.gates import Gate
    from dlarewrite.target import Finding

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVEL = {"gpu": "warning", "uncertain": "note", "note": "none"}
_UNKNOWN = "UNKNOWN-OPERATOR"
_GATE = "GATE-"


def render(report: Report, gates: tuple[Gate, ...], version: str) -> str:
    """The document; ``version`` is dlarewrite's."""
    rules: dict[str, dict[str, Any]] = {}
    results = [_gate(report, gate, rules) for gate in gates if not gate.ok]
    results += [_finding(report, finding, None, rules) for finding in report.findings]
    for node in report.nodes:
        if node.verdict not in OFF_DLA:
            continue
        results += [_finding(report, finding, node, rules) for finding in node.findings]
        if not node.findings:
            _rule(rules, _UNKNOWN, NO_RULE, "")
            results.append(_result(report, _UNKNOWN, "warning", f"{node.op}: {NO_RULE}", node))
    driver = {"name": "dlarewrite", "version": version, "semanticVersion": version, "rules": list(rules.values())}
    run = {
        "tool": {"driver": driver},
        "results": results,
        "properties": {"target": report.target.name, "verdict": report.verdict},
    }
    return document_text({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _gate(report: Report, gate: Gate, rules: dict[str, dict[str, Any]]) -> dict[str, Any]:
    rule = _GATE + gate.name.upper()
    _rule(rules, rule, f"the gate --{gate.name}", "")
    return _result(report, rule, "error", str(gate), None)


def _finding(
    report: Report, finding: Finding, node: NodeEntry | None, rules: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    _rule(rules, finding.rule, finding.rule, finding.source)
    cure = f" Pass {finding.cure} rewrites it." if finding.cure else ""
    message = f"{finding.message} ({finding.evidence.value}).{cure}"
    return _result(report, finding.rule, _LEVEL[finding.effect], message, node)


def _rule(rules: dict[str, dict[str, Any]], rule: str, text: str, source: str) -> None:
    if rule not in rules:
        rules[rule] = {"id": rule, "shortDescription": {"text": text}}
        if source:
            rules[rule]["help"] = {"text": source}


def _result(report: Report, rule: str, level: str, message: str, node: NodeEntry | None) -> dict[str, Any]:
    path = urllib.parse.quote(PurePath(report.source).as_posix())
    location: dict[str, Any] = {"physicalLocation": {"artifactLocation": {"uri": path}}}
    if node is not None:
        location["logicalLocations"] = [
            {"name": node.name, "kind": "node", "fullyQualifiedName": f"{node.op} {node.name}"}
        ]
    return {"ruleId": rule, "level": level, "message": {"text": message}, "locations": [location]}

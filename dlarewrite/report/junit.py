"""JUnit XML: a test case for each gate, which can fail, and for each node, which is skipped where it is off the DLA.

A node off the DLA is a fact, not a failure: what fails a build is a gate that the caller set.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from dlarewrite.report.groups import NO_RULE, OFF_DLA

if TYPE_CHECKING:
    from dlarewrite.outcome import NodeEntry, Report
    from dlarewrite.report.gates import Gate

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(report: Report, gates: tuple[Gate, ...] = ()) -> str:
    """The document, with an XML declaration."""
    root = ElementTree.Element("testsuites", name=_clean(f"dlarewrite {report.target.name}"))
    suite = _suite(root, f"{report.source} gates", len(gates), sum(not g.ok for g in gates), 0)
    for gate in gates:
        case = ElementTree.SubElement(suite, "testcase", classname="gate", name=gate.name)
        if not gate.ok:
            ElementTree.SubElement(case, "failure", message=_clean(str(gate)))
    off = sum(node.verdict in OFF_DLA for node in report.nodes)
    suite = _suite(root, f"{report.source} nodes", len(report.nodes), 0, off)
    for node in report.nodes:
        _case(suite, node)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'


def _suite(root: ElementTree.Element, name: str, tests: int, failures: int, skipped: int) -> ElementTree.Element:
    counts = {"tests": str(tests), "failures": str(failures), "errors": "0", "skipped": str(skipped)}
    return ElementTree.SubElement(root, "testsuite", {"name": _clean(name), **counts})


def _case(suite: ElementTree.Element, node: NodeEntry) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=_clean(node.op), name=_clean(node.name))
    if node.verdict in OFF_DLA:
        reasons = "; ".join(f"{f.rule}: {f.message}" for f in node.findings) or NO_RULE
        ElementTree.SubElement(case, "skipped", message=_clean(f"{node.verdict}: {reasons}"))


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return _NOT_XML.sub("?", text)

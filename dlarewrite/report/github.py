"""Workflow commands of GitHub Actions: an annotation for each group of nodes off the DLA and each gate not met."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlarewrite.report.figures import plural, some
from dlarewrite.report.groups import NO_RULE, Group, off_dla

if TYPE_CHECKING:
    from dlarewrite.outcome import Report
    from dlarewrite.report.gates import Gate

_LEVEL = {"gpu": "warning", "unknown": "warning", "uncertain": "notice"}


def render(report: Report, gates: tuple[Gate, ...] = ()) -> str:
    """One command a line: gates first, then groups, then the verdict as a notice."""
    lines = [_command("error", report.source, gate.name, str(gate)) for gate in gates if not gate.ok]
    lines += [_group(report.source, group) for group in off_dla(report)]
    lines.append(_command("notice", report.source, f"dlarewrite {report.target.name}", report.verdict))
    return "\n".join(lines)


def _group(source: str, group: Group) -> str:
    rules = ", ".join(r.finding.rule for r in group.reasons) or group.verdict
    reasons = "; ".join(r.text for r in group.reasons) or NO_RULE
    cure = f"\ncure: {', '.join(group.cures)}" if group.cures else ""
    names = some([n.name for n in group.nodes])
    message = f"{plural(len(group.nodes), group.op + ' node')} off the DLA: {reasons}\nnodes: {names}{cure}"
    return _command(_LEVEL[group.verdict], source, rules, message)


def _command(level: str, file: str, title: str, message: str) -> str:
    return f"::{level} file={_property(file)},title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

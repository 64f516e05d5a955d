"""Nodes off the DLA, put together where operator, verdict and rules are the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlarewrite.outcome import NodeEntry, Report
    from dlarewrite.target import Finding

OFF_DLA = ("gpu", "uncertain", "unknown")
NO_RULE = "no rule covers this operator"


@dataclass
class Reason:
    """One rule that several nodes break; ``messages`` are the distinct ones, each with its own figures."""

    finding: Finding
    messages: dict[str, None] = field(default_factory=dict)

    @property
    def text(self) -> str:
        more = len(self.messages) - 1
        return next(iter(self.messages)) + (f" (and {more} other value{'s' if more > 1 else ''})" if more else "")


@dataclass
class Group:
    """Nodes of one operator that share verdict and rules; ``reasons`` are in the order of the findings."""

    op: str
    verdict: str
    nodes: list[NodeEntry] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)

    @property
    def cures(self) -> tuple[str, ...]:
        """Passes that cure some of it, each once."""
        return tuple(dict.fromkeys(r.finding.cure for r in self.reasons if r.finding.cure))


def off_dla(report: Report) -> list[Group]:
    """The groups of all nodes off the DLA: gpu, then unknown, then uncertain, the largest first."""
    found: dict[tuple[str, ...], Group] = {}
    for node in report.nodes:
        if node.verdict not in OFF_DLA:
            continue
        broken = [f for f in node.findings if f.effect != "note"]
        key = (node.verdict, node.op, *dict.fromkeys(f.rule for f in broken))
        group = found.setdefault(key, Group(node.op, node.verdict))
        group.nodes.append(node)
        for finding in broken:
            _add(group, finding)
    order = {"gpu": 0, "unknown": 1, "uncertain": 2}
    return sorted(found.values(), key=lambda g: (order[g.verdict], -len(g.nodes), g.op))


def _add(group: Group, finding: Finding) -> None:
    reason = next((r for r in group.reasons if r.finding.rule == finding.rule), None)
    if reason is None:
        reason = Reason(finding)
        group.reasons.append(reason)
    reason.messages[finding.message] = None

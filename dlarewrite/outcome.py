"""What a run found, as values: the report that text, JSON, SARIF and JUnit are rendered from."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from dlarewrite.ir.model import Model
from dlarewrite.ir.view import label
from dlarewrite.partition.islands import without_islands
from dlarewrite.partition.summary import Placement, Summary, place, summarise
from dlarewrite.rewrite.manager import PassRecord, RefusalRecord
from dlarewrite.target import Finding, Judgement, Target
from dlarewrite.verify import Evidence

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class NodeEntry:
    """One node of the final graph; ``name`` is the node's own, or its first output's where it has none."""

    name: str
    op: str
    outputs: tuple[str, ...]
    verdict: str
    findings: tuple[Finding, ...]
    region: int | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "op": self.op,
            "outputs": list(self.outputs),
            "verdict": self.verdict,
            "region": self.region,
            "findings": [finding_dict(f) for f in self.findings],
        }


@dataclass(frozen=True)
class Report:
    """A judged model (``after`` is None), or a rewritten one with all that happened on the way."""

    source: str
    target: Target
    before: Summary
    nodes: tuple[NodeEntry, ...]
    findings: tuple[Finding, ...]
    not_checked: tuple[str, ...]
    after: Summary | None = None
    passes: tuple[PassRecord, ...] = ()
    refusals: tuple[RefusalRecord, ...] = ()
    evidence: Evidence | None = None
    rolled_back: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    planned: Summary | None = None
    """The final graph's figures with islands left to the GPU, as `plan` and `build` place it."""

    @property
    def summary(self) -> Summary:
        """The figures of the graph that the run ended with."""
        return self.after or self.before

    @property
    def verdict(self) -> str:
        """One sentence: worth it or not, with the work behind it."""
        return worth(self.planned or self.summary)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the layout is versioned by ``schema_version``."""
        profile = self.target.profile
        return {
            "schema_version": SCHEMA_VERSION,
            "source": self.source,
            "target": {
                "name": profile.name,
                "title": profile.title,
                "tensorrt": ".".join(map(str, profile.tensorrt)),
                "precision": self.target.precision.value,
            },
            "verdict": self.verdict,
            "before": asdict(self.before),
            "after": asdict(self.summary),
            "planned": asdict(self.planned or self.summary),
            "passes": [
                {
                    "name": p.name,
                    "numerics": str(p.numerics),
                    "fired": p.fired,
                    "seconds": round(p.seconds, 6),
                    "details": list(p.details),
                }
                for p in self.passes
            ],
            "refusals": [{"pass": r.by, "reason": r.reason, "nodes": list(r.nodes)} for r in self.refusals],
            "rolled_back": list(self.rolled_back),
            "notes": list(self.notes),
            "evidence": self.evidence.to_dict() if self.evidence is not None else None,
            "nodes": [n.to_dict() for n in self.nodes],
            "findings": [finding_dict(f) for f in self.findings],
            "not_checked": list(self.not_checked),
        }


def finding_dict(finding: Finding) -> dict[str, str]:
    """A finding as plain strings."""
    return {
        "rule": finding.rule,
        "evidence": finding.evidence.value,
        "effect": finding.effect,
        "message": finding.message,
        "cure": finding.cure,
        "source": finding.source,
    }


def describe(
    source: str, target: Target, model: Model, judgement: Judgement, placed: Placement | None = None
) -> Report:
    """The report on a judged model; ``placed`` is what the verdicts allow, where it is known already."""
    placed = placed or place(model, judgement, target)
    home = _homes(placed)
    entries = []
    for node in model.nodes:
        found = judgement.verdicts[id(node)]
        outputs = tuple(t.name for t in node.outputs if t.name)
        entries.append(
            NodeEntry(label(node), node.op, outputs, found.verdict.value, found.findings, home.get(id(node)))
        )
    summary = summarise(model, judgement, target, placed)
    planned = summarise(model, judgement, target, without_islands(model, judgement, target, placed))
    return Report(source, target, summary, tuple(entries), judgement.findings, judgement.not_checked, planned=planned)


def _homes(placed: Placement) -> dict[int, int]:
    return {id(placed.flow.nodes[i]): number for number, region in enumerate(placed.regions) for i in region}


def worth(summary: Summary) -> str:
    """The verdict sentence. Whether an engine is faster only a board can show; this speaks of work and crossings."""
    share = f"{100 * summary.dla_share:.1f} % of {_big(summary.macs)} MACs"
    if not summary.macs:
        return "The model has no convolution or matrix product that the DLA could take over."
    if not summary.dla_macs:
        return f"Stay on the GPU: the DLA takes none of the {_big(summary.macs)} MACs."
    loadables = f"{summary.loadables} loadable{'s' if summary.loadables != 1 else ''}"
    crossings = f"{summary.crossings} crossing{'s' if summary.crossings != 1 else ''}"
    if summary.loadables == 1 and summary.dla_share >= 0.95:
        return f"Worth it: one loadable holds {share}, {crossings}."
    if summary.dla_share >= 0.75 and summary.loadables <= 4:
        return f"Probably worth it: {loadables} hold {share}, {crossings}."
    return f"Not worth it as it is: {share} in {loadables} with {crossings}."


def _big(number: int) -> str:
    for scale, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= scale:
            return f"{number / scale:.2f} {unit}"
    return str(number)


def refused_operators(report: Report) -> Counter[str]:
    """Operators off the DLA, by count."""
    return Counter(n.op for n in report.nodes if n.verdict in ("gpu", "uncertain", "unknown"))

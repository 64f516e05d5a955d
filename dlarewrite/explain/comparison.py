"""The rule book against a log: where they agree, where they do not, and which rules that speaks for or against."""

from __future__ import annotations

from dataclasses import dataclass

from dlarewrite.explain.mapping import NodeIndex, Placing, place
from dlarewrite.explain.reading import Reading
from dlarewrite.outcome import Report

AGREE, STRICT, LENIENT, SETTLED, CAPPED = "agree", "strict", "lenient", "settled", "capped"


@dataclass(frozen=True)
class Row:
    """One node that the log places and the rule book judges.

    ``kind``: agree; strict (we said gpu, the DLA took it); lenient (we said dla, it was refused); settled (we were
    uncertain, the log decides); capped (legal, but TensorRT ran out of loadables). ``rules`` are those of our findings
    that spoke for the GPU, ``logged`` those that the log's sentences point to. ``named``: the log names the node, else
    it lies between the ends of a region.
    """

    name: str
    op: str
    device: str
    verdict: str
    kind: str
    rules: tuple[str, ...]
    logged: tuple[str, ...]
    named: bool


@dataclass(frozen=True)
class RuleEvidence:
    """A rule in a log: nodes that broke it and ``left`` the DLA, and nodes that ``stayed`` in spite of it."""

    rule: str
    left: int
    stayed: int


@dataclass(frozen=True)
class Comparison:
    """All compared nodes; ``unplaced`` are nodes with layers of which the log says nothing."""

    report: Report
    placing: Placing
    rows: tuple[Row, ...]
    rules: tuple[RuleEvidence, ...]
    unplaced: tuple[str, ...]

    def of_kind(self, kind: str) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.kind == kind)


def compare(reading: Reading, report: Report) -> Comparison:
    """Hold a judged model (:func:`dlarewrite.outcome.describe`) against the log of its build."""
    index = NodeIndex(report.nodes)
    placing = place(reading, index)
    logged, capped = _reasons(reading, placing)
    rows, unplaced = [], []
    stayed: dict[str, int] = {}
    left: dict[str, int] = {}
    for position, node in enumerate(report.nodes):
        if node.verdict in ("folded", "noop"):
            continue
        device = placing.device.get(position)
        if device is None:
            unplaced.append(node.name)
            continue
        rules = tuple(dict.fromkeys(f.rule for f in node.findings if f.effect != "note"))
        kind = _kind(node.verdict, device, position in capped)
        said, named = logged.get(position, ()), position in placing.by_name
        rows.append(Row(node.name, node.op, device, node.verdict, kind, rules, said, named))
        if kind != CAPPED:
            table = stayed if device == "dla" else left
            for rule in rules:
                table[rule] = table.get(rule, 0) + 1
    names = sorted({*stayed, *left}, key=lambda rule: (-stayed.get(rule, 0), -left.get(rule, 0), rule))
    evidence = tuple(RuleEvidence(rule, left.get(rule, 0), stayed.get(rule, 0)) for rule in names)
    return Comparison(report, placing, tuple(rows), evidence, tuple(unplaced))


def _kind(verdict: str, device: str, capped: bool) -> str:
    if verdict in ("uncertain", "unknown"):
        return CAPPED if capped else SETTLED
    if verdict == device:
        return AGREE
    if device == "dla":
        return STRICT
    return CAPPED if capped else LENIENT


def _reasons(reading: Reading, placing: Placing) -> tuple[dict[int, tuple[str, ...]], set[int]]:
    logged: dict[int, tuple[str, ...]] = {}
    capped: set[int] = set()
    for layer in reading.layers:
        rules = tuple(dict.fromkeys(rule for said in layer.said for rule in said.rules))
        for position in placing.layers[layer.name].own:
            logged[position] = tuple(dict.fromkeys((*logged.get(position, ()), *rules)))
            if layer.capped:
                capped.add(position)
    return logged, capped

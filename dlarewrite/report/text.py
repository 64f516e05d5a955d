"""The reports that people read: one for a rewritten model, one for a judged one."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dlarewrite.report.figures import number, percent, plural, size, some
from dlarewrite.report.groups import NO_RULE, Group, off_dla
from dlarewrite.report.tables import section, table

if TYPE_CHECKING:
    from dlarewrite.outcome import Report
    from dlarewrite.partition.summary import Summary
    from dlarewrite.report.gates import Gate
    from dlarewrite.verify import Evidence
    from dlarewrite.verify.outputs import OutputError

_REASONS = 5
_TITLES = {
    "gpu": "On the GPU",
    "unknown": "No rule, counted as GPU",
    "uncertain": "Uncertain, counted as GPU",
}


def optimized(report: Report, width: int) -> str:
    """A rewritten model: figures before and after, verdict, passes, refusals, what is left and why, the proof."""
    parts = ["\n".join([_change(report.before, report.summary), *_planned(report), report.verdict, _subject(report)])]
    if report.rolled_back:
        parts.append(section("Taken back, because the outputs differed", _bullets(report.rolled_back, width)))
    parts.append(_passes(report, width))
    if report.refusals:
        parts.append(_refusals(report, width))
    parts += [_left(report, width, "still "), *_graph(report, width), proof(report.evidence, width)]
    return "\n\n".join(parts)


def judged(report: Report, width: int, gates: tuple[Gate, ...] = ()) -> str:
    """A judged model: verdict, figures, what is off the DLA and why, and what was not checked."""
    parts = ["\n".join([report.verdict, _figures(report.summary), *_planned(report), _subject(report)])]
    if gates:
        parts.append(section("Gates", "\n".join(f"  {gate}" for gate in gates)))
    parts += [_left(report, width, ""), *_graph(report, width)]
    if report.not_checked:
        parts.append(section("Not checked", _bullets(report.not_checked, width)))
    return "\n\n".join(parts)


def _subject(report: Report) -> str:
    return f"{report.source} for {report.target}"


def _change(before: Summary, after: Summary) -> str:
    return (
        f"GPU nodes {before.gpu_nodes} -> {after.gpu_nodes}, "
        f"MACs on the DLA {percent(before.dla_share)} -> {percent(after.dla_share)}, "
        f"loadables {before.loadables} -> {after.loadables}, "
        f"crossings {before.crossings} -> {after.crossings} "
        f"({size(before.bytes_crossed)} -> {size(after.bytes_crossed)})"
    )


def _planned(report: Report) -> list[str]:
    """What the islands make of it, where there are any: TensorRT takes them, a plan leaves them."""
    planned = report.planned
    if planned is None or planned == report.summary:
        return []
    return [
        f"As planned, islands left to the GPU: {plural(planned.loadables, 'loadable')}, "
        f"MACs on the DLA {percent(planned.dla_share)}, {plural(planned.crossings, 'crossing')} "
        f"({size(planned.bytes_crossed)})"
    ]


def _figures(summary: Summary) -> str:
    return (
        f"{plural(summary.nodes, 'node')}, {summary.gpu_nodes} on the GPU "
        f"({summary.uncertain_nodes} uncertain, {summary.unknown_nodes} unknown); "
        f"MACs on the DLA {percent(summary.dla_share)}; {plural(summary.loadables, 'loadable')}, "
        f"{plural(summary.crossings, 'crossing')} ({size(summary.bytes_crossed)})"
    )


def _passes(report: Report, width: int) -> str:
    rows = [(p.name, str(p.fired), str(p.numerics), _lines(p.details) or "-") for p in report.passes if p.fired]
    if not rows:
        return "No pass fired: the model is unchanged."
    return section("Passes that fired", table(("Pass", "Count", "Numerics", "Changed"), rows, width, ("Count",)))


def _refusals(report: Report, width: int) -> str:
    merged: dict[tuple[str, str], list[str]] = {}
    for refusal in report.refusals:
        merged.setdefault((refusal.by, refusal.reason), []).append(some(refusal.nodes))
    rows: list[tuple[str, str, str, str]] = []
    for by in dict.fromkeys(by for by, _ in merged):
        reasons = [(reason, nodes) for (name, reason), nodes in merged.items() if name == by]
        rows += [(by, str(len(nodes)), reason, _lines(nodes)) for reason, nodes in reasons[:_REASONS]]
        if len(reasons) > _REASONS:
            rest = sum(len(nodes) for _, nodes in reasons[_REASONS:])
            rows.append((by, str(rest), f"{len(reasons) - _REASONS} more reasons, see --json", "-"))
    return section("Refused", table(("Pass", "Count", "Reason", "Nodes"), rows, width, ("Count",)))


def _left(report: Report, width: int, still: str) -> str:
    groups = off_dla(report)
    if not groups:
        return f"Nothing is {still}off the DLA."
    return "\n\n".join(
        section(
            f"{_TITLES[verdict]}{' (still)' if still else ''}",
            _nodes([g for g in groups if g.verdict == verdict], width),
        )
        for verdict in _TITLES
        if any(g.verdict == verdict for g in groups)
    )


def _nodes(groups: list[Group], width: int) -> str:
    rows = []
    for group in groups:
        names, cure = _lines([node.name for node in group.nodes]), ", ".join(group.cures) or "-"
        count = str(len(group.nodes))
        for place, reason in enumerate(group.reasons):
            head = (group.op, count) if place == 0 else ("", "")
            tail = (names, cure) if place == 0 else ("", "")
            rows.append((*head, reason.finding.rule, reason.text, *tail))
        if not group.reasons:
            rows.append((group.op, count, "-", NO_RULE, names, cure))
    return table(("Operator", "Count", "Rule", "Reason", "Nodes", "Cure"), rows, width, ("Count",))


def _lines(texts: Sequence[str]) -> str:
    """The first two, one a line so that long ones fold by themselves, and how many more there are."""
    more = len(texts) - 2
    return "\n".join([*texts[:2], f"and {more} more"] if more > 0 else texts)


def _graph(report: Report, width: int) -> list[str]:
    if not report.findings:
        return []
    rows = [(f.rule, f.effect, f.message) for f in report.findings]
    return [section("About the whole graph", table(("Rule", "Effect", "What"), rows, width))]


def _claim(evidence: Evidence) -> str:
    """What the proof shows: equality, or only how far a LOSSY result is from the original."""
    if not evidence.ok:
        return f"NOT equal as {evidence.numerics or 'declared'}"
    if evidence.numerics == "LOSSY":
        return "LOSSY: another function; its measured error"
    return f"Proven equal as {evidence.numerics or 'declared'}"


def proof(evidence: Evidence | None, width: int) -> str:
    """What a proof shows, output by output, and under which circumstances."""
    if evidence is None:
        return "Not verified: nothing shows that the result computes the same (--verify off)."
    if evidence.skipped:
        return f"Not verified: {evidence.skipped}."
    rows = [
        (o.name, o.dtype, number(o.max_abs), number(o.max_rel_of_max), _ulp(o), o.tolerance) for o in evidence.outputs
    ]
    columns = ("Output", "Type", "Max error", "of max|ref|", "ulp", "Tolerance")
    made = [
        _claim(evidence),
        table(columns, rows, width, columns[2:5]),
    ]
    made += [f"  {line}" for line in _circumstances(evidence)]
    return "\n".join(made)


def _ulp(output: OutputError) -> str:
    """Distances in units in the last place say something only where they are what is judged: near 0 they are huge."""
    return str(output.max_ulp) if "ulp" in output.tolerance else "-"


def _circumstances(evidence: Evidence) -> list[str]:
    seeds = ", ".join(map(str, evidence.seeds))
    origin = f"from {evidence.inputs_from}" if evidence.inputs_from else f"drawn with seeds {seeds}"
    ranges = [
        f"{i.name} {i.dtype}[{','.join(map(str, i.shape))}]"
        + (f" in [{number(i.low)}, {number(i.high)}]" if i.low is not None else "")
        for i in evidence.inputs
    ]
    lines = [f"inputs {origin}: {some(ranges, 4)}" if ranges else f"inputs {origin}"]
    if evidence.runtime:
        lines.append(f"by {evidence.runtime}")
    if evidence.cut:
        lines.append(f"fed, not run: {some(evidence.cut)}")
    if evidence.constant_output:
        lines.append("warning: an output was the same for all samples")
    return [*lines, *evidence.notes]


def _bullets(lines: tuple[str, ...], width: int) -> str:
    return "\n".join(
        textwrap.fill(line, max(width, 40), initial_indent="  - ", subsequent_indent="    ") for line in lines
    )

"""A plan for people: the verdict, what runs where and why, what crosses, and what other choices would give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dlarewrite.report.figures import percent, plural, size, some
from dlarewrite.report.tables import section, table

if TYPE_CHECKING:
    from dlarewrite.partition.plan import Alternative, Estimate, Plan, Region

_CROSSINGS = 10
_REASONS = 12


def render(plan: Plan, width: int) -> str:
    """The whole report, ``width`` characters wide."""
    parts = [plan.verdict, _head(plan)]
    if plan.regions:
        parts.append(section("On the DLA", _regions(plan.regions, width)))
    if plan.gpu:
        parts.append(section(f"On the GPU ({plural(len(plan.gpu), 'node')})", _reasons(plan, width)))
    if plan.crossings:
        parts.append(section("Crossing between devices or loadables", _crossings(plan, width)))
    if plan.alternatives:
        parts.append(section("Other choices", alternatives(plan.alternatives, width)))
    return "\n\n".join(filter(None, parts))


def alternatives(found: Sequence[Alternative], width: int) -> str:
    """One line a choice; times are of one inference."""
    rows = [
        (a.option, str(a.loadables), percent(a.dla_share), *_figures(a.estimate), f"{a.estimate.bottleneck_ms:.3f}")
        for a in found
    ]
    columns = ("Choice", "Loadables", "MACs on DLA", "Latency ms", "Energy mJ", "Busier device ms")
    return table(columns, rows, width, columns[1:])


def _head(plan: Plan) -> str:
    lines = [f"{plan.target}, {plan.precision}; {plan.machine}; objective {plan.objective}"]
    for name, found in (("this plan", plan.predicted), ("GPU alone", plan.gpu_only)):
        if found is not None:
            lines.append(
                f"  {name}: {found.latency_ms:.3f} ms = DLA {found.dla_ms:.3f} + GPU {found.gpu_ms:.3f} + hand-overs "
                f"{found.crossing_ms:.3f}; {found.millijoules:.3g} mJ"
            )
    lines.append("  Predicted by a model that was fitted to published figures; not measured on a device.")
    return "\n".join(lines)


def _figures(found: Estimate) -> tuple[str, str]:
    return f"{found.latency_ms:.3f}", f"{found.millijoules:.3g}"


def _regions(regions: Sequence[Region], width: int) -> str:
    rows = [
        (
            r.name,
            str(r.core),
            str(len(r.nodes)),
            f"{r.macs / 1e6:,.1f}",
            size(r.weight_bytes),
            f"{r.milliseconds:.3f}",
            f"{some(r.inputs, 2)} -> {some(r.outputs, 2)}",
        )
        for r in regions
    ]
    columns = ("Region", "Core", "Nodes", "MMAC", "Weights", "ms", "Reads -> makes")
    return table(columns, rows, width, columns[1:6])


def _reasons(plan: Plan, width: int) -> str:
    """Nodes by reason, the most frequent first; a rule's id stands for its sentence."""
    groups: dict[str, list[str]] = {}
    for node, reason in plan.gpu.items():
        groups.setdefault(reason.partition(": ")[0] or reason, []).append(node)
    ranked = sorted(groups.items(), key=lambda g: -len(g[1]))
    rows = [(why, str(len(nodes)), some(nodes, 2)) for why, nodes in ranked[:_REASONS]]
    rest = sum(len(nodes) for _, nodes in ranked[_REASONS:])
    if rest:
        rows.append((f"{plural(len(ranked) - _REASONS, 'more reason')}", str(rest), ""))
    return table(("Why", "Nodes", "Such as"), rows, width, ("Nodes",))


def _crossings(plan: Plan, width: int) -> str:
    ranked = sorted(plan.crossings.items(), key=lambda c: -c[1])
    rows = [(name, size(count)) for name, count in ranked[:_CROSSINGS]]
    rest = ranked[_CROSSINGS:]
    if rest:
        rows.append((plural(len(rest), "more tensor"), size(sum(count for _, count in rest))))
    return table(("Tensor", "Bytes"), rows, width, ("Bytes",))

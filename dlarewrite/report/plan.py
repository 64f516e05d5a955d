"""A plan for people: the verdict, what runs where and why, what crosses, and what other choices would give."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dlarewrite.report.figures import number, percent, plural, size, some
from dlarewrite.report.json_ import document_text
from dlarewrite.report.tables import section, table

if TYPE_CHECKING:
    from dlarewrite.partition.plan import Alternative, Plan, Region

_CROSSINGS = 10
_REASONS = 12


def render(plan: Plan, width: int) -> str:
    """The whole report, ``width`` characters wide."""
    parts = [plan.verdict, _head(plan)]
    if plan.regions:
        parts.append(section("On the DLA, which takes all nodes of a region", _regions(plan.regions, width)))
        parts.append(_borders(plan.regions))
    if plan.gpu:
        parts.append(section(f"On the GPU ({plural(len(plan.gpu), 'node')})", _reasons(plan, width)))
    if plan.crossings:
        parts.append(section("Crossing between devices or loadables", _crossings(plan, width)))
    if plan.alternatives:
        parts.append(section("Other choices", alternatives(plan.alternatives, width)))
    if plan.advice:
        parts.append(section("What to do about it", "\n".join(f"  {line}" for line in plan.advice)))
    return "\n\n".join(filter(None, parts))


def alternatives(found: Sequence[Alternative], width: int) -> str:
    """One line a choice; times are of one inference."""
    named = any(a.name for a in found)
    rows = [
        (
            *([a.name] if named else []),
            a.option,
            str(a.loadables),
            percent(a.dla_share),
            f"{a.estimate.latency_ms:.3f}",
            number(a.estimate.millijoules),
            f"{a.estimate.bottleneck_ms:.3f}",
        )
        for a in found
    ]
    columns = ("Choice", "Loadables", "MACs on DLA", "Latency ms", "Energy mJ", "Busier device ms")
    return table((*(["Best at"] if named else []), *columns), rows, width, columns[1:])


def frontier(found: Sequence[Alternative], form: str, width: int) -> str:
    """The plans that no other one beats in latency and energy at once, as "text", "yaml" or "json"."""
    if form == "text":
        return alternatives(found, width)
    return _document({"version": 1, "frontier": [asdict(a) for a in found]}, form)


def pair(names: tuple[str, str], plans: tuple[Plan, Plan], form: str, width: int) -> str:
    """Two models at once: what each device has to do for one inference of both, then each plan."""
    from dlarewrite.partition.pair import together

    one, other = (p.predicted for p in plans)
    alone = sum(p.gpu_only.latency_ms for p in plans if p.gpu_only is not None)
    if one is None or other is None:
        raise ValueError("a plan without a prediction")
    busy = together(one, other)
    if form != "text":
        figures = {**asdict(busy), "pace": busy.pace, "gpu_alone": alone}
        made = [{"model": n, "plan": p.to_dict()} for n, p in zip(names, plans, strict=True)]
        return _document({"version": 1, "together_ms": figures, "plans": made}, form)
    rows = [(f"DLA for {n}", f"{ms:.3f}") for n, ms in zip(names, busy.cores, strict=True)]
    rows += [("GPU for both, with hand-overs", f"{busy.gpu:.3f}"), ("GPU if it did all of it", f"{alone:.3f}")]
    head = (
        f"One inference of both models every {busy.pace:.3f} ms, the busiest device's time, against {alone:.3f} ms on "
        "the GPU alone"
    )
    parts = [section(n, render(p, width)) for n, p in zip(names, plans, strict=True)]
    return "\n\n".join([head, table(("Busy", "ms"), rows, width, ("ms",)), *parts])


def _document(document: Any, form: str) -> str:
    if form == "json":
        return document_text(document)
    import yaml

    return str(yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False, width=120))


def _head(plan: Plan) -> str:
    lines = [f"{plan.target}, {plan.precision}; {plan.machine}; objective: {plan.objective}"]
    for name, found in (("this plan", plan.predicted), ("GPU alone", plan.gpu_only)):
        if found is not None:
            rate = f"; {1e3 / found.bottleneck_ms:,.0f} inferences/s at most" if found.bottleneck_ms else ""
            lines.append(
                f"  {name}: {found.latency_ms:.3f} ms = DLA {found.dla_ms:.3f} + GPU {found.gpu_ms:.3f} + hand-overs "
                f"{found.crossing_ms:.3f}; {number(found.millijoules)} mJ{rate}"
            )
    if plan.measured:
        lines.append(f"  {plural(plan.measured, 'node')} as the profile measured, the rest predicted.")
    else:
        lines.append("  Predicted by a model that was fitted to published figures; not measured on a device.")
    return "\n".join(lines)


def _regions(regions: Sequence[Region], width: int) -> str:
    rows = [
        (
            r.name,
            str(r.core),
            str(len(r.nodes)),
            f"{r.macs / 1e6:,.1f}",
            size(r.weight_bytes),
            f"{r.milliseconds:.3f}",
            f"{r.gpu_milliseconds:.3f}",
            number(r.millijoules),
            number(r.gpu_millijoules),
            f"{some(r.inputs, 2)} -> {some(r.outputs, 2)}",
        )
        for r in regions
    ]
    columns = ("Region", "Core", "Nodes", "MMAC", "Weights", "ms", "on GPU", "mJ", "on GPU", "Reads -> makes")
    return table(columns, rows, width, columns[1:9])


def _borders(regions: Sequence[Region]) -> str:
    """What keeps each region from being larger."""
    said = [(r.name, r.why.partition("; ")[2]) for r in regions]
    return "\n".join(f"  {name} {why}" for name, why in said[:_CROSSINGS] if why)


def _reasons(plan: Plan, width: int) -> str:
    """Nodes by reason, the most frequent first; each rule with what it says of its first node."""
    groups: dict[str, list[str]] = {}
    for node, reason in plan.gpu.items():
        groups.setdefault(reason.partition(": ")[0] or reason, []).append(node)
    ranked = sorted(groups.items(), key=lambda g: -len(g[1]))
    rows = [(why, str(len(nodes)), _such_as(plan, nodes)) for why, nodes in ranked[:_REASONS]]
    rest = sum(len(nodes) for _, nodes in ranked[_REASONS:])
    if rest:
        rows.append((f"{plural(len(ranked) - _REASONS, 'more reason')}", str(rest), ""))
    return table(("Why", "Nodes", "Such as"), rows, width, ("Nodes",))


def _such_as(plan: Plan, nodes: Sequence[str]) -> str:
    told = plan.gpu[nodes[0]].partition(": ")[2]
    return f"{nodes[0]}: {told}" if told else some(nodes, 2)


def _crossings(plan: Plan, width: int) -> str:
    makers = {t: r.name for r in plan.regions for t in r.outputs}
    readers: dict[str, list[str]] = {}
    for region in plan.regions:
        for name in region.inputs:
            readers.setdefault(name, []).append(region.name)
    ranked = sorted(plan.crossings.items(), key=lambda c: -c[1])
    rows = [
        (name, makers.get(name, "GPU"), some(readers.get(name, ["GPU"]), 2), size(count))
        for name, count in ranked[:_CROSSINGS]
    ]
    rest = ranked[_CROSSINGS:]
    if rest:
        rows.append((plural(len(rest), "more tensor"), "", "", size(sum(count for _, count in rest))))
    return table(("Tensor", "From", "To", "Bytes"), rows, width, ("Bytes",))

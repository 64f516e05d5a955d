"""Narrows a plan to the regions that are worth a loadable: no more than so many, none with fewer layers."""

from __future__ import annotations

from dataclasses import replace

from dlarewrite.partition.plan import Plan


def limit_regions(plan: Plan, max_chunks: int | None = None, min_layers: int | None = None) -> Plan:
    """The plan without regions of fewer than ``min_layers`` nodes, and with the ``max_chunks`` of most MACs at most.

    Nodes of other regions go to the GPU with the reason. Leaving a region out joins no others, since regions are
    apart from each other already.
    """
    large = [r for r in plan.regions if min_layers is None or len(r.nodes) >= min_layers]
    ranked = sorted(large, key=lambda r: (-r.macs, -len(r.nodes), r.name))
    kept = {r.name for r in (ranked if max_chunks is None else ranked[:max_chunks])}
    dropped = [r for r in plan.regions if r.name not in kept]
    if not dropped:
        return plan
    few = {r.name for r in plan.regions} - {r.name for r in large}
    reasons = {
        node: f"region of {len(r.nodes)} nodes, fewer than --min-layers {min_layers}"
        if r.name in few
        else f"over --max-chunks {max_chunks}"
        for r in dropped
        for node in r.nodes
    }
    regions = tuple(r for r in plan.regions if r.name in kept)
    borders = {tensor for r in regions for tensor in (*r.inputs, *r.outputs)}
    return replace(
        plan,
        regions=regions,
        gpu={**plan.gpu, **reasons},
        crossings={name: size for name, size in plan.crossings.items() if name in borders},
        dropped=(*plan.dropped, *reasons),
    )

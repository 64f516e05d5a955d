"""Islands: regions so small beside the others that a loadable and two crossings buy next to nothing."""

from __future__ import annotations

from collections.abc import Collection

from dlarewrite.analysis.cost import macs
from dlarewrite.ir.model import Model
from dlarewrite.partition.summary import Placement, place
from dlarewrite.target import Judgement, Target

ISLAND_SHARE = 0.02
"""Share of the DLA's work below which a region beside a larger one is an island: about what a loadable of a mid-size
network has to hold to pay for 0.1 ms of transition (trtutils' default model)."""


def worthwhile_macs(work: Collection[int]) -> float:
    """MACs below which one of the regions with ``work`` MACs is an island; never more than the largest has."""
    return min(ISLAND_SHARE * sum(work), max(work, default=0))


def without_islands(model: Model, judgement: Judgement, target: Target, placed: Placement) -> Placement:
    """The placement with islands, and the least of what a core cannot hold, left to the GPU."""
    nodes = placed.flow.nodes
    work = {region: sum(macs(nodes[i]) for i in region) for region in placed.regions}
    least = worthwhile_macs(work.values())
    large = sorted((r for r in placed.regions if work[r] >= least), key=lambda r: -work[r])
    kept = {i for region in large[: target.profile.max_loadables] for i in region}
    if len(kept) == sum(map(len, placed.regions)):
        return placed
    return place(model, judgement, target, [i in kept for i in range(len(nodes))])

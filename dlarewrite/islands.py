"""The joint decision: rewrites that only make small islands are declined, so that a model changes as little as it has to.

An island is a region with less than ``SHARE`` of the model's MACs beside a larger one. It costs a loadable and two
crossings and saves next to nothing. The rewrites whose new nodes ended up in islands are named, and the pipeline runs
again without them; the second result is kept where it has fewer loadables and no more crossings.
"""

from __future__ import annotations

from dlarewrite.analysis.cost import macs
from dlarewrite.ir.view import label
from dlarewrite.partition.summary import Placement
from dlarewrite.rewrite.manager import RewriteLog

SHARE = 0.02
"""About what a loadable of a mid-size network has to hold to pay for 0.1 ms of transition (trtutils' default model)."""


def islands(placed: Placement) -> list[tuple[int, ...]]:
    """Regions that are too small beside the largest one."""
    work = {r: sum(macs(placed.flow.nodes[i]) for i in r) for r in placed.regions}
    total, largest = sum(work.values()), max(work.values(), default=0)
    return [r for r in placed.regions if work[r] < SHARE * total and work[r] < largest]


def makers_of_islands(placed: Placement, log: RewriteLog, legalising: set[str]) -> set[tuple[str, str]]:
    """(pass, anchor) of the rewrites by ``legalising`` passes whose new nodes lie in islands."""
    inside = {label(placed.flow.nodes[i]) for region in islands(placed) for i in region}
    if not inside:
        return set()
    return {
        (c.by, c.anchor) for c in log.changes if c.by in legalising and any(name in inside for name, _ in c.added)
    }

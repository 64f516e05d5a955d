"""Regions that are not worth their loadable, or too many, go back to the GPU: the least valuable first."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from dlarewrite.partition.cut import Prices
from dlarewrite.partition.ledger import Ledger
from dlarewrite.partition.tally import GPU

ISLAND = "island: gains less than its loadable and its handovers cost"
OVER_CAP = "over the cap of loadables: of all regions the least gain"

Regions = list[tuple[int, ...]]


def evict(
    ledger: Ledger, regions: Sequence[tuple[int, ...]], prices: Prices, least: float = 0.0
) -> tuple[Regions, dict[int, str]]:
    """The regions to keep, and the reason of each layer that was sent back; ``prices.entry`` is a loadable's cost.

    A region that gains ``least`` or nothing more goes even if there is room.

    Taking a region away leaves every other convex and their order free of cycles, so nothing is formed again. A gain
    is taken anew when a region's neighbour has gone. n regions cost n log n.
    """
    problem, tally = ledger.problem, ledger.tally(regions)
    gains = {number: ledger.gain(region, tally, prices) for number, region in enumerate(regions)}
    waiting = [(gain, number) for number, gain in gains.items()]
    heapq.heapify(waiting)
    reasons: dict[int, str] = {}
    while waiting:
        gain, number = heapq.heappop(waiting)
        if gains.get(number) != gain:
            continue
        poor = gain <= least or 0 < problem.min_work * prices.gpu > gain
        if not poor and len(gains) <= problem.cap:
            break
        near = tally.disturbed(ledger.touched(regions[number]), number)
        reasons.update(dict.fromkeys(regions[number], ISLAND if poor else OVER_CAP))
        for layer in regions[number]:
            tally.move(layer, GPU)
        del gains[number]
        for other in near:
            gains[other] = ledger.gain(regions[other], tally, prices)
            heapq.heappush(waiting, (gains[other], other))
    return [region for number, region in enumerate(regions) if number in gains], reasons

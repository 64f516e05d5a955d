"""Divide so that the slower of the two devices is as fast as can be: they work on different inputs at the same time.

For any share s, ``s * DLA + (1 - s) * GPU`` is at most the slower device's time, and its least value is a minimum cut:
the best share gives the bound. The cuts on both sides of it overload one device each; a division between the two is
found by taking one up to some layer and the other from there on, then by moving single layers.
"""

from __future__ import annotations

from collections.abc import Sequence

from dlarewrite.partition.cores import busiest, spread
from dlarewrite.partition.cut import Prices
from dlarewrite.partition.eviction import Regions
from dlarewrite.partition.ledger import Bill, Ledger
from dlarewrite.partition.problem import Problem
from dlarewrite.partition.search import LARGE, Search
from dlarewrite.partition.tally import GPU

HALVINGS = 14
"""Of the share between the devices: to 1/16000."""


def device_times(problem: Problem, bill: Bill, regions: Regions) -> tuple[float, float]:
    """Time of the busiest DLA core with its loadables, and of the GPU with all handovers, per input."""
    jobs = [sum(problem.dla[i] for i in region) + problem.loadable for region in regions]
    return busiest(jobs, spread(jobs, problem.cores, problem.max_loadables), problem.cores), bill.gpu + bill.handovers


def balance_devices(problem: Problem) -> Search:
    """Minimise the slower device's time."""
    search = Search(problem, lambda bill, regions: max(device_times(problem, bill, regions)))
    search.offer([False] * len(problem.dla))
    search.offer(problem.legal)
    low, high = 0.0, 1.0
    heavy, light = list(problem.legal), [False] * len(problem.dla)
    for _ in range(HALVINGS if len(problem.dla) <= LARGE else HALVINGS // 3):
        share = (low + high) / 2
        dla = share / problem.cores
        prices = Prices(dla=dla, gpu=1 - share, handover=1 - share, entry=dla * problem.loadable)
        labels, cost = search.cut(prices)
        search.bound, search.prices = max(search.bound, cost), prices
        search.offer(labels)
        if search.proven:
            return search
        bill = search.ledger.bill([tuple(i for i, d in enumerate(labels) if d)])
        if (bill.dla + problem.loadable * search.formed) / problem.cores > bill.gpu + bill.handovers:
            low, heavy = share, labels
        else:
            high, light = share, labels
    for first, then in ((heavy, light), (light, heavy)):
        for labels in between(search.ledger, first, then, problem.cores):
            search.offer(labels)
    search.climb()
    return search


def between(
    ledger: Ledger, first: Sequence[bool], then: Sequence[bool], cores: int, count: int = 4
) -> list[list[bool]]:
    """The ``count`` best of all labellings that follow ``first`` up to some layer and ``then`` from there on."""
    problem = ledger.problem
    tally = ledger.tally([[i for i, d in enumerate(then) if d]])
    bill = ledger.bill([[i for i, d in enumerate(then) if d]])
    dla, gpu = bill.dla, bill.gpu + bill.handovers
    found: list[tuple[float, int]] = []
    for layer, here in enumerate(first):
        if here == (tally.home[layer] != GPU):
            continue
        gpu += tally.move(layer, 0 if here else GPU)
        dla += problem.dla[layer] if here else -problem.dla[layer]
        gpu += -problem.gpu[layer] if here else problem.gpu[layer]
        found.append((max(dla / cores, gpu), layer + 1))
    return [[*first[:cut], *then[cut:]] for _, cut in sorted(found)[:count]]

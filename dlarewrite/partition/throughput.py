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
from dlarewrite.partition.ledger import Bill
from dlarewrite.partition.problem import Problem
from dlarewrite.partition.proof import EFFORT, by_stages
from dlarewrite.partition.search import LARGE, Search
from dlarewrite.partition.tally import GPU

HALVINGS = 14
"""Of the share between the devices: to 1/16000."""

CHOICES = 8
"""Best of all places to change over that are tried in full, in networks of up to ``TRIED`` layers; fewer beyond."""

TRIED = 400


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
    large = len(problem.dla) > LARGE
    for _ in range(HALVINGS // 3 if large else HALVINGS):
        share = (low + high) / 2
        prices = search.prices = shared(problem, share)
        labels, cost = search.cut(prices)
        search.bound = max(search.bound, cost)
        search.offer(labels)
        if search.proven:
            return search
        bill = search.ledger.bill([tuple(i for i, d in enumerate(labels) if d)])
        if (bill.dla + problem.loadable * search.formed) / problem.cores > bill.gpu + bill.handovers:
            low, heavy = share, labels
        else:
            high, light = share, labels
    if not large:
        _mix(search, heavy, light)
    for base in (heavy,) if large else (problem.legal, heavy):
        for labels in windows(search, base):
            search.offer(labels)
    if not large:
        _stage(search)
        search.climb()
    return search


def shared(problem: Problem, share: float) -> Prices:
    """Prices at which a division costs ``share`` of the DLA's time and the rest of the GPU's."""
    dla = share / problem.cores
    return Prices(dla=dla, gpu=1 - share, handover=1 - share, entry=dla * problem.loadable)


def _stage(search: Search) -> None:
    """The same search over shares with staged cuts, where regions cost enough for their number to matter."""
    problem = search.problem
    low, high = 0.0, 1.0
    for _ in range(HALVINGS // 2):
        share = (low + high) / 2
        prices = search.prices = shared(problem, share)
        bound, labels = by_stages(search, prices, search.cut(prices)[1], effort=EFFORT // 10, tighten=False)
        search.bound = max(search.bound, bound)
        if search.proven:
            return
        regions = search.former.form(labels)
        bill = search.ledger.bill(regions)
        overloaded = (bill.dla + bill.loadables) / problem.cores > bill.gpu + bill.handovers
        _mix(search, labels, search.labels)
        for part in windows(search, labels):
            search.offer(part)
        low, high = (share, high) if overloaded else (low, share)


def _mix(search: Search, one: Sequence[bool], other: Sequence[bool]) -> None:
    for first, then in ((one, other), (other, one)):
        for labels in between(search, first, then):
            search.offer(labels)


def between(search: Search, first: Sequence[bool], then: Sequence[bool]) -> list[list[bool]]:
    """The best of all labellings that follow ``first`` up to some layer and ``then`` from there on."""
    scale = _Scale(search, then)
    found: list[tuple[float, int]] = []
    units = _in_order(search)
    for number, unit in enumerate(units, 1):
        if first[unit[0]] != then[unit[0]]:
            found.append((scale.move(unit, first[unit[0]]), number))
    picked: list[list[bool]] = []
    for _, number in sorted(found)[: _choices(search)]:
        labels = list(then)
        for unit in units[:number]:
            for layer in unit:
                labels[layer] = first[layer]
        picked.append(labels)
    return picked


def windows(search: Search, base: Sequence[bool]) -> list[list[bool]]:
    """The best of all labellings that follow ``base`` between two layers and leave the rest to the GPU.

    The later a window ends the more the DLA has to do, so only ends where both devices take about as long count.
    """
    chosen = [unit for unit in _in_order(search) if base[unit[0]]]
    scale = _Scale(search, [False] * len(base))
    found: list[tuple[float, int, int]] = []
    end = 0
    for start, first in enumerate(chosen):
        while end < len(chosen) and not scale.dla_busier:
            slower = scale.move(chosen[end], True)
            end += 1
            found.append((slower, start, end))
        found.append((scale.move(first, False), start + 1, end))
    picked: list[list[bool]] = []
    for _, start, stop in sorted(found)[: _choices(search)]:
        inside = {layer for unit in chosen[start:stop] for layer in unit}
        picked.append([layer in inside for layer in range(len(base))])
    return picked


def _choices(search: Search) -> int:
    return max(1, min(CHOICES, 8 * TRIED // max(1, len(search.problem.dla))))


def _in_order(search: Search) -> list[tuple[int, ...]]:
    """What moves together, in an order in which it can run."""
    return sorted(search.units, key=max)


class _Scale:
    """Both devices' times while layers move, with one loadable and any number of readers at the cost of one."""

    def __init__(self, search: Search, labels: Sequence[bool]) -> None:
        self._problem = search.problem
        region = tuple(i for i, d in enumerate(labels) if d)
        self._tally, bill = search.ledger.tally([region]), search.ledger.bill([region])
        self._dla, self._gpu = bill.dla + bill.loadables, bill.gpu + bill.handovers

    @property
    def dla_busier(self) -> bool:
        return self._dla / self._problem.cores >= self._gpu

    def move(self, unit: Sequence[int], to_dla: bool) -> float:
        """Move layers; the slower device's time afterwards."""
        sign = 1 if to_dla else -1
        for layer in unit:
            self._gpu += self._tally.move(layer, 0 if to_dla else GPU) - sign * self._problem.gpu[layer]
            self._dla += sign * self._problem.dla[layer]
        return max(self._dla / self._problem.cores, self._gpu)

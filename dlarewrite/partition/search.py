"""The best division found so far, and how a labelling becomes one that keeps the constraints."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from dlarewrite.partition.charges import entries
from dlarewrite.partition.cut import Cutter, Prices, tied_units
from dlarewrite.partition.eviction import Regions, evict
from dlarewrite.partition.ledger import Bill, Ledger
from dlarewrite.partition.loadables import Former
from dlarewrite.partition.problem import Problem

TORN = "tied to a layer that stays on the GPU"
TOO_LARGE = "memory: larger than a loadable may be"

ROUNDING = 1e-6
"""Share of the value that flows in whole numbers cannot tell apart: a gap below it counts as proven."""

EFFORT = 60_000
"""Layers times trials that local search may look at; the exact cut comes first and needs no search on most networks."""


LARGE = 2_000
"""Layers from which on labellings are formed into regions in one way only, and surcharges are sought coarsely."""


class Search:
    """Collects candidates: :meth:`offer` any labelling, read ``regions``, ``value``, ``bound`` at the end."""

    def __init__(self, problem: Problem, score: Callable[[Bill, Regions], float] | None = None) -> None:
        """``score`` rates a division; by default its bill's total. ``prices`` say what a region is worth."""
        self.problem = problem
        self.ledger = Ledger(problem)
        self.former = Former(problem)
        self.prices = Prices(entry=problem.loadable)
        self.cutter = Cutter(problem, entries(problem))
        self.barred = frozenset(self.former.impossible())
        self.value = math.inf
        self.bound = 0.0
        self.formed = 0
        """Regions that the last offer had before any was evicted."""
        self.crowded = False
        """Whether any offer had more of them than fit."""
        self.regions: Regions = []
        self.reasons: dict[int, str] = {}
        self._score = score or (lambda bill, _: bill.total)
        # A sum is never better for a region that gains nothing; the slower of two devices may be.
        self._least = (0.0,) if score is None else (0.0, -math.inf)
        self._legal = problem.legal
        units: dict[int, list[int]] = {}
        for layer, unit in enumerate(tied_units(problem)):
            units.setdefault(unit, []).append(layer)
        self.units = [tuple(found) for found in units.values()]
        self._bound_units = [found for found in self.units if len(found) > 1]

    @property
    def proven(self) -> bool:
        """Whether nothing can be better."""
        return self.value - self.bound <= ROUNDING * abs(self.value)

    def cut(self, prices: Prices, barred: Iterable[int] = ()) -> tuple[list[bool], float]:
        """A cut that leaves alone what fits no loadable."""
        return self.cutter.cut(prices, self.barred.union(barred))

    def offer(self, labels: Sequence[bool]) -> bool:
        """Try a labelling, its divided islands towards the end and towards the start; whether it was an improvement."""
        wanted = [d and legal for d, legal in zip(labels, self._legal, strict=True)]
        for layer in self.barred:
            wanted[layer] = False
        better = False
        for late in (False, True) if len(wanted) <= LARGE else (False,):
            formed = self.former.form(wanted, late=late)
            if not late:
                self.formed = len(formed)
                self.crowded |= len(formed) > self.problem.cap
            for least in self._least if len(wanted) <= LARGE else self._least[-1:]:
                regions, reasons = self.keep(formed, least)
                value = self._score(self.ledger.bill(regions), regions)
                if value < self.value - 1e-12 * abs(value):
                    self.value, self.regions, self.reasons, better = value, regions, reasons, True
        return better

    def keep(self, regions: Regions, least: float = 0.0) -> tuple[Regions, dict[int, str]]:
        """Evict until what is left is worth it, fits, and tears no tied layers apart."""
        reasons: dict[int, str] = {}
        while True:
            regions, gone = evict(self.ledger, regions, self.prices, least)
            reasons.update(gone)
            inside = {layer for region in regions for layer in region}
            torn = {i for unit in self._bound_units if not inside.issuperset(unit) for i in unit} & inside
            if not torn:
                return regions, reasons
            reasons.update(dict.fromkeys(torn, TORN))
            regions = self.former.form([i in inside and i not in torn for i in range(len(self._legal))])

    @property
    def labels(self) -> list[bool]:
        """Which layers the best division puts on the DLA."""
        inside = {layer for region in self.regions for layer in region}
        return [layer in inside for layer in range(len(self._legal))]

    def flips(self) -> Iterable[tuple[int, ...]]:
        """Sets of layers worth moving together: islands left on the GPU, regions, and units at a border."""
        labels = self.labels
        left = {u[0]: u for u in self.units if self._legal[u[0]] and not labels[u[0]]}
        yield from self._islands({i for u in left.values() for i in u})
        yield from self.regions
        makers = self.problem.makers
        border = {i for r, ms in enumerate(makers) for m in ms if labels[m] != labels[r] for i in (m, r)}
        yield from (u for u in self.units if self._legal[u[0]] and not border.isdisjoint(u))
        yield from (u for u in self.units if self._legal[u[0]] and border.isdisjoint(u))

    def _islands(self, layers: set[int]) -> Iterable[tuple[int, ...]]:
        from dlarewrite.partition.loadables import connected

        return connected(sorted(layers), self.problem.makers)

    def climb(self) -> None:
        """Move sets of layers to the other device while that helps and the effort lasts."""
        trials = EFFORT // max(1, len(self._legal))
        improved = True
        while improved and not self.proven:
            improved = False
            for chosen in list(self.flips()):
                trials -= 1
                if trials < 0:
                    return
                labels = self.labels
                there = not labels[chosen[0]]
                for layer in chosen:
                    labels[layer] = there
                if self.offer(labels):
                    improved = True
                    break

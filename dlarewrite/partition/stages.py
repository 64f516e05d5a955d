"""Divisions into a given number of stages, exactly: convexity itself as a minimum cut.

GPU and DLA take turns, K times: layers get a stage from 0 to 2K that never falls along an edge, odd on the DLA. With
one vertex for "at least stage t" each layer is a chain of 2K vertices, and the whole a minimum cut. What lies in one
stage is convex, though it may be several regions. Handovers fit only in part: a tensor that passes by a region on the
GPU would be charged for it, so ``share`` says how much of them to charge; with 0 the cut is a lower bound.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence

from dlarewrite.partition.cut import Prices
from dlarewrite.partition.network import SINK, SOURCE, Network
from dlarewrite.partition.problem import HOST, Problem

SIZE = 30_000
"""Layers times stages up to which a staged cut is worth its time."""


class Stager:
    """Staged cuts of one problem."""

    def __init__(self, problem: Problem, barred: Collection[int] = ()) -> None:
        self._problem = problem
        self._legal = [d < math.inf and i not in barred for i, d in enumerate(problem.dla)]
        self._unit = _chains(problem)
        self._out = {h.maker: 0.0 for h in problem.handovers if HOST in h.readers}
        for handover in problem.handovers:
            if HOST in handover.readers:
                self._out[handover.maker] += handover.to_gpu

    def fits(self, stages: int) -> bool:
        """Whether so many stages are within reach."""
        return len(self._legal) * 2 * stages <= SIZE

    def cut(
        self, stages: int, prices: Prices, share: float = 0.0, gains: Sequence[float] | None = None
    ) -> tuple[list[bool], float]:
        """The cheapest labelling in at most so many turns of the DLA, and a lower bound of its cost, loadables apart.

        ``gains`` replace what each layer saves on the DLA; the cost is then that of handovers less gains.
        """
        problem, top = self._problem, 2 * stages
        gain = self._gains(prices, share) if gains is None else gains
        worth: dict[int, float] = {}
        takes: dict[int, bool] = {}
        for layer, unit in enumerate(self._unit):
            legal = self._legal[layer]
            takes[unit] = takes.get(unit, True) and legal
            worth[unit] = worth.get(unit, 0.0) + (gain[layer] if legal else 0.0)
        network = Network(2)
        steps: dict[int, list[int]] = {}
        wanted = 0.0
        for unit, value in worth.items():
            if takes[unit]:
                chain = [network.vertex() for _ in range(top)]
            else:
                chain = [v for _ in range(stages) for v in [network.vertex()] * 2]
            steps[unit] = chain
            here = [SOURCE, *chain, SINK]
            for level, (tail, head) in enumerate(itertools.pairwise(here)):
                if tail == head:
                    continue
                if takes[unit]:
                    network.arc(tail, head, max(0.0, -value) if level % 2 else max(0.0, value))
                if tail != SOURCE and head != SINK:
                    network.firm(head, tail)
            wanted += max(0.0, value) if takes[unit] else 0.0
        for reader, makers in enumerate(problem.makers):
            for maker in makers:
                one, other = steps[self._unit[maker]], steps[self._unit[reader]]
                if one is not other:
                    for low, high in dict.fromkeys(zip(one, other, strict=True)):
                        network.firm(low, high)
        if share:
            self._charge(network, steps, share * prices.handover)
        reached, cost = network.cut(wanted)
        constant = prices.gpu * sum(problem.gpu) if gains is None else 0.0
        labels = [takes[unit] and sum(bool(reached[v]) for v in steps[unit]) % 2 == 1 for unit in self._unit]
        return labels, constant - wanted + cost

    def _gains(self, prices: Prices, share: float) -> list[float]:
        problem = self._problem
        return [
            prices.gpu * problem.gpu[i] - prices.dla * problem.dla[i] - share * prices.handover * self._out.get(i, 0.0)
            if legal
            else 0.0
            for i, legal in enumerate(self._legal)
        ]

    def _charge(self, network: Network, steps: dict[int, list[int]], factor: float) -> None:
        for handover in self._problem.handovers:
            readers = {self._unit[r] for r in handover.readers if r != HOST}
            if handover.maker == HOST or not readers - {self._unit[handover.maker]}:
                continue
            made = steps[self._unit[handover.maker]]
            for level, maker in enumerate(made):
                price = factor * (handover.to_gpu if level % 2 else handover.to_dla)
                ends = {steps[r][level] for r in readers} - {maker}
                if len(ends) == 1:
                    network.arc(ends.pop(), maker, price)
                elif ends:
                    once = network.vertex()
                    network.arc(once, maker, price)
                    for end in ends:
                        network.arc(end, once, price)


def _chains(problem: Problem) -> list[int]:
    """Tied layers as one, where each but the last is read by the next alone: those can always share a stage."""
    readers: list[set[int]] = [set() for _ in problem.makers]
    for reader, makers in enumerate(problem.makers):
        for maker in makers:
            readers[maker].add(reader)
    unit = list(range(len(problem.dla)))
    for group in problem.tied:
        chain = sorted(group)
        linked = all(readers[a] == {b} for a, b in itertools.pairwise(chain))
        if linked and all(problem.dla[i] < math.inf for i in chain):
            for layer in chain:
                unit[layer] = chain[0]
    return unit

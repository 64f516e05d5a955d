"""The exact part: a division that minimises layer costs and handovers is a minimum cut.

Layers are vertices; what is left on the source's side runs on the DLA. A tensor with several readers gets one auxiliary
vertex for each direction, so that it is paid once, whatever the number of readers on the other device. Illegal layers
are the sink itself; tied layers are one vertex. Cuts have no notion of a region; :mod:`dlarewrite.partition.charges`
lends them one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dlarewrite.partition.network import SINK, SOURCE, Network
from dlarewrite.partition.problem import HOST, Problem


@dataclass(frozen=True)
class Prices:
    """Factors on the costs of one cut, and what an entry along a charged path costs."""

    dla: float = 1.0
    gpu: float = 1.0
    handover: float = 1.0
    entry: float = 0.0


class Cutter:
    """Many cuts of one problem, at different prices and with different layers kept from the DLA."""

    def __init__(self, problem: Problem, entries: Iterable[tuple[int, int]] = ()) -> None:
        """``entries`` are (maker or HOST, layer) pairs: layer on the DLA while maker is not costs ``Prices.entry``."""
        self._legal = problem.legal
        self._unit = tied_units(problem)
        self._dla, self._gpu = problem.dla, problem.gpu
        self._vertex = [SINK] * len(problem.dla)
        self.size = 2
        for layer, unit in enumerate(self._unit):
            if not self._legal[layer]:
                continue
            if unit == layer:
                self._vertex[layer] = self.size
                self.size += 1
            else:
                self._vertex[layer] = self._vertex[unit]
        self._arcs: list[tuple[int, int, float]] = []
        for handover in problem.handovers:
            maker = self._at(handover.maker)
            readers = sorted({self._at(r) for r in handover.readers})
            self._pay_once(maker, readers, handover.to_gpu, leaving=True)
            self._pay_once(maker, readers, handover.to_dla, leaving=False)
        self._entries = [(self._at(layer), self._at(maker)) for maker, layer in entries]

    def _at(self, layer: int) -> int:
        return SINK if layer == HOST else self._vertex[layer]

    def _pay_once(self, maker: int, readers: Sequence[int], price: float, *, leaving: bool) -> None:
        others = [r for r in readers if r != maker]
        if price == 0 or not others or (leaving and maker == SINK) or (not leaving and others == [SINK]):
            return
        if leaving and SINK in others:
            others = [SINK]
        if not leaving:
            others = [r for r in others if r != SINK]
        if len(others) == 1:
            self._arcs.append((maker, others[0], price) if leaving else (others[0], maker, price))
            return
        once = self.size
        self.size += 1
        # No more than the price flows through the vertex, so its other arcs need not be dearer.
        self._arcs.append((maker, once, price) if leaving else (once, maker, price))
        self._arcs.extend((once, r, price) if leaving else (r, once, price) for r in others)

    def cut(
        self, prices: Prices | None = None, barred: Iterable[int] = (), gains: Sequence[float] | None = None
    ) -> tuple[list[bool], float]:
        """The cheapest labelling (True: DLA; the fewest layers of all cheapest ones), and a lower bound of its cost.

        ``barred`` layers stay on the GPU, and what is tied to them. The bound is below the cost by rounding alone.
        ``gains`` replace what each layer saves on the DLA; the cost is then that of handovers less gains.
        """
        at = prices or Prices()
        gain = [0.0] * self.size
        constant = at.gpu * sum(self._gpu) if gains is None else 0.0
        for layer, vertex in enumerate(self._vertex):
            if vertex != SINK:
                own = at.gpu * self._gpu[layer] - at.dla * self._dla[layer] if gains is None else gains[layer]
                gain[vertex] += own
        network = Network(self.size)
        priced = [(tail, head, at.handover * price) for tail, head, price in self._arcs]
        for tail, head, price in (*priced, *((t, h, at.entry) for t, h in self._entries)):
            if head == SINK:
                gain[tail] -= price
            elif tail != head and price > 0:
                network.arc(tail, head, price)
        for vertex, worth in enumerate(gain):
            if worth > 0:
                network.arc(SOURCE, vertex, worth)
            elif worth < 0:
                network.arc(vertex, SINK, -worth)
        for vertex in sorted({self._vertex[layer] for layer in barred} - {SINK}):
            network.firm(vertex, SINK)
        wanted = sum(worth for worth in gain if worth > 0)
        reached, cost = network.cut(wanted)
        # What is not gained of all that is wanted is paid.
        return [bool(reached[v]) for v in self._vertex], constant - wanted + cost


def tied_units(problem: Problem) -> list[int]:
    """For each layer the first layer of those that must share its device (itself if it is free)."""
    unit = list(range(len(problem.dla)))

    def root(layer: int) -> int:
        while unit[layer] != layer:
            unit[layer] = layer = unit[unit[layer]]
        return layer

    for group in problem.tied:
        if group and all(problem.dla[layer] < math.inf for layer in group):
            for layer in group[1:]:
                one, other = sorted((root(group[0]), root(layer)))
                unit[other] = one
    return [root(layer) for layer in range(len(unit))]

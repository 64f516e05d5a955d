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
from typing import Any

from dlarewrite.partition.problem import HOST, Problem

SOURCE, SINK = 0, 1

_WHOLE = 2**30
"""Flow in whole numbers: scipy's maximum flow is 32 bits wide, and an arc that must not be cut has to exceed the sum."""


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
        self._firm: list[tuple[int, int]] = []
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
        self._arcs.append((maker, once, price) if leaving else (once, maker, price))
        self._firm.extend((once, r) if leaving else (r, once) for r in others)

    def cut(self, prices: Prices | None = None, barred: Iterable[int] = ()) -> tuple[list[bool], float]:
        """The cheapest labelling (True: DLA; the fewest layers of all cheapest ones), and a lower bound of its cost.

        ``barred`` layers stay on the GPU, and what is tied to them. The bound is below the cost by rounding alone.
        """
        import numpy as np
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import breadth_first_order, maximum_flow

        at = prices or Prices()
        gain = np.zeros(self.size)
        constant = 0.0
        for layer, vertex in enumerate(self._vertex):
            constant += at.gpu * self._gpu[layer]
            if vertex != SINK:
                gain[vertex] += at.gpu * self._gpu[layer] - at.dla * self._dla[layer]
        count = len(self._arcs) + len(self._entries)
        pairs = [(a, b) for a, b, _ in self._arcs] + self._entries
        arcs = np.array(pairs, dtype=np.int64).reshape(count, 2)
        price = np.array([at.handover * p for *_, p in self._arcs] + [at.entry] * len(self._entries))
        to_sink = arcs[:, 1] == SINK
        np.subtract.at(gain, arcs[to_sink, 0], price[to_sink])
        held = {self._vertex[layer] for layer in barred} - {SINK}
        inner = ~to_sink & (arcs[:, 0] != arcs[:, 1]) & (price > 0)
        arcs, price = arcs[inner], price[inner]
        wanted = np.flatnonzero(gain > 0)
        total = float(gain[wanted].sum())
        if total <= 0:
            return [False] * len(self._vertex), constant
        unwanted = np.flatnonzero(gain < 0)
        barring = np.array(sorted(held), dtype=np.int64)
        firm = np.array(self._firm, dtype=np.int64).reshape(len(self._firm), 2)
        source, sink = np.full(len(wanted), SOURCE), np.full(len(unwanted) + len(barring), SINK)
        tails = np.concatenate([source, unwanted, barring, arcs[:, 0], firm[:, 0]])
        heads = np.concatenate([wanted, sink, arcs[:, 1], firm[:, 1]])
        endless = np.full(len(firm) + len(barring), 2 * total)
        sizes = np.concatenate([gain[wanted], -gain[unwanted], endless[: len(barring)], price, endless[len(barring) :]])
        graph = coo_matrix((sizes, (tails, heads)), shape=(self.size, self.size)).tocsr()
        scale = (_WHOLE - 1) / total
        graph.data = np.floor(np.minimum(graph.data * scale, _WHOLE)).astype(np.int32)
        graph.eliminate_zeros()
        found: Any = maximum_flow(graph, SOURCE, SINK)
        left = graph - found.flow
        left.data = np.where(left.data > 0, left.data, 0)
        left.eliminate_zeros()
        reached = np.zeros(self.size, dtype=bool)
        reached[breadth_first_order(left, SOURCE, return_predecessors=False)] = True
        # What is not gained of `total` is paid: cost = constant - total + cut.
        return [bool(reached[v]) for v in self._vertex], constant - total + found.flow_value / scale


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

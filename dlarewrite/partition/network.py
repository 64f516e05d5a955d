"""A flow network and its minimum cut: the one place that knows scipy's maximum flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SOURCE, SINK = 0, 1

_WHOLE = 2**30
"""Flow in whole numbers: scipy's is 32 bits wide, and an arc that must not be cut has to exceed the sum."""


class Network:
    """Arcs with capacities between numbered vertices; 0 is the source, 1 the sink."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._tails: list[int] = []
        self._heads: list[int] = []
        self._prices: list[float] = []
        self._firm: list[tuple[int, int]] = []

    def vertex(self) -> int:
        """One more vertex."""
        self.size += 1
        return self.size - 1

    def arc(self, tail: int, head: int, price: float) -> None:
        """Pay ``price`` if ``tail`` is on the source's side and ``head`` is not; arcs of a pair add up."""
        self._tails.append(tail)
        self._heads.append(head)
        self._prices.append(price)

    def firm(self, tail: int, head: int) -> None:
        """``head`` is on the source's side if ``tail`` is."""
        self._firm.append((tail, head))

    def cut(self, most: float) -> tuple[Sequence[bool], float]:
        """Which vertices are on the source's side in a cheapest cut, and a lower bound of its price.

        ``most`` is at least the minimum, such as the sum of all arcs from the source. The bound is below the price by
        rounding alone: to ``most / 2**30`` for each arc.
        """
        import numpy as np

        firm = np.array(self._firm, dtype=np.int64).reshape(len(self._firm), 2)
        tails = np.concatenate([np.array(self._tails, dtype=np.int64), firm[:, 0]])
        heads = np.concatenate([np.array(self._heads, dtype=np.int64), firm[:, 1]])
        prices = np.concatenate([np.array(self._prices, dtype=float), np.full(len(firm), 2 * most)])
        side = _settle(tails, heads, prices, self.size)
        paid = float(prices[(side[tails] == SOURCE) & (side[heads] == SINK)].sum())
        end = side[tails], side[heads]
        # What is left: settled vertices are the source or the sink themselves.
        tail, head = np.where(end[0] < 0, tails, end[0]), np.where(end[1] < 0, heads, end[1])
        kept = ((end[0] < 0) | (end[1] < 0)) & (tail != SINK) & (head != SOURCE)
        if kept.any():
            reached, flow = _flow(tail[kept], head[kept], prices[kept], self.size)
            side[(side < 0) & reached] = SOURCE
            paid += flow
        return side == SOURCE, paid


def _settle(tails: Any, heads: Any, prices: Any, size: int) -> Any:
    """The side of each vertex that one side suits better whatever the others do, -1 for the rest.

    Most layers of a network have a device that no handover could outweigh. Without them the flow has short ways only.
    """
    import numpy as np

    side = np.full(size, -1)
    side[SOURCE], side[SINK] = SOURCE, SINK
    while True:
        tail, head = side[tails], side[heads]
        given = np.bincount(heads, np.where((tail == SOURCE) & (head < 0), prices, 0.0), size)
        taken = np.bincount(tails, np.where((tail < 0) & (head == SINK), prices, 0.0), size)
        between = np.where((tail < 0) & (head < 0), prices, 0.0)
        outward, inward = np.bincount(tails, between, size), np.bincount(heads, between, size)
        to_source = (side < 0) & (given > taken + outward)
        to_sink = (side < 0) & ~to_source & (taken >= given + inward)
        if not to_source.any() and not to_sink.any():
            return side
        side[to_source], side[to_sink] = SOURCE, SINK


def _flow(tails: Any, heads: Any, prices: Any, size: int) -> tuple[Any, float]:
    """Vertices on the source's side, the fewest of all cheapest cuts, and its price in rounded-down prices."""
    import numpy as np
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    reached = np.zeros(size, dtype=bool)
    reached[SOURCE] = True
    most = min(float(prices[tails == SOURCE].sum()), float(prices[heads == SINK].sum()))
    if most <= 0:
        return reached, 0.0
    graph = coo_matrix((prices, (tails, heads)), shape=(size, size)).tocsr()
    scale = (_WHOLE - 1) / most
    graph.data = np.floor(np.minimum(graph.data * scale, _WHOLE)).astype(np.int32)
    graph.eliminate_zeros()
    found: Any = maximum_flow(graph, SOURCE, SINK)
    left = graph - found.flow
    left.data = np.where(left.data > 0, left.data, 0)
    left.eliminate_zeros()
    reached[breadth_first_order(left, SOURCE, return_predecessors=False)] = True
    return reached, float(found.flow_value) / scale

"""A stable, iterative topological order: nodes keep the order they were written in wherever the graph allows it.

graphsurgeon's own ``toposort`` recurses (a reversed chain of 500 nodes ends it) and reorders graphs that were
sorted already, so diffs of a one-node change would touch every line.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence

import onnx_graphsurgeon as gs

from dlarewrite.errors import ModelError
from dlarewrite.ir.view import label


def stable_order(
    nodes: Sequence[gs.Node],
    rank: Callable[[gs.Node], tuple[int, int]],
    reads: Callable[[gs.Node], Iterable[gs.Tensor]],
) -> list[gs.Node]:
    """Sort ``nodes`` so that producers precede consumers, ties by ``rank``; O((V + E) log V).

    ``reads`` yields all that a node depends on, captures of its subgraphs included.
    Raises :class:`ModelError` that names a node on the cycle where there is one.
    """
    members = {id(n) for n in nodes}
    ranked = sorted(nodes, key=rank)
    if _is_sorted(ranked, members, reads):
        return ranked
    waiting: dict[int, int] = {}
    readers: dict[int, list[gs.Node]] = {}
    for node in nodes:
        makers = {id(t.inputs[0]) for t in reads(node) if t.inputs and id(t.inputs[0]) in members}
        waiting[id(node)] = len(makers)
        for maker in makers:
            readers.setdefault(maker, []).append(node)
    ready = [(rank(n), i, n) for i, n in enumerate(nodes) if not waiting[id(n)]]
    heapq.heapify(ready)
    order: list[gs.Node] = []
    ticket = len(nodes)
    while ready:
        _, _, node = heapq.heappop(ready)
        order.append(node)
        for reader in readers.get(id(node), ()):
            waiting[id(reader)] -= 1
            if not waiting[id(reader)]:
                ticket += 1
                heapq.heappush(ready, (rank(reader), ticket, reader))
    if len(order) != len(nodes):
        stuck = next(n for n in nodes if waiting[id(n)])
        raise ModelError(
            f"the graph has a cycle through node {label(stuck)!r} ({stuck.op})",
            hint="an ONNX graph must be acyclic; export the model again",
        )
    return order


def _is_sorted(nodes: Sequence[gs.Node], members: set[int], reads: Callable[[gs.Node], Iterable[gs.Tensor]]) -> bool:
    """Whether every producer stands before its readers; then this order by rank is the one that sorting would find."""
    seen: set[int] = set()
    for node in nodes:
        for tensor in reads(node):
            for maker in tensor.inputs:
                if id(maker) not in seen and id(maker) in members:
                    return False
        seen.add(id(node))
    return True

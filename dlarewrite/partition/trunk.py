"""The largest part of a network that runs on the DLA as a whole, and what has to run before and after it.

Layers are put into three stages so that data only flow forwards: head -> trunk -> tail. The trunk takes no layer that
is not allowed on the DLA, and holds the most work of all such trunks: a maximum closure of two nested sets (the head,
and the head with the trunk), which one minimum cut solves exactly.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarewrite.partition.flow import Flow
from dlarewrite.partition.islands import worthwhile_macs

_SCALE = 10**9
"""What all work together is scaled to: scipy's flows are 32-bit integers."""

_UNCUTTABLE = 2**30
_ROUNDS = 8


class Stage(enum.IntEnum):
    """Where a layer runs; the order is the order in time."""

    HEAD = 0
    TRUNK = 1
    TAIL = 2


@dataclass(frozen=True)
class Staging:
    """``stages[i]`` of each layer; ``loadables`` are the connected groups of the trunk, the one with most work first.

    ``small`` and ``spare`` are groups of allowed layers that were taken out of the trunk: too little work to be worth a
    loadable, and more loadables than were asked for.
    """

    stages: tuple[Stage, ...]
    loadables: tuple[tuple[int, ...], ...]
    small: tuple[tuple[int, ...], ...] = ()
    spare: tuple[tuple[int, ...], ...] = ()


def stage(graph: Flow, allowed: Sequence[bool], work: Sequence[int], max_loadables: int = 1) -> Staging:
    """Stages with the most ``work`` (MACs per layer) in a trunk of at most ``max_loadables`` connected groups.

    Groups that are unconnected cost a loadable each. When there are too many, those with the least work are left out
    and the trunk is searched again without them; each search is exact, the choice among groups is greedy.
    """
    open_to = list(allowed)
    small: list[tuple[int, ...]] = []
    spare: list[tuple[int, ...]] = []
    while True:
        stages = _most_work(graph, open_to, work)
        groups = _groups(graph, [i for i, s in enumerate(stages) if s is Stage.TRUNK], work)
        totals = [sum(work[i] for i in group) for group in groups]
        least = worthwhile_macs(totals)
        islands = [group for group, total in zip(groups, totals, strict=True) if total < least]
        over = [group for group in groups[max_loadables:] if group not in islands]
        if not islands and not over:
            return Staging(tuple(stages), tuple(groups), tuple(small), tuple(spare))
        small += islands
        spare += over
        for group in (*islands, *over):
            for position in group:
                open_to[position] = False
        if len(small) + len(spare) > _ROUNDS:
            left = {i for group in (*islands, *over) for i in group}
            # A group has no path to another one, so all of it can wait for the tail.
            stages = [Stage.TAIL if i in left else s for i, s in enumerate(stages)]
            kept = tuple(g for g in groups if g not in islands and g not in over)
            return Staging(tuple(stages), kept, tuple(small), tuple(spare))


def _most_work(graph: Flow, allowed: Sequence[bool], work: Sequence[int]) -> list[Stage]:
    """One exact search; a layer without work counts a little, so that it goes to the DLA where it can."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    if not any(allowed):
        return [Stage.TAIL] * len(graph.nodes)
    scale = min(1.0, _SCALE / max(sum(work), 1))
    kinds = _alike(graph, allowed)
    count = max(kinds) + 1
    gain = [0] * count
    for kind, amount, fits in zip(kinds, work, allowed, strict=True):
        gain[kind] += max(1, round(amount * scale)) if fits else 0
    # Vertex k: layers of kind k are in the head or the trunk. Vertex count + k: they are in the head.
    source, sink = 2 * count, 2 * count + 1
    links = {(kinds[reader], kinds[maker]) for reader, makers in enumerate(graph.makers) for maker in makers}
    arcs = [*_arcs(gain, source, sink), *_implied(links, count)]
    rows, columns, capacities = (np.array(column, dtype=np.int32) for column in zip(*arcs, strict=True))
    network: Any = csr_matrix((capacities, (rows, columns)), shape=(sink + 1, sink + 1), dtype=np.int32)
    residual = network - maximum_flow(network, source, sink).flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    chosen = np.zeros(sink + 1, dtype=bool)
    chosen[breadth_first_order(residual, source, return_predecessors=False)] = True
    stages = [Stage.HEAD if chosen[count + k] else Stage.TRUNK if chosen[k] else Stage.TAIL for k in range(count)]
    return [stages[kind] for kind in kinds]


def _arcs(gain: Sequence[int], source: int, sink: int) -> Iterable[tuple[int, int, int]]:
    """(from, to, capacity): an uncuttable arc says that what holds for the first holds for the second."""
    count = len(gain)
    for kind, amount in enumerate(gain):
        yield count + kind, kind, _UNCUTTABLE
        if amount:
            yield source, kind, amount
            yield count + kind, sink, amount
        else:
            yield kind, count + kind, _UNCUTTABLE


def _implied(links: Iterable[tuple[int, int]], count: int) -> Iterable[tuple[int, int, int]]:
    for reader, maker in links:
        if reader != maker:
            yield reader, maker, _UNCUTTABLE
            yield count + reader, count + maker, _UNCUTTABLE


def _alike(graph: Flow, allowed: Sequence[bool]) -> list[int]:
    """A number per layer; allowed layers of one number have the same refused layers before and after them.

    Those are in the trunk all together or not at all, and a network of many layers has few such kinds.
    """
    before = _kinds(range(len(allowed)), graph.makers, allowed)
    after = _kinds(range(len(allowed) - 1, -1, -1), graph.readers, allowed)
    numbers: dict[tuple[int, ...], int] = {}
    keys = [(before[i], after[i]) if fits else (i,) for i, fits in enumerate(allowed)]
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _kinds(order: Iterable[int], near: Sequence[Sequence[int]], allowed: Sequence[bool]) -> list[int]:
    """Layers of one number have the same refused layers that way; the converse need not hold."""
    found = [0] * len(allowed)
    numbers: dict[frozenset[int], int] = {frozenset(): 0}
    for position in order:
        # A refused neighbour stands for itself with all that is behind it.
        behind = frozenset(found[n] if allowed[n] else -1 - n for n in near[position]) - {0}
        only = next(iter(behind)) if len(behind) == 1 else 0
        found[position] = only if only > 0 else numbers.setdefault(behind, len(numbers))
    return found


def _groups(graph: Flow, members: Collection[int], work: Sequence[int]) -> list[tuple[int, ...]]:
    found = connected(graph, members)
    return sorted(found, key=lambda group: (-sum(work[i] for i in group), -len(group), group))


def connected(graph: Flow, members: Collection[int]) -> list[tuple[int, ...]]:
    """The weakly connected groups of ``members``, each ascending."""
    inside, seen = set(members), set[int]()
    groups: list[tuple[int, ...]] = []
    for start in sorted(inside):
        if start in seen:
            continue
        group, stack = [], [start]
        seen.add(start)
        while stack:
            position = stack.pop()
            group.append(position)
            for other in (*graph.makers[position], *graph.readers[position]):
                if other in inside and other not in seen:
                    seen.add(other)
                    stack.append(other)
        groups.append(tuple(sorted(group)))
    return groups

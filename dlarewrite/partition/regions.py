"""Convex DLA regions: each can run as one loadable, and all of them together in some order.

A region is a weakly connected set of DLA layers that no path leaves and re-enters. Layers are levelled by the number of
changes of place on the way to them: connected layers of one level are convex by construction, and so is the order of
the regions. Then a region rises to the level of a neighbour that reads from it wherever that pushes everything else out
of the way; where it would push the neighbour itself, a path leads out of one and back into the other: they stay two.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from dlarewrite.partition.flow import Flow
from dlarewrite.partition.forest import Forest

EFFORT = 5
"""Steps per layer and edge that may be spent on joining regions, on top of ``HEAD_START``; what is left over then stays
apart, correct but more regions than need be. It takes thousands of tangled layers to get there."""

HEAD_START = 100_000
"""Steps that any graph may take."""


def find_regions(graph: Flow, on_dla: Sequence[bool]) -> list[tuple[int, ...]]:
    """Regions as ascending layer positions, ordered by their first layer."""
    return convex_groups(graph.makers, [True if d else None for d in on_dla])


def convex_groups(makers: Sequence[tuple[int, ...]], place: Sequence[Hashable | None]) -> list[tuple[int, ...]]:
    """Regions of layers with the same ``place``; None is off the DLA.

    ``makers`` are in topological order. Different places never share a region, and two linked regions of one place are
    never apart if they could be one. Time grows with layers and edges, bounded by ``EFFORT``.
    """
    first = levels(makers, place)
    groups = _Groups(makers, place, first)
    forest: Forest | None = None
    for reader, found in enumerate(makers):
        if place[reader] is None:
            continue
        for maker in found:
            if place[maker] != place[reader] or groups.spent or groups.together(maker, reader):
                continue
            forest = forest or Forest(makers, first, place)
            if not forest.leaves_and_returns(maker, reader):
                groups.lift(maker, reader)
    return groups.regions()


def levels(makers: Sequence[tuple[int, ...]], place: Sequence[Hashable | None]) -> list[int]:
    """Changes of place on the longest way to each layer."""
    found: list[int] = []
    for reader, feeding in enumerate(makers):
        here = place[reader]
        level = 0
        for maker in feeding:
            level = max(level, found[maker] + (place[maker] != here))
        found.append(level)
    return found


class _Groups:
    """Disjoint sets of DLA layers, each with a level; layers off the DLA stay alone.

    Held at all times: along an edge levels never fall, they rise where the place changes, and DLA layers of one level
    that an edge links are in one set. That makes every set convex and the graph of sets acyclic.
    """

    def __init__(
        self, makers: Sequence[tuple[int, ...]], place: Sequence[Hashable | None], level: Sequence[int]
    ) -> None:
        self._place = place
        self._makers = makers
        self._readers: list[list[int]] = [[] for _ in makers]
        for reader, found in enumerate(makers):
            for maker in found:
                self._readers[maker].append(reader)
        self._level = list(level)
        self._parent = list(range(len(makers)))
        self._members: dict[int, list[int]] = {}
        self._steps = EFFORT * (len(makers) + sum(map(len, makers))) + HEAD_START
        for reader, found in enumerate(makers):
            for maker in found:
                self._meet(maker, reader)

    def root(self, position: int) -> int:
        parent = self._parent
        while parent[position] != position:
            parent[position] = position = parent[parent[position]]
        return position

    @property
    def spent(self) -> bool:
        """Whether the effort is used up."""
        return self._steps < 0

    def together(self, one: int, other: int) -> bool:
        return self.root(one) == self.root(other)

    def lift(self, maker: int, reader: int) -> None:
        """Join the sets of two linked layers, unless that would also push the reader's."""
        first, goal = self.root(maker), self.root(reader)
        before = {first: self._level[first]}
        self._level[first] = self._level[goal]
        if not self._push(first, goal, before):
            for group, level in before.items():
                self._level[group] = level
            return
        for group in before:
            for member in tuple(self._members.get(self.root(group), (group,))):
                self._steps -= 1
                for before_it in self._makers[member]:
                    self._meet(before_it, member)
                for after_it in self._readers[member]:
                    self._meet(member, after_it)

    def _push(self, first: int, goal: int, before: dict[int, int]) -> bool:
        """Raise what reads from ``first`` as far as it must; False if that reaches ``goal`` or takes too long."""
        stack = [first]
        while stack:
            group = stack.pop()
            for member in self._members.get(group, (group,)):
                self._steps -= 1 + len(self._readers[member])
                if self._steps < 0:
                    return False
                for after in self._readers[member]:
                    found = self.root(after)
                    level = self._level[group] + (self._place[after] != self._place[member])
                    if found == group or self._level[found] >= level:
                        continue
                    if found == goal:
                        return False
                    before.setdefault(found, self._level[found])
                    self._level[found] = level
                    stack.append(found)
        return True

    def _meet(self, maker: int, reader: int) -> None:
        """Keep what was promised: linked layers of one place and level are one set."""
        if self._place[maker] is None or self._place[maker] != self._place[reader]:
            return
        large, small = self.root(maker), self.root(reader)
        if large == small or self._level[large] != self._level[small]:
            return
        members = self._members
        if len(members.get(large, ())) < len(members.get(small, ())):
            large, small = small, large
        self._parent[small] = large
        members.setdefault(large, [large]).extend(members.pop(small, (small,)))

    def regions(self) -> list[tuple[int, ...]]:
        lone = (i for i, p in enumerate(self._place) if p is not None and self._parent[i] == i)
        return sorted(tuple(sorted(self._members.get(root, (root,)))) for root in lone)

"""Convex DLA regions: each can run as one loadable, and all of them together in some order.

A region is a weakly connected set of DLA layers that no path leaves and re-enters. First, layers are levelled by the
number of device changes on the way to them: connected layers of one level are convex by construction, and so is the
order of the regions. Then neighbouring regions are joined wherever no other path, through layers or other regions,
leads from one to the other.
"""

from __future__ import annotations

from collections.abc import Sequence

from dlarewrite.partition.flow import Flow


def find_regions(graph: Flow, on_dla: Sequence[bool]) -> list[tuple[int, ...]]:
    """Regions as ascending layer positions, ordered by their first layer."""
    groups = _Groups(graph, on_dla)
    levels = _levels(graph, on_dla)
    apart: list[tuple[int, int]] = []
    for reader, makers in enumerate(graph.makers):
        if not on_dla[reader]:
            continue
        for maker in makers:
            if not on_dla[maker]:
                continue
            if levels[maker] == levels[reader]:
                groups.join(maker, reader)
            else:
                apart.append((maker, reader))
    while apart:
        blocked = [edge for edge in apart if not groups.bridge(*edge)]
        if len(blocked) == len(apart):
            break
        apart = blocked
    return groups.regions()


def _levels(graph: Flow, on_dla: Sequence[bool]) -> list[int]:
    """Device changes on the longest way to each layer; even levels are the DLA's."""
    levels: list[int] = []
    for position, makers in enumerate(graph.makers):
        level = 0 if on_dla[position] else 1
        for maker in makers:
            step = levels[maker] + (on_dla[maker] is not on_dla[position])
            level = max(level, step)
        levels.append(level)
    return levels


class _Groups:
    """Disjoint sets of DLA layers; layers off the DLA stay alone."""

    def __init__(self, graph: Flow, on_dla: Sequence[bool]) -> None:
        self._graph = graph
        self._on_dla = on_dla
        self._parent = list(range(len(graph.nodes)))
        self._members: dict[int, list[int]] = {i: [i] for i in range(len(graph.nodes))}

    def root(self, position: int) -> int:
        while self._parent[position] != position:
            self._parent[position] = self._parent[self._parent[position]]
            position = self._parent[position]
        return position

    def join(self, one: int, other: int) -> None:
        large, small = self.root(one), self.root(other)
        if large == small:
            return
        if len(self._members[large]) < len(self._members[small]):
            large, small = small, large
        self._parent[small] = large
        self._members[large].extend(self._members.pop(small))

    def bridge(self, maker: int, reader: int) -> bool:
        """Join the groups of two linked layers unless a detour forbids it; whether they are together now."""
        first, second = self.root(maker), self.root(reader)
        if first != second and not self.detour(first, second):
            self.join(first, second)
            return True
        return first == second

    def detour(self, first: int, second: int) -> bool:
        """Whether a path leads from ``first`` to ``second`` through anything else (regions count as one step)."""
        horizon = max(self._members[second])
        seen = {first, second}
        stack = [r for r in self._after(first, horizon) if r != second]
        while stack:
            group = stack.pop()
            if group in seen:
                continue
            seen.add(group)
            for after in self._after(group, horizon):
                if after == second:
                    return True
                if after not in seen:
                    stack.append(after)
        return False

    def _after(self, group: int, horizon: int) -> set[int]:
        found = {
            self.root(reader)
            for member in self._members[group]
            if member <= horizon
            for reader in self._graph.readers[member]
            if reader <= horizon or self._on_dla[reader]
        }
        found.discard(group)
        return found

    def regions(self) -> list[tuple[int, ...]]:
        found = [tuple(sorted(m)) for root, m in self._members.items() if self._on_dla[root]]
        return sorted(found)

"""A spanning forest of the layers that answers in constant time: is there surely a way over another place?"""

from __future__ import annotations

from collections.abc import Hashable, Sequence


class Forest:
    """Each layer hangs below one of the makers that gave it its level, the last of them.

    Steps along the forest lose no change of place: between an ancestor and a descendant of another level the path
    changes place, so layers of one place so far apart can never share a region. Nothing follows from being unrelated.
    """

    def __init__(
        self, makers: Sequence[tuple[int, ...]], level: Sequence[int], place: Sequence[Hashable | None]
    ) -> None:
        self._level = level
        children: list[list[int]] = [[] for _ in makers]
        roots: list[int] = []
        for reader, found in enumerate(makers):
            above = -1
            for maker in found:
                if maker > above and level[maker] + (place[maker] != place[reader]) == level[reader]:
                    above = maker
            (roots if above < 0 else children[above]).append(reader)
        self._enter, self._leave = [0] * len(makers), [0] * len(makers)
        clock = 0
        stack = list(reversed(roots))
        while stack:
            node = stack.pop()
            if node < 0:
                self._leave[~node] = clock
                continue
            self._enter[node] = clock
            clock += 1
            stack.append(~node)
            stack.extend(children[node])

    def leaves_and_returns(self, maker: int, reader: int) -> bool:
        """Whether the forest's path from ``maker`` down to ``reader`` exists and changes place."""
        below = self._enter[maker] <= self._enter[reader] < self._leave[maker]
        return below and self._level[maker] != self._level[reader]

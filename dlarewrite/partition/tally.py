"""Who reads each tensor, counted by region, so that moving a layer costs the same whatever the number of readers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dlarewrite.partition.problem import Problem

GPU = -1
"""Home of a layer that is in no region, and of the host."""


class Tally:
    """The handovers of one division. ``home`` gives each layer's region or :data:`GPU`, and changes with it."""

    def __init__(self, problem: Problem, touching: Sequence[Sequence[int]], home: list[int]) -> None:
        """``touching[i]`` are the numbers of the handovers that layer i makes or reads."""
        self.home = home
        self._handovers = problem.handovers
        self._touching = touching
        self._read: list[dict[int, int]] = []
        self._made: list[int] = []
        for handover in problem.handovers:
            counts: dict[int, int] = {}
            for reader in set(handover.readers):
                at = home[reader] if reader >= 0 else GPU
                counts[at] = counts.get(at, 0) + 1
            self._read.append(counts)
            self._made.append(home[handover.maker] if handover.maker >= 0 else GPU)

    def cost(self, number: int) -> float:
        """What one tensor pays as things are."""
        return self._price(number, self._made[number], self._read[number], None)

    def without(self, number: int, region: int) -> float:
        """What one tensor would pay if ``region`` were on the GPU."""
        made = self._made[number]
        return self._price(number, GPU if made == region else made, self._read[number], region)

    def _price(self, number: int, made: int, read: dict[int, int], gone: int | None) -> float:
        handover = self._handovers[number]
        leaves = GPU in read or (gone is not None and gone in read)
        loadables = len(read) - (GPU in read) - (gone is not None and gone in read)
        if made == GPU:
            return handover.to_dla if loadables else 0.0
        cost = handover.to_gpu if leaves else 0.0
        return cost + handover.between if loadables > (made in read) else cost

    def move(self, layer: int, to: int) -> float:
        """Give a layer another home; the change in what its handovers pay."""
        change, at = 0.0, self.home[layer]
        self.home[layer] = to
        for number in self._touching[layer]:
            change -= self.cost(number)
            read = self._read[number]
            if self._handovers[number].maker == layer:
                self._made[number] = to
            else:
                read[at] -= 1
                if not read[at]:
                    del read[at]
                read[to] = read.get(to, 0) + 1
            change += self.cost(number)
        return change

    def disturbed(self, numbers: Iterable[int], region: int) -> set[int]:
        """Other regions whose worth changes when ``region`` goes to the GPU; ``numbers`` are its handovers."""
        found: set[int] = set()
        for number in numbers:
            read, made = self._read[number], self._made[number]
            few = len(read) <= 4
            if few or made == region or (GPU not in read and region in read):
                found.update(read)
                found.add(made)
        return found - {GPU, region}

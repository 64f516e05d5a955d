"""Every DLA region as a part of its own, with the GPU's layers between them, in an order of execution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dlarewrite.partition.flow import Flow


@dataclass(frozen=True)
class Step:
    """Layers (positions in the flow) that run together; ``region`` is None on the GPU."""

    region: int | None
    layers: tuple[int, ...]


def line_up(graph: Flow, regions: Sequence[Sequence[int]]) -> list[Step]:
    """Regions and GPU steps in turn: each GPU step takes all that can run by then, so there are as few as can be.

    ``regions`` are convex together, as :func:`dlarewrite.partition.regions.find_regions` makes them.
    """
    home = {position: number for number, region in enumerate(regions) for position in region}
    waiting = [len(makers) for makers in graph.makers]
    missing = [sum(home.get(m) != number for i in r for m in graph.makers[i]) for number, r in enumerate(regions)]
    ready = [i for i, count in enumerate(waiting) if not count and i not in home]
    due = [number for number, count in enumerate(missing) if not count]
    steps: list[Step] = []

    def finish(position: int) -> None:
        for reader in graph.readers[position]:
            waiting[reader] -= 1
            number = home.get(reader)
            if number is None:
                if not waiting[reader]:
                    ready.append(reader)
            elif home.get(position) != number:
                missing[number] -= 1
                if not missing[number]:
                    due.append(number)

    while ready or due:
        on_gpu = []
        while ready:
            on_gpu.append(ready.pop())
            finish(on_gpu[-1])
        if on_gpu:
            steps.append(Step(None, tuple(sorted(on_gpu))))
        now, due[:] = sorted(due), []
        for number in now:
            steps.append(Step(number, tuple(regions[number])))
            for position in regions[number]:
                finish(position)
    return steps

"""From a labelling to loadables: convex regions of one batch size, within the memory of a loadable."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from dlarewrite.partition.problem import Problem
from dlarewrite.partition.regions import convex_groups

Regions = list[tuple[int, ...]]


class Former:
    """Makes regions of labellings of one problem."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        size = len(problem.dla)
        self._batch = _batches(problem)
        limits = ((problem.weights, problem.max_weights), (problem.inner, problem.max_inner))
        self._limits = [(sizes, most) for sizes, most in limits if sizes]
        mirrored: list[list[int]] = [[] for _ in range(size)]
        for reader, makers in enumerate(problem.makers):
            for maker in makers:
                mirrored[size - 1 - maker].append(size - 1 - reader)
        self._mirrored = [tuple(sorted(found)) for found in mirrored]

    def form(self, on_dla: Sequence[bool], *, late: bool = False) -> Regions:
        """Regions by their first layer. Where a region must be divided, ``late`` leaves the larger part at the end."""
        place = [batch if here else None for batch, here in zip(self._batch, on_dla, strict=True)]
        if late:
            last = len(place) - 1
            found = convex_groups(self._mirrored, place[::-1])
            regions = sorted(tuple(last - i for i in reversed(region)) for region in found)
        else:
            regions = convex_groups(self._problem.makers, place)
        return sorted(part for region in regions for part in self._fitting(region))

    def _fitting(self, region: tuple[int, ...]) -> Regions:
        """The region in as many parts as its bytes need: runs of the topological order, which are convex in it."""
        if all(sum(sizes[i] for i in region) <= most for sizes, most in self._limits):
            return [region]
        runs: list[list[int]] = [[]]
        held = [0] * len(self._limits)
        for layer in region:
            grown = [h + sizes[layer] for h, (sizes, _) in zip(held, self._limits, strict=True)]
            if runs[-1] and any(g > most for g, (_, most) in zip(grown, self._limits, strict=True)):
                runs.append([])
                grown = [sizes[layer] for sizes, _ in self._limits]
            held = grown
            runs[-1].append(layer)
        return [part for run in runs for part in connected(run, self._problem.makers)]

    def impossible(self) -> list[int]:
        """Layers that are too large for a loadable of their own."""
        size = len(self._problem.dla)
        return [i for i in range(size) if any(sizes[i] > most for sizes, most in self._limits)]


def connected(layers: Sequence[int], makers: Sequence[Sequence[int]]) -> Regions:
    """Weakly connected parts of ``layers``."""
    parent = {layer: layer for layer in layers}

    def root(layer: int) -> int:
        while parent[layer] != layer:
            parent[layer] = layer = parent[parent[layer]]
        return layer

    for layer in layers:
        for maker in makers[layer]:
            if maker in parent:
                parent[root(layer)] = root(maker)
    parts: dict[int, list[int]] = {}
    for layer in layers:
        parts.setdefault(root(layer), []).append(layer)
    return [tuple(part) for part in parts.values()]


def split(
    region: Sequence[int], makers: Sequence[Sequence[int]], cost: Callable[[int], float]
) -> tuple[Regions, Regions] | None:
    """An earlier and a later part of about equal cost, each in its connected pieces; None for a single layer."""
    if len(region) < 2:
        return None
    half, spent, best = sum(map(cost, region)) / 2, 0.0, (math.inf, 1)
    for number, layer in enumerate(region[:-1], 1):
        spent += cost(layer)
        best = min(best, (abs(spent - half), number))
    return connected(region[: best[1]], makers), connected(region[best[1] :], makers)


def _batches(problem: Problem) -> list[int]:
    """A batch size for every layer: its own, else its maker's, else its reader's, else 0."""
    if not problem.batch or len(set(problem.batch) - {None}) < 2:
        return [0] * len(problem.dla)
    found = list(problem.batch)
    for layer, makers in enumerate(problem.makers):
        if found[layer] is None:
            found[layer] = next((found[m] for m in makers if found[m] is not None), None)
    for layer in range(len(found) - 1, -1, -1):
        for maker in problem.makers[layer]:
            if found[maker] is None:
                found[maker] = found[layer]
    return [0 if batch is None else batch for batch in found]

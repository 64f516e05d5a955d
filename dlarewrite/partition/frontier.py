"""The frontier of latency against energy: plans of which none is better in both at once."""

from __future__ import annotations

from dataclasses import replace

from dlarewrite.partition.instance import Instance, Wish, build_problem
from dlarewrite.partition.plan import Alternative, Estimate
from dlarewrite.partition.pricing import alternative
from dlarewrite.partition.problem import Objective, Solution
from dlarewrite.partition.solve import solve

STEPS = 16
"""Steps of the weight of energy, from latency alone to energy alone."""

FEW = (1, 2, 4)
"""Numbers of loadables that are tried besides, since weighted sums alone find the convex part of a frontier only."""


def find_frontier(instance: Instance, wish: Wish) -> list[Alternative]:
    """The fastest first; each point's ``option`` reproduces it. ``wish`` gives cores and most loadables."""
    points: dict[tuple[bool, ...], Alternative] = {}
    for step in range(STEPS + 1):
        base = replace(wish, objective=Objective.LATENCY, energy_weight=step / STEPS)
        found = _add(points, instance, base)
        for few in FEW:
            if few < len(found.regions):
                _add(points, instance, replace(base, max_loadables=few), shown=True)
    kept: list[Alternative] = []
    for point in sorted(points.values(), key=lambda a: (a.estimate.latency_ms, a.estimate.millijoules)):
        if not kept or point.estimate.millijoules < kept[-1].estimate.millijoules:
            kept.append(point)
    return _named(kept)


def _add(
    points: dict[tuple[bool, ...], Alternative], instance: Instance, wish: Wish, *, shown: bool = False
) -> Solution:
    solution = solve(build_problem(instance, wish), Objective.LATENCY)
    option = f"--energy-weight {100 * (wish.energy_weight or 0.0):g}%"
    if shown:
        option += f" --max-loadables {wish.max_loadables}"
    points.setdefault(solution.on_dla, alternative(instance, option, solution.regions, solution.cores))
    return solution


def _named(points: list[Alternative]) -> list[Alternative]:
    """The ends by what they are best at, and the knee: furthest below the line between the ends."""
    if len(points) < 2:
        return [replace(p, name="best in both") for p in points]
    first, last = points[0].estimate, points[-1].estimate
    names = {0: "fastest", len(points) - 1: "least energy"}
    gain = {i: _below(p.estimate, first, last) for i, p in enumerate(points) if i not in names}
    knee = max(gain, key=gain.__getitem__, default=None)
    if knee is not None and gain[knee] > 0:
        names[knee] = "best trade"
    return [replace(p, name=names.get(i, "")) for i, p in enumerate(points)]


def _below(point: Estimate, first: Estimate, last: Estimate) -> float:
    """How far a point lies below the line between the ends, both axes scaled to the ends' distance."""
    slower = (point.latency_ms - first.latency_ms) / (last.latency_ms - first.latency_ms)
    dearer = (point.millijoules - last.millijoules) / (first.millijoules - last.millijoules)
    return 1 - slower - dearer

"""Two models at once, each on a DLA core of its own, and both on one GPU: what each keeps there slows the other.

For every share s of a few, ``s * DLA + (1 - s) * GPU`` is minimised for each model by itself, and the larger of both;
of all pairs of these divisions the one whose busiest device has least to do is taken: the best of those pairs, not
proven the best of all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from dlarewrite.partition.instance import Instance, Wish, build_problem
from dlarewrite.partition.plan import Estimate
from dlarewrite.partition.pricing import estimate
from dlarewrite.partition.problem import Objective, Problem, Solution
from dlarewrite.partition.solve import solve

SHARES = tuple(step / 8 for step in range(1, 9))
"""Of the DLA in the sum, and in what the slower device is weighed with; with 1 only the DLA's time counts."""


@dataclass(frozen=True)
class Together:
    """Busy milliseconds of the two cores and of the GPU for one inference of each model; the pace is the largest."""

    cores: tuple[float, float]
    gpu: float

    @property
    def pace(self) -> float:
        """Milliseconds from one pair of inferences to the next."""
        return max(*self.cores, self.gpu)


def together(one: Estimate, other: Estimate) -> Together:
    """Two models' predictions side by side; hand-overs count as the GPU's time."""
    return Together((one.dla_ms, other.dla_ms), sum(e.gpu_ms + e.crossing_ms for e in (one, other)))


def balance_pair(one: Instance, other: Instance, wish: Wish) -> tuple[Solution, Solution]:
    """A division of each model, so that the busiest of both cores and the GPU has as little as possible to do."""
    ones, others = _divisions(one, wish), _divisions(other, wish)
    _, _, first, second = min(
        (together(a, b).pace, a.millijoules + b.millijoules, i, j)
        for i, (_, a) in enumerate(ones)
        for j, (_, b) in enumerate(others)
    )
    return ones[first][0], others[second][0]


def _divisions(instance: Instance, wish: Wish) -> list[tuple[Solution, Estimate]]:
    problem = build_problem(instance, replace(wish, objective=Objective.LATENCY, energy_weight=None, cores=(0,)))
    found: dict[tuple[bool, ...], Solution] = {}
    for share in SHARES:
        for objective in (Objective.LATENCY, Objective.THROUGHPUT):
            solution = solve(_weighed(problem, share), objective)
            found.setdefault(solution.on_dla, solution)
    return [(s, estimate(instance, s.regions)) for s in found.values()]


def _weighed(problem: Problem, share: float) -> Problem:
    """Costs with the DLA's time counting ``share`` and the GPU's, hand-overs included, the rest."""
    rest = 1 - share
    return replace(
        problem,
        dla=[x if math.isinf(x) else share * x for x in problem.dla],
        gpu=[rest * x for x in problem.gpu],
        handovers=[replace(h, to_gpu=rest * h.to_gpu, to_dla=rest * h.to_dla) for h in problem.handovers],
        loadable=share * problem.loadable,
    )

"""The best plan under a problem's costs, and the proof of how good it is.

Layers and handovers alone are a minimum cut. The cost of a loadable is laid on entries along one path through each
legal island (:mod:`dlarewrite.partition.charges`), which keeps the cut's value a lower bound. Its labelling is formed
into convex regions; those that do not pay, or are too many, are evicted. Where that leaves a gap, cuts into one, two, …
stages (:mod:`dlarewrite.partition.stages`) give better divisions and better bounds, and the rest is searched.
"""

from __future__ import annotations

import math
from dataclasses import replace

from dlarewrite.partition.cores import spread
from dlarewrite.partition.cut import Prices
from dlarewrite.partition.problem import Objective, Problem, Solution
from dlarewrite.partition.proof import by_stages
from dlarewrite.partition.search import LARGE, TOO_LARGE, Search
from dlarewrite.partition.throughput import balance_devices

DEARER = "costs more on the DLA than on the GPU, with what it would hand over"
STEPS = 12
"""Halvings of the surcharge that brings the number of loadables under the cap: to 1/4000 of its range."""


def solve(problem: Problem, objective: Objective = Objective.LATENCY) -> Solution:
    """Divide the network so that ``objective`` is least (for OFFLOAD: the work left on the GPU).

    LATENCY and ENERGY add up all costs, in whatever unit they are; THROUGHPUT takes the slower of the DLA (its busiest
    core, loadables included) and the GPU (handovers included).
    """
    if objective is Objective.THROUGHPUT:
        return _solution(balance_devices(problem), problem)
    if objective is Objective.OFFLOAD:
        return _solution(add_up(_work_only(problem)), problem)
    return _solution(add_up(problem), problem)


def add_up(problem: Problem) -> Search:
    """Minimise the sum of all costs."""
    search = Search(problem)
    search.offer([False] * len(problem.dla))
    labels, search.bound = search.cut(Prices(entry=problem.loadable))
    search.offer(labels)
    if search.proven:
        return search
    search.offer(problem.legal)
    if search.crowded:
        _cap(search)
    if len(problem.dla) > LARGE:
        search.offer(search.cut(Prices(), search.reasons)[0])
        return search
    search.offer(search.cut(Prices())[0])
    if not search.proven:
        search.bound = max(search.bound, by_stages(search, search.prices, search.bound)[0])
    for _ in range(3):
        if search.proven or not search.offer(search.cut(Prices(), search.reasons)[0]):
            break
    search.climb()
    return search


def _cap(search: Search) -> None:
    """Surcharge loadables until few enough are left (a Lagrange multiplier): candidates, and a better bound."""
    problem = search.problem
    if problem.cap == 0:
        search.bound = sum(problem.gpu)
        return
    if len(problem.dla) > LARGE:
        # One step, small: large surcharges make the flow of a large network long, and eviction keeps to the cap anyway.
        _surcharge(search, max(search.problem.gpu, default=0.0))
        return
    low, high = 0.0, max(sum(problem.gpu), 1e-300)
    for step in range(STEPS):
        # Interesting surcharges are spread over orders of magnitude, so the first halvings are of the exponent.
        extra = high / 16 if low == 0 and step < STEPS // 2 else (low + high) / 2
        _surcharge(search, extra)
        if search.proven:
            return
        low, high = (extra, high) if search.formed > problem.cap else (low, extra)


def _surcharge(search: Search, extra: float) -> None:
    labels, cost = search.cut(Prices(entry=search.problem.loadable + extra))
    search.bound = max(search.bound, cost - extra * search.problem.cap)
    search.offer(labels)


def _work_only(problem: Problem) -> Problem:
    work = problem.work or problem.gpu
    return replace(
        problem, dla=[0.0 if legal else math.inf for legal in problem.legal], gpu=work, handovers=(), loadable=0.0
    )


def _solution(search: Search, problem: Problem) -> Solution:
    labels = search.labels
    evicted = {
        layer: search.reasons.get(layer, TOO_LARGE if layer in search.barred else DEARER)
        for layer, legal in enumerate(problem.legal)
        if legal and not labels[layer]
    }
    busy = [sum(problem.dla[i] for i in region) + problem.loadable for region in search.regions]
    return Solution(
        on_dla=tuple(labels),
        regions=tuple(search.regions),
        cores=spread(busy, problem.cores, problem.max_loadables),
        value=search.value,
        bound=min(search.bound, search.value),
        evicted=evicted,
    )

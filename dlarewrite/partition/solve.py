"""The best plan under a problem's costs, and the proof of how good it is.

Layers and handovers alone are a minimum cut. The cost of a loadable is laid on entries along one path through each legal
island (:mod:`dlarewrite.partition.charges`), which keeps the cut's value a lower bound. Its labelling is formed into
convex regions; those that do not pay, or are too many, are evicted, and what remains open is searched.
"""

from __future__ import annotations

import math
from dataclasses import replace

from dlarewrite.partition.cores import spread
from dlarewrite.partition.cut import Prices
from dlarewrite.partition.problem import Objective, Problem, Solution
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
    _cap(search)
    search.offer(search.cut(Prices())[0])
    search.offer(problem.legal)
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
    low, high = 0.0, max(sum(problem.gpu), 1e-300)
    steps = STEPS if len(problem.dla) <= LARGE else STEPS // 3
    for step in range(steps):
        # Interesting surcharges are spread over orders of magnitude, so the first halvings are of the exponent.
        extra = high / 16 if low == 0 and step < steps // 2 else (low + high) / 2
        labels, cost = search.cut(Prices(entry=problem.loadable + extra))
        search.bound = max(search.bound, cost - extra * problem.cap)
        search.offer(labels)
        if search.proven:
            return
        low, high = (extra, high) if search.formed > problem.cap else (low, extra)


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

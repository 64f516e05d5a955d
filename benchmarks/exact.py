"""A partitioning problem as constraint programme for OR-tools' CP-SAT: every constraint, no cut, no heuristic.

``level`` of a layer never falls along an edge and rises wherever the device or the batch size changes; DLA layers of
one level that an edge links are one region. Regions are counted as DLA layers less the links of a spanning forest. Left
out, which can only make the optimum better: bytes per loadable, the cost of handovers between loadables
(``Handover.between``) and ``min_work``. Of several cores it knows the common cap, not the balance.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ortools.sat.python import cp_model

from dlarewrite.partition.charges import entries
from dlarewrite.partition.problem import HOST, Objective, Problem

UNITS = 10**8
"""Whole numbers that the network's cost on the GPU alone is cut into."""


@dataclass(frozen=True)
class Exact:
    """What the solver found: the value of its best division, its lower bound, and whether they meet."""

    value: float
    bound: float
    optimal: bool


def exact(problem: Problem, objective: Objective, hint: Sequence[bool], seconds: float = 10.0) -> Exact:
    """Solve a problem for latency, energy, throughput or offload; stops after ``seconds``."""
    unit = (sum(problem.gpu) or 1.0) / UNITS
    model = cp_model.CpModel()
    size = len(problem.dla)
    on = [model.new_bool_var(f"x{i}") if d < math.inf else model.new_constant(0) for i, d in enumerate(problem.dla)]
    for layer, value in enumerate(hint):
        if problem.dla[layer] < math.inf:
            model.add_hint(on[layer], value)
    for group in problem.tied:
        if all(problem.dla[i] < math.inf for i in group):
            for one, other in itertools.pairwise(group):
                model.add(on[one] == on[other])
    offload = objective is Objective.OFFLOAD
    work = problem.work or problem.gpu
    dla = sum(round(problem.dla[i] / unit) * on[i] for i in range(size) if problem.dla[i] < math.inf)
    gpu = sum(round((work if offload else problem.gpu)[i] / unit) * (1 - on[i]) for i in range(size))
    regions = _regions(model, problem, on)
    fixed = round(problem.loadable / unit) * regions
    if offload:
        model.minimize(gpu)
    elif objective is Objective.THROUGHPUT:
        slower = model.new_int_var(0, 4 * UNITS, "slower")
        model.add(slower >= dla + fixed)
        model.add(slower >= gpu + _handovers(model, problem, on, unit))
        model.minimize(slower)
    else:
        model.minimize(dla + gpu + fixed + _handovers(model, problem, on, unit))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = 2
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Exact(math.inf, solver.best_objective_bound * unit, False)
    return Exact(solver.objective_value * unit, solver.best_objective_bound * unit, bool(status == cp_model.OPTIMAL))


def _handovers(
    model: cp_model.CpModel, problem: Problem, on: Sequence[cp_model.IntVar], unit: float
) -> cp_model.LinearExprT:
    total: cp_model.LinearExprT = 0
    host = model.new_constant(0)
    for handover in problem.handovers:
        made = host if handover.maker == HOST else on[handover.maker]
        read = [host if r == HOST else on[r] for r in set(handover.readers)]
        out, back = model.new_bool_var("out"), model.new_bool_var("back")
        for reader in read:
            model.add(out >= made - reader)
            model.add(back >= reader - made)
        total += round(handover.to_gpu / unit) * out + round(handover.to_dla / unit) * back
    return total


def _regions(model: cp_model.CpModel, problem: Problem, on: Sequence[cp_model.IntVar]) -> cp_model.LinearExprT:
    size = len(on)
    count = model.new_int_var(0, min(problem.cap, size), "regions")
    top = 2 * min(problem.cap, size) + 1
    level = [model.new_int_var(0, top, f"l{i}") for i in range(size)]
    batch = list(problem.batch) or [None] * size
    parents: list[list[cp_model.IntVar]] = [[] for _ in range(size)]
    rank = [model.new_int_var(0, size, f"r{i}") for i in range(size)]
    links = []
    for reader, makers in enumerate(problem.makers):
        for maker in makers:
            model.add(level[reader] >= level[maker] + on[maker] - on[reader])
            model.add(level[reader] >= level[maker] + on[reader] - on[maker])
            if math.inf in (problem.dla[maker], problem.dla[reader]):
                continue
            if None not in (batch[maker], batch[reader]) and batch[maker] != batch[reader]:
                model.add(level[reader] >= level[maker] + on[maker] + on[reader] - 1)
                continue
            for child, parent in ((maker, reader), (reader, maker)):
                link = model.new_bool_var("link")
                model.add_implication(link, on[child])
                model.add_implication(link, on[parent])
                model.add(level[reader] == level[maker]).only_enforce_if(link)
                model.add(rank[child] >= rank[parent] + 1).only_enforce_if(link)
                parents[child].append(link)
                links.append(link)
    for found in parents:
        if found:
            model.add_at_most_one(found)
    model.add(count >= sum(on) - sum(links))
    # Redundant, for speed alone: entries along a path of one island are never more than its regions.
    charged = []
    for maker, layer in entries(problem):
        entry = model.new_bool_var("entry")
        model.add(entry >= (on[layer] if maker == HOST else on[layer] - on[maker]))
        charged.append(entry)
    model.add(count >= sum(charged))
    return count

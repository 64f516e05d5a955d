"""Plans of small random problems against every labelling there is, and the constraints of larger ones."""

from __future__ import annotations

import itertools
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from dlarewrite.partition.cut import Cutter, tied_units
from dlarewrite.partition.ledger import Ledger
from dlarewrite.partition.loadables import Former
from dlarewrite.partition.problem import HOST, Handover, Objective, Problem, Solution
from dlarewrite.partition.solve import solve
from dlarewrite.partition.throughput import device_times

COSTS = st.integers(0, 40).map(lambda n: n / 4)


@st.composite
def problems(draw: st.DrawFn, most: int = 7, *, limits: bool = True) -> Problem:
    size = draw(st.integers(1, most))
    makers = [tuple(sorted(draw(st.sets(st.integers(0, i - 1), max_size=2)))) if i else () for i in range(size)]
    legal = draw(st.lists(st.sampled_from([True, True, True, False]), min_size=size, max_size=size))
    gpu = draw(st.lists(COSTS, min_size=size, max_size=size))
    dla = [
        c if ok else math.inf for c, ok in zip(draw(st.lists(COSTS, min_size=size, max_size=size)), legal, strict=True)
    ]
    handovers = []
    for maker in range(-1, size):
        readers = [r for r, found in enumerate(makers) if maker in found or (maker == HOST and not found)]
        if maker != HOST and (not readers or draw(st.booleans())):
            readers.append(HOST)
        out, back = draw(COSTS), draw(COSTS)
        handovers.append(Handover(maker, tuple(readers), out / 4, back / 4, between=draw(st.sampled_from([0.0, 0.5]))))
    tied = [(i - 1, i) for i in range(1, size) if limits and makers[i] == (i - 1,) and draw(st.integers(0, 3)) == 0]
    return Problem(
        dla=dla,
        gpu=gpu,
        makers=makers,
        handovers=handovers,
        tied=tied,
        loadable=draw(st.sampled_from([0.0, 1.0, 4.0])),
        max_loadables=draw(st.sampled_from([1, 2, 16])),
        weights=draw(st.lists(st.integers(0, 4), min_size=size, max_size=size)) if limits else (),
        max_weights=6,
        batch=draw(st.lists(st.sampled_from([None, 1, 2]), min_size=size, max_size=size)) if limits else (),
        cores=draw(st.sampled_from([1, 2])),
    )


def value(problem: Problem, objective: Objective, regions: list[tuple[int, ...]]) -> float:
    bill = Ledger(problem).bill(regions)
    if objective is Objective.THROUGHPUT:
        return max(device_times(problem, bill, regions))
    inside = {i for region in regions for i in region}
    left = sum(w for i, w in enumerate(problem.work or problem.gpu) if i not in inside)
    return left if objective is Objective.OFFLOAD else bill.total


def best(problem: Problem, objective: Objective) -> float:
    """Every labelling, formed into as few regions as can be, early and late."""
    unit, legal, former = tied_units(problem), problem.legal, Former(problem)
    found = math.inf
    for labels in itertools.product([False, True], repeat=len(legal)):
        if any(d and not ok for d, ok in zip(labels, legal, strict=True)):
            continue
        if any(labels[i] != labels[u] for i, u in enumerate(unit)):
            continue
        for late in (False, True):
            regions = former.form(labels, late=late)
            if len(regions) <= problem.cap:
                found = min(found, value(problem, objective, regions))
    return found


def acyclic(problem: Problem, regions: tuple[tuple[int, ...], ...]) -> bool:
    """Whether regions and single layers can run one after another: then every region is convex, too."""
    home = {i: len(problem.dla) + number for number, region in enumerate(regions) for i in region}
    waits: dict[int, set[int]] = {}
    for reader, makers in enumerate(problem.makers):
        here = home.get(reader, reader)
        waits.setdefault(here, set()).update(home.get(m, m) for m in makers if home.get(m, m) != here)
    while waits:
        ready = [g for g, before in waits.items() if not before & waits.keys()]
        if not ready:
            return False
        for group in ready:
            del waits[group]
    return True


def keeps_the_constraints(problem: Problem, found: Solution) -> None:
    assert {i for i, d in enumerate(found.on_dla) if d} == {i for region in found.regions for i in region}
    assert sum(map(len, found.regions)) == sum(found.on_dla)
    assert all(problem.dla[i] < math.inf for i, d in enumerate(found.on_dla) if d)
    assert all(found.on_dla[i] == found.on_dla[u] for i, u in enumerate(tied_units(problem)))
    assert len(found.cores) == len(found.regions)
    assert all(found.cores.count(c) <= problem.max_loadables for c in range(problem.cores))
    assert set(found.evicted) == {i for i, ok in enumerate(problem.legal) if ok and not found.on_dla[i]}
    for region in found.regions:
        if problem.weights:
            assert sum(problem.weights[i] for i in region) <= problem.max_weights
        if problem.batch:
            assert len({problem.batch[i] for i in region} - {None}) <= 1
    assert acyclic(problem, found.regions)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(problems(limits=False), st.sampled_from([Objective.LATENCY, Objective.ENERGY, Objective.OFFLOAD]))
def test_sums_are_optimal_or_nearly(problem: Problem, objective: Objective) -> None:
    found, least = solve(problem, objective), best(problem, objective)
    keeps_the_constraints(problem, found)
    assert abs(value(problem, objective, list(found.regions)) - found.value) <= 1e-9
    assert found.bound <= least + 1e-6
    assert found.value <= least * (1 + 1e-9) + 1e-9


@settings(max_examples=80, deadline=None, derandomize=True)
@given(problems(), st.sampled_from(list(Objective)))
def test_constraints_hold_and_the_bound_is_one(problem: Problem, objective: Objective) -> None:
    found, least = solve(problem, objective), best(problem, objective)
    keeps_the_constraints(problem, found)
    assert abs(value(problem, objective, list(found.regions)) - found.value) <= 1e-9
    assert found.bound <= least + 1e-6
    assert found.bound <= found.value + 1e-9


@settings(max_examples=60, deadline=None, derandomize=True)
@given(problems(limits=False))
def test_throughput_is_never_worse_than_one_device_or_the_best_sum(problem: Problem) -> None:
    found = solve(problem, Objective.THROUGHPUT)
    keeps_the_constraints(problem, found)
    assert found.value <= value(problem, Objective.THROUGHPUT, []) + 1e-9
    regions = Former(problem).form(problem.legal)
    if len(regions) <= problem.cap:
        assert found.value <= value(problem, Objective.THROUGHPUT, regions) + 1e-9


@settings(max_examples=100, deadline=None, derandomize=True)
@given(problems(limits=False))
def test_the_cut_is_the_least_of_all_labellings(problem: Problem) -> None:
    labels, bound = Cutter(problem).cut()
    ledger = Ledger(problem)

    def cost(chosen: tuple[bool, ...]) -> float:
        bill = ledger.bill([tuple(i for i, d in enumerate(chosen) if d)])
        return bill.total - bill.loadables

    every = itertools.product(*([False, True] if ok else [False] for ok in problem.legal))
    least = min(cost(chosen) for chosen in every)
    assert cost(tuple(labels)) <= least + 1e-6
    assert least - 1e-6 <= bound <= least + 1e-9


@settings(max_examples=25, deadline=None, derandomize=True)
@given(problems(24), st.sampled_from(list(Objective)))
def test_larger_problems_keep_the_constraints(problem: Problem, objective: Objective) -> None:
    found = solve(problem, objective)
    keeps_the_constraints(problem, found)
    assert found.bound <= found.value + 1e-9

"""The partitioner on problems small enough to solve by hand, and its parts."""

from __future__ import annotations

import itertools
import math
import random
import time
from dataclasses import replace

import pytest

from dlarewrite.partition.cores import busiest, pipeline, spread
from dlarewrite.partition.cut import Cutter, Prices
from dlarewrite.partition.problem import HOST, Handover, Objective, Problem
from dlarewrite.partition.regions import convex_groups
from dlarewrite.partition.solve import solve

INF = math.inf


def chain(dla: list[float], gpu: list[float], crossing: float = 0.0, **more: object) -> Problem:
    """Layers one after another, from the host and back to it."""
    size = len(dla)
    makers = [(i - 1,) if i else () for i in range(size)]
    handovers = [Handover(i - 1, (i,), crossing, crossing) for i in range(size)]
    handovers.append(Handover(size - 1, (HOST,), crossing, crossing))
    return Problem(dla=dla, gpu=gpu, makers=makers, handovers=handovers, **more)  # type: ignore[arg-type]


def test_a_chain_goes_where_it_is_cheaper() -> None:
    found = solve(chain([1, 1, 9], [3, 3, 1], 0.5))
    assert found.on_dla == (True, True, False)
    assert found.regions == ((0, 1),)
    assert found.value == pytest.approx(1 + 1 + 1 + 0.5 + 0.5)
    assert found.gap == pytest.approx(0, abs=1e-6)
    assert set(found.evicted) == {2}
    assert "costs more" in found.evicted[2]


def test_a_tensor_is_paid_once_whatever_the_number_of_readers() -> None:
    problem = Problem(
        dla=[1, INF, INF, INF],
        gpu=[4, 1, 1, 1],
        makers=[(), (0,), (0,), (0,)],
        handovers=[Handover(0, (1, 2, 3), to_gpu=2, to_dla=9)],
    )
    found = solve(problem)
    assert found.on_dla[0]
    assert found.value == pytest.approx(1 + 3 + 2)
    dearer = replace(problem, handovers=[Handover(0, (1, 2, 3), to_gpu=3.5, to_dla=9)])
    assert not any(solve(dearer).on_dla)


def test_a_loadable_must_pay_for_itself() -> None:
    free = chain([1, INF, 1], [2, 1, 5])
    assert solve(free).regions == ((0,), (2,))
    found = solve(replace(free, loadable=1.5))
    assert found.regions == ((2,),)
    assert found.value == pytest.approx(2 + 1 + 1 + 1.5)


def test_a_hole_is_filled_where_that_saves_a_loadable() -> None:
    problem = chain([1, 2, 1], [4, 1, 4], loadable=1.5)
    assert solve(problem).regions == ((0, 1, 2),)
    assert solve(replace(problem, loadable=0.5)).regions == ((0,), (2,))


def test_a_path_out_and_back_makes_two_regions_or_one_smaller() -> None:
    """0 -> 1 (GPU) -> 2 and 0 -> 2: together 0 and 2 would wait for themselves."""
    problem = Problem(dla=[1, INF, 1], gpu=[4, 1, 3], makers=[(), (0,), (0, 1)])
    assert solve(problem).regions == ((0,), (2,))
    assert solve(replace(problem, max_loadables=1)).regions == ((0,),)


def test_the_least_valuable_regions_go_when_there_are_too_many() -> None:
    problem = chain([1, INF, 1, INF, 1], [3, 1, 9, 1, 5], max_loadables=2)
    found = solve(problem)
    assert found.regions == ((2,), (4,))
    assert "cap" in found.evicted[0]
    assert not any(solve(replace(problem, max_loadables=0)).on_dla)


def test_tied_layers_stay_together() -> None:
    problem = chain([1, 5], [3, 1])
    assert solve(problem).on_dla == (True, False)
    assert solve(replace(problem, tied=[(0, 1)])).on_dla == (False, False)
    assert solve(replace(problem, dla=[1, INF], tied=[(0, 1)])).on_dla == (True, False)


def test_a_loadable_holds_so_many_bytes_and_one_batch() -> None:
    problem = chain([1, 1, 1], [9, 9, 9], weights=[4, 4, 4], max_weights=8)
    assert solve(problem).regions == ((0, 1), (2,))
    too_large = solve(replace(problem, max_weights=3))
    assert not too_large.regions
    assert all("memory" in why for why in too_large.evicted.values())
    assert solve(replace(problem, weights=(), batch=[1, 2, 2])).regions == ((0,), (1, 2))


def test_an_island_that_gains_too_little_stays() -> None:
    problem = chain([1, INF, 1], [2, 1, 9])
    found = solve(replace(problem, min_work=3))
    assert found.regions == ((2,),)
    assert "island" in found.evicted[0]


def test_throughput_divides_the_work() -> None:
    problem = chain([1.0] * 10, [1.0] * 10)
    found = solve(problem, Objective.THROUGHPUT)
    assert found.value == pytest.approx(5)
    assert found.gap == pytest.approx(0, abs=1e-6)


def test_two_cores_share_the_regions() -> None:
    problem = chain([2, INF, 2], [9, 0.5, 9], cores=2)
    found = solve(problem, Objective.THROUGHPUT)
    assert sorted(found.cores) == [0, 1]
    assert found.value == pytest.approx(2)


def test_offload_moves_the_most_work_into_few_loadables() -> None:
    problem = chain([9, INF, 9], [1, 1, 1], work=[5, 1, 7], max_loadables=1)
    found = solve(problem, Objective.OFFLOAD)
    assert found.regions == ((2,),)
    assert found.value == pytest.approx(6)


def test_what_a_problem_refuses() -> None:
    with pytest.raises(ValueError, match="entries for 1 layers"):
        Problem(dla=[1], gpu=[1, 1], makers=[()])
    with pytest.raises(ValueError, match="topological"):
        Problem(dla=[1, 1], gpu=[1, 1], makers=[(1,), ()])
    with pytest.raises(ValueError, match="finite on the GPU"):
        Problem(dla=[1], gpu=[INF], makers=[()])


def test_an_empty_network_is_solved() -> None:
    for objective in Objective:
        assert solve(Problem(dla=[], gpu=[], makers=[]), objective).value == 0


def test_barred_layers_take_what_is_tied_to_them_along() -> None:
    labels, _ = Cutter(chain([1, 1, 1], [5, 5, 5], tied=[(0, 1)])).cut(Prices(), barred=[0])
    assert labels == [False, False, True]


def test_two_cores_are_balanced_exactly() -> None:
    source = random.Random(0)
    for _ in range(20):
        jobs = [source.uniform(0, 9) for _ in range(source.randrange(1, 9))]
        every = itertools.product((0, 1), repeat=len(jobs))
        assert busiest(jobs, spread(jobs, 2), 2) == pytest.approx(min(busiest(jobs, a, 2) for a in every))
        runs = [(0,) * k + (1,) * (len(jobs) - k) for k in range(len(jobs) + 1)]
        assert busiest(jobs, pipeline(jobs, 2), 2) == pytest.approx(min(busiest(jobs, a, 2) for a in runs))
    assert busiest([1.0] * 40, spread([1.0] * 40, 2), 2) == 20
    with pytest.raises(ValueError, match="do not fit"):
        spread([1, 1, 1], 2, room=1)


def test_forming_regions_is_near_linear() -> None:
    """Nested skips over alternating devices: every skip asks whether its ends could be one region."""

    def seconds(nodes: int) -> float:
        makers = [
            tuple(sorted({i - 1, nodes - 1 - i} - {-1})) if i > nodes // 2 + 1 else (i - 1,) for i in range(nodes)
        ]
        makers[0] = ()
        start = time.process_time()
        convex_groups(makers, [True if i % 3 else None for i in range(nodes)])
        return time.process_time() - start

    small = min(seconds(2_000) for _ in range(3))
    assert min(seconds(16_000) for _ in range(2)) < 8 * 4 * max(small, 1e-3)

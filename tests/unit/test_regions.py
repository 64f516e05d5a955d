"""Regions against a brute-force definition of convexity, on hand-made and random graphs."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dlarewrite.partition.flow import Flow
from dlarewrite.partition.regions import find_regions


def flow(makers: list[tuple[int, ...]]) -> Flow:
    readers: list[list[int]] = [[] for _ in makers]
    for position, found in enumerate(makers):
        for maker in found:
            readers[maker].append(position)
    return Flow(tuple(makers), tuple(makers), tuple(map(tuple, readers)), tuple(dict.fromkeys(f, ()) for f in makers))  # type: ignore[arg-type]


def contracted_is_acyclic(graph: Flow, regions: list[tuple[int, ...]]) -> bool:
    """Whether the loadables can run one after another: the graph of regions and single layers has no cycle."""
    home = {i: -1 - number for number, region in enumerate(regions) for i in region}
    groups = {home.get(i, i) for i in range(len(graph.nodes))}
    makers = {g: set[int]() for g in groups}
    for reader, found in enumerate(graph.makers):
        for maker in found:
            if home.get(maker, maker) != home.get(reader, reader):
                makers[home.get(reader, reader)].add(home.get(maker, maker))
    while makers:
        free = [g for g, m in makers.items() if not m & makers.keys()]
        if not free:
            return False
        for group in free:
            del makers[group]
    return True


def test_a_chain_is_one_region() -> None:
    assert find_regions(flow([(), (0,), (1,)]), [True] * 3) == [(0, 1, 2)]


def test_a_gpu_layer_in_between_makes_two() -> None:
    assert find_regions(flow([(), (0,), (1,)]), [True, False, True]) == [(0,), (2,)]


def test_a_detour_over_the_gpu_splits_a_residual() -> None:
    """0 feeds 2 directly and through GPU layer 1: one region would leave and re-enter."""
    assert find_regions(flow([(), (0,), (0, 1)]), [True, False, True]) == [(0,), (2,)]


def test_a_gpu_branch_from_the_network_input_does_not_split() -> None:
    """GPU layer 1 has no maker, so 0 and 2 can wait for it together."""
    assert find_regions(flow([(), (), (0, 1)]), [True, False, True]) == [(0, 2)]


def test_two_regions_must_not_wait_for_each_other() -> None:
    """0 -> 3 and 2 -> 1 cross: joining 0+1 and 2+3 would make each wait for the other."""
    graph = flow([(), (0, 2), (), (2, 0)])
    order = [(), (), (0, 1), (0, 1)]
    assert contracted_is_acyclic(flow(order), find_regions(flow(order), [True] * 4))
    assert graph.makers[1] == (0, 2)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_random_graphs(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 14))
    makers = [tuple(sorted(data.draw(st.sets(st.integers(0, i - 1), max_size=3)))) if i else () for i in range(size)]
    on_dla = [data.draw(st.booleans()) for _ in range(size)]
    graph = flow(makers)
    regions = find_regions(graph, on_dla)
    assert sorted(i for r in regions for i in r) == [i for i in range(size) if on_dla[i]]
    assert contracted_is_acyclic(graph, regions)
    for one in range(len(regions)):
        for other in range(one + 1, len(regions)):
            pair = {*regions[one], *regions[other]}
            linked = any(m in pair for r in regions[other] for m in graph.makers[r] if m in regions[one])
            joined = [r for k, r in enumerate(regions) if k not in (one, other)] + [tuple(sorted(pair))]
            if linked:
                assert not contracted_is_acyclic(graph, joined), "two neighbours could have been one loadable"

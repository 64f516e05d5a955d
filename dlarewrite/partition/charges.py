"""How a minimum cut learns what a region costs: by charging entries along one path of each legal island.

A region lies within one connected island of legal layers, and a convex region meets a path in one stretch: it enters
the path at most once. So the cost of a loadable, laid on every step of the path from the GPU to the DLA, is charged at
most once for each region, and the cut stays a lower bound of what any division costs with its loadables. Where the
path meets all regions, which it does in a network with a trunk, it is exact.
"""

from __future__ import annotations

from dlarewrite.partition.problem import HOST, Problem


def entries(problem: Problem) -> list[tuple[int, int]]:
    """(maker or HOST, layer) along the path with the most to gain, in each connected island of legal layers."""
    legal, size = problem.legal, len(problem.dla)
    island = list(range(size))

    def root(layer: int) -> int:
        while island[layer] != layer:
            island[layer] = layer = island[island[layer]]
        return layer

    ahead: list[int] = [HOST] * size
    most: list[float] = [0.0] * size
    # A little for the length alone: where nothing is to be gained the longest path meets most regions.
    little = 1e-9 * (sum(problem.gpu) or 1.0)
    for layer, makers in enumerate(problem.makers):
        if not legal[layer]:
            continue
        for maker in makers:
            if legal[maker]:
                island[root(layer)] = root(maker)
                if ahead[layer] == HOST or most[maker] > most[ahead[layer]]:
                    ahead[layer] = maker
        before = most[ahead[layer]] if ahead[layer] != HOST else 0.0
        most[layer] = before + max(0.0, problem.gpu[layer] - problem.dla[layer]) + little
    last: dict[int, int] = {}
    for layer in range(size):
        if legal[layer]:
            found = root(layer)
            if found not in last or most[layer] > most[last[found]]:
                last[found] = layer
    charged: list[tuple[int, int]] = []
    for layer in last.values():
        while layer != HOST:
            charged.append((ahead[layer], layer))
            layer = ahead[layer]
    return charged

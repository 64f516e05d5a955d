"""How planning grows with the graph: ``python -m benchmarks.plan_scaling [--nodes 12500 25000 50000]``.

Synthetic problems of the shapes that partitioners are slow on: one chain, alternating devices, skips over a thousand
layers, a U-Net with nested skips, wide graphs, random graphs. Prints CPU seconds of the regions alone and of the plan
for each objective, and the growth exponent between the smallest and the largest (1 is linear).
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Callable

from dlarewrite.partition.problem import HOST, Handover, Objective, Problem
from dlarewrite.partition.regions import convex_groups
from dlarewrite.partition.solve import solve

Makers = list[tuple[int, ...]]

LIMIT = 5.0
"""Seconds that the largest plan may take."""


def chain(nodes: int, _: random.Random) -> Makers:
    """Each layer reads the one before."""
    return [(i - 1,) if i else () for i in range(nodes)]


def skips(nodes: int, _: random.Random) -> Makers:
    """A chain of which every tenth layer also reads the one a thousand layers before."""
    return [tuple(m for m in ((i - 1000, i - 1) if i % 10 == 0 else (i - 1,)) if m >= 0) for i in range(nodes)]


def unet(nodes: int, _: random.Random) -> Makers:
    """A chain whose second half also reads the first, nested."""
    return [tuple(sorted({i - 1, nodes - 1 - i} if i > nodes // 2 + 1 else {i - 1})) if i else () for i in range(nodes)]


def wide(nodes: int, source: random.Random) -> Makers:
    """A hundred chains with cross links."""
    return [tuple(sorted({i - 100, i - 100 + source.choice((0, 0, 0, 1))})) if i >= 100 else () for i in range(nodes)]


def local(nodes: int, source: random.Random) -> Makers:
    """Each layer reads two of the last hundred."""
    return [tuple(sorted({source.randrange(max(0, i - 100), i) for _ in "ab"})) if i else () for i in range(nodes)]


SHAPES: dict[str, Callable[[int, random.Random], Makers]] = {f.__name__: f for f in (chain, skips, unet, wide, local)}


def problem(makers: Makers, source: random.Random, illegal: float) -> Problem:
    """Random costs; about every second layer is faster on the DLA."""
    readers: list[list[int]] = [[] for _ in makers]
    for reader, found in enumerate(makers):
        for maker in found:
            readers[maker].append(reader)
    gpu = [source.uniform(0.01, 0.2) for _ in makers]
    dla = [math.inf if source.random() < illegal else g * source.uniform(0.3, 1.5) for g in gpu]
    handovers = [Handover(i, tuple(found) or (HOST,), 0.03, 0.03) for i, found in enumerate(readers)]
    return Problem(dla=dla, gpu=gpu, makers=makers, handovers=handovers, loadable=0.3)


def main(arguments: list[str] | None = None) -> int:
    """Print a row for each shape and share of illegal layers; 1 if a plan of the largest takes too long."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, nargs="+", default=[12500, 50000])
    parser.add_argument("--illegal", type=float, nargs="+", default=[0.005, 0.5])
    chosen = parser.parse_args(arguments)
    slowest = 0.0
    print(
        f"{'shape':8}{'illegal':>8}{'nodes':>8}{'regions':>9}{'formed':>9}"
        + "".join(f"{o.value:>12}" for o in Objective)
    )
    for name, shape in SHAPES.items():
        for illegal in chosen.illegal:
            rows: list[list[float]] = []
            for nodes in sorted(chosen.nodes):
                source = random.Random(nodes)
                instance = problem(shape(nodes, source), source, illegal)
                start = time.process_time()
                formed = convex_groups(instance.makers, [True if legal else None for legal in instance.legal])
                times = [time.process_time() - start]
                for objective in Objective:
                    start = time.process_time()
                    solve(instance, objective)
                    times.append(time.process_time() - start)
                rows.append(times)
                cells = "".join(f"{t:>11.2f}s" for t in times[1:])
                print(f"{name:8}{illegal:>8}{nodes:>8}{len(formed):>9}{times[0]:>8.2f}s{cells}", flush=True)
            slowest = max(slowest, *rows[-1])
            if len(rows) > 1:
                grown = math.log(max(chosen.nodes) / min(chosen.nodes))
                growth = [math.log(max(b, 1e-3) / max(a, 1e-3)) / grown for a, b in zip(rows[0], rows[-1], strict=True)]
                cells = "".join(f"{g:>12.2f}" for g in growth[1:])
                print(f"{'':8}{'':8}{'growth':>8}{'':9}{growth[0]:>9.2f}{cells}")
    print(f"slowest {slowest:.2f} s (limit {LIMIT:.0f} s)")
    return int(slowest > LIMIT)


if __name__ == "__main__":
    sys.exit(main())

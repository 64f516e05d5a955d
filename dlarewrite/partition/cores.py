"""Loadables, or stages of a pipeline, over several DLA cores, so that the busiest has as little as possible to do."""

from __future__ import annotations

import math
from collections.abc import Sequence

EXACT = 16
"""Jobs up to which every assignment to two cores is weighed."""


def spread(jobs: Sequence[float], cores: int, room: int | None = None) -> tuple[int, ...]:
    """The core of each job; at most ``room`` jobs a core. Exact for two cores and up to ``EXACT`` jobs.

    Beyond, the longest jobs are placed first on the least busy core: at most a sixth above the optimum for two cores.
    Raises ValueError where the cores have too little room.
    """
    most = len(jobs) if room is None else room
    if len(jobs) > most * cores:
        raise ValueError(f"{len(jobs)} loadables do not fit on {cores} cores of {most}")
    if cores == 1:
        return (0,) * len(jobs)
    if cores == 2 and len(jobs) <= EXACT:
        return _weigh_all(jobs, most)
    busy, held, chosen = [0.0] * cores, [0] * cores, [0] * len(jobs)
    for job in sorted(range(len(jobs)), key=lambda j: (-jobs[j], j)):
        core = min((c for c in range(cores) if held[c] < most), key=lambda c: (busy[c], c))
        chosen[job] = core
        busy[core] += jobs[job]
        held[core] += 1
    return tuple(chosen)


def _weigh_all(jobs: Sequence[float], room: int) -> tuple[int, ...]:
    total, count = sum(jobs), len(jobs)
    sums, best = [0.0], (math.inf, 0)
    for job in jobs:
        sums += [s + job for s in sums]
    for chosen, load in enumerate(sums):
        ones = bin(chosen).count("1")
        if ones <= room and count - ones <= room:
            best = min(best, (max(load, total - load), chosen))
    return tuple(best[1] >> job & 1 for job in range(count))


def busiest(jobs: Sequence[float], assigned: Sequence[int], cores: int) -> float:
    """What the busiest core has to do."""
    return max(sum(j for j, c in zip(jobs, assigned, strict=True) if c == core) for core in range(cores))


def pipeline(stages: Sequence[float], cores: int) -> tuple[int, ...]:
    """The core of each stage where every core takes a run of them, in order; exact, by dynamic programming."""
    count = len(stages)
    ahead = [0.0]
    for stage in stages:
        ahead.append(ahead[-1] + stage)
    best = [ahead[end] for end in range(count + 1)]
    starts: list[list[int]] = []
    for _ in range(1, cores):
        row = [min((max(best[s], ahead[end] - ahead[s]), s) for s in range(end + 1)) for end in range(count + 1)]
        best = [value for value, _ in row]
        starts.append([start for _, start in row])
    chosen, end = [0] * count, count
    for core in range(cores - 1, 0, -1):
        start = starts[core - 1][end]
        chosen[start:end] = [core] * (end - start)
        end = start
    return tuple(chosen)

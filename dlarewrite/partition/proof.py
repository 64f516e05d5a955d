"""Candidates and a lower bound by the number of stages, for networks where one path does not tell the regions."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dlarewrite.partition.cut import Prices
from dlarewrite.partition.search import ROUNDING, Search
from dlarewrite.partition.stages import Stager

ROUNDS = 16
"""Steps of the multipliers that let staged cut and handovers agree."""

AGREEMENT = 120_000
"""Layers times stages times steps that may be taken."""

STAGES = 16
"""Turns of the DLA that are tried; more than that, and the plain cut's bound stands in."""


EFFORT = 60_000
"""Layers times stages that one proof may take: a second or two."""


def by_stages(
    search: Search, prices: Prices, plain: float, *, effort: int = EFFORT, tighten: bool = True
) -> tuple[float, list[bool]]:
    """Offer the best divisions with one, two, … regions; a lower bound at ``prices``, and the labelling that gives it.

    A division of k regions takes at most k stages, so it costs no less than k loadables and the staged cut for k;
    beyond the last k tried, no less than the cut without any region's cost. ``plain`` is the bound with charged
    entries, ``effort`` the layers times stages that may be looked at.
    """
    problem = search.problem
    stager = Stager(problem, search.barred)
    free = search.cut(Prices(prices.dla, prices.gpu, prices.handover))[1]
    least, best = prices.gpu * sum(problem.gpu), [False] * len(problem.dla)
    most = min(problem.cap, STAGES)
    # Where a loadable costs nothing, k stages are never better than more: a few numbers on the way are enough.
    turns = range(1, most + 1) if prices.entry else sorted({min(most, 2**k) for k in range(6)})
    patience = AGREEMENT
    for stages in turns:
        fixed = prices.entry * stages
        effort -= len(problem.dla) * 2 * stages
        if max(free + fixed, plain) >= least * (1 - ROUNDING) or not stager.fits(stages) or effort < 0:
            return max(plain, min(least, free + fixed)), best
        labels, cost = stager.cut(stages, prices)
        charged, _ = stager.cut(stages, prices, share=1.0)
        search.offer(labels)
        search.offer(charged)
        rounds = min(ROUNDS, patience // (2 * stages * len(problem.dla)))
        if tighten and problem.handovers and cost + fixed < least and rounds:
            found = list(_agree(search, stager, stages, prices, min(least, search.value) - fixed, rounds))
            patience -= 2 * stages * len(problem.dla) * len(found)
            cost = max(cost, *found)
        if cost + fixed < least:
            least, best = cost + fixed, charged
    more = math.inf if problem.cap <= STAGES else free + prices.entry * (STAGES + 1)
    return max(plain, min(least, more)), best


def _agree(search: Search, stager: Stager, stages: int, prices: Prices, goal: float, rounds: int) -> Iterator[float]:
    """Bounds from dividing each layer's gain between a staged cut without handovers and a cut with them alone.

    Each half may choose its own devices; where they differ, gain moves from the half that uses the DLA to the other
    (a subgradient step, as long as the distance to ``goal`` asks for). What they agree on is a division of both.
    """
    problem = search.problem
    whole = [
        prices.gpu * g - prices.dla * d if d < math.inf else 0.0 for g, d in zip(problem.gpu, problem.dla, strict=True)
    ]
    constant = prices.gpu * sum(problem.gpu)
    staged = list(whole)
    best, patience, pace = -math.inf, 0, 1.0
    for _ in range(rounds):
        first, one = stager.cut(stages, prices, gains=staged)
        rest = [w - s for w, s in zip(whole, staged, strict=True)]
        other, two = search.cutter.cut(Prices(handover=prices.handover), search.barred, gains=rest)
        bound = constant + one + two
        yield bound
        search.offer(first)
        apart = [o - f for o, f in zip(other, first, strict=True)]
        differing = sum(map(abs, apart))
        if bound > best + 1e-9 * abs(best):
            best, patience = bound, 0
        else:
            patience += 1
            pace = pace / 2 if patience % 3 == 0 else pace
        if not differing or bound >= goal * (1 - ROUNDING):
            return
        step = pace * (goal - bound) / differing
        staged = [s + step * a for s, a in zip(staged, apart, strict=True)]

"""The joint decision: which rewrites are worth their regions, so that a model changes as little as its mapping needs.

Two steps, each by running the pipeline again without something and comparing the mapping:

1. An *island* is a region with less than ``SHARE`` of the model's MACs beside a larger one; it costs a loadable and two
   crossings and saves next to nothing. Rewrites whose new nodes ended up in islands are declined, one by one.
2. A result must not be worse than the input: more loadables or crossings are accepted only for a large gain of work in
   few loadables. Otherwise whole passes are left out, the one whose absence helps most first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dlarewrite.analysis.cost import macs
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import label
from dlarewrite.partition.summary import Placement, Summary
from dlarewrite.rewrite.manager import RewriteLog

SHARE = 0.02
"""About what a loadable of a mid-size network has to hold to pay for 0.1 ms of transition (trtutils' default model)."""

_GAIN = 0.25
_FEW = 4
_ROUNDS = 4


@dataclass(frozen=True)
class Choice:
    """What is left out: (pass, anchor) pairs that are declined, and passes that are skipped as a whole."""

    declined: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    skipped: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Trial:
    """One run of the pipeline under a choice."""

    choice: Choice
    model: Model
    log: RewriteLog
    placed: Placement
    summary: Summary

    @property
    def burden(self) -> tuple[int, int]:
        return self.summary.loadables, self.summary.crossings


def settle(attempt: Callable[[Choice], Trial], before: Summary, legalising: frozenset[str]) -> Trial:
    """Find a choice whose result is not worse than ``before``; ``attempt`` runs the pipeline under a choice."""
    return _without_burden(attempt, _without_islands(attempt, attempt(Choice()), legalising), before, legalising)


def _without_islands(attempt: Callable[[Choice], Trial], first: Trial, legalising: frozenset[str]) -> Trial:
    best = latest = first
    for _ in range(_ROUNDS):
        more = _makers_of_islands(latest, legalising) - latest.choice.declined
        if not more:
            break
        latest = attempt(Choice(latest.choice.declined | more))
        if latest.burden[0] < best.burden[0] and latest.burden[1] <= best.burden[1]:
            best = latest
    return best


def _makers_of_islands(trial: Trial, legalising: frozenset[str]) -> frozenset[tuple[str, str]]:
    nodes = trial.placed.flow.nodes
    work = {r: sum(macs(nodes[i]) for i in r) for r in trial.placed.regions}
    total, largest = sum(work.values()), max(work.values(), default=0)
    inside = {label(nodes[i]) for r, done in work.items() if done < min(SHARE * total, largest) for i in r}
    return frozenset(
        (c.by, c.anchor) for c in trial.log.changes if c.by in legalising and any(name in inside for name, _ in c.added)
    )


def _without_burden(
    attempt: Callable[[Choice], Trial], trial: Trial, before: Summary, legalising: frozenset[str]
) -> Trial:
    while not _acceptable(trial.summary, before):
        fired = sorted({c.by for c in trial.log.changes} & legalising)
        tries = [attempt(Choice(trial.choice.declined, trial.choice.skipped | {name})) for name in fired]
        if not tries:
            break
        good = [t for t in tries if _acceptable(t.summary, before)]
        if good:
            return max(good, key=lambda t: (t.summary.dla_macs, -t.burden[0], -t.burden[1]))
        trial = min(tries, key=lambda t: (_excess(t.summary, before), -t.summary.dla_macs))
    return trial


def _acceptable(after: Summary, before: Summary) -> bool:
    if after.loadables <= before.loadables and after.crossings <= before.crossings:
        return True
    return after.loadables <= _FEW and after.dla_share >= before.dla_share + _GAIN


def _excess(after: Summary, before: Summary) -> int:
    """Loadables and crossings beyond what the input had."""
    return max(after.loadables - before.loadables, 0) + max(after.crossings - before.crossings, 0)

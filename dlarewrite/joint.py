"""The joint decision: which rewrites are worth their regions, so that a model changes as little as its mapping needs.

Two steps, each by running the pipeline again without something and comparing the mapping:

1. An *island* is a region with less than ``ISLAND_SHARE`` of the DLA's MACs beside a larger one; it costs a loadable
   and two crossings and saves next to nothing. Rewrites whose new nodes ended up in islands are declined together.
2. A result must not be worse than the input: more loadables or crossings are accepted only for a large gain of work in
   few loadables that leaves next to nothing off the DLA. Otherwise whole passes are left out, first those that made
   most of the nodes at the borders, and after three times all that legalise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from dlarewrite.analysis.cost import macs
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import label
from dlarewrite.partition.islands import worthwhile_macs
from dlarewrite.partition.summary import Placement, Summary
from dlarewrite.rewrite.manager import RewriteLog
from dlarewrite.target import Judgement

_GAIN = 0.25
_NEARLY_ALL = 0.95
"""Share of the MACs that a result with more loadables has to put on the DLA, and how much more than before."""
_FEW = 4
_BORDERS = 4
"""Crossings that a loadable may have on average where their number grows."""
_PATIENCE = 3
_NOTABLE = 0.1
"""Islands that are a smaller share of the loadables are not worth another run of the pipeline."""


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
    judged: Judgement
    placed: Placement
    summary: Summary


def settle(attempt: Callable[[Choice], Trial], before: Summary, legalising: frozenset[str]) -> Trial:
    """Find a choice whose result is not worse than ``before``; ``attempt`` runs the pipeline under a choice."""
    trial = attempt(Choice())
    if _hopeful(trial, before):
        return _without_burden(attempt, _without_islands(attempt, trial, before, legalising), before, legalising)
    return _without_islands(attempt, _without_burden(attempt, trial, before, legalising), before, legalising)


def _hopeful(trial: Trial, before: Summary) -> bool:
    """Whether the result will not be worse than ``before`` once each island with its two crossings is gone."""
    count = len(_islands(trial))
    summary = trial.summary
    fewer = replace(summary, loadables=summary.loadables - count, crossings=summary.crossings - 2 * count)
    return _acceptable(fewer, before)


def _without_islands(
    attempt: Callable[[Choice], Trial], first: Trial, before: Summary, legalising: frozenset[str]
) -> Trial:
    islands = _islands(first)
    declined = _makers(first, islands, legalising) - first.choice.declined
    if not declined or not _notable(first, islands):
        return first
    second = attempt(Choice(first.choice.declined | declined, first.choice.skipped))
    fewer = second.summary.loadables < first.summary.loadables and second.summary.crossings <= first.summary.crossings
    spoiled = _acceptable(first.summary, before) and not _acceptable(second.summary, before)
    return second if fewer and not spoiled else first


def _islands(trial: Trial) -> list[set[str]]:
    """The islands by their nodes' names."""
    nodes = trial.placed.flow.nodes
    work = {r: sum(macs(nodes[i]) for i in r) for r in trial.placed.regions}
    least = worthwhile_macs(work.values())
    return [{label(nodes[i]) for i in r} for r, done in work.items() if done < least]


def _notable(trial: Trial, islands: list[set[str]]) -> bool:
    """Whether enough islands are of rewrites alone: one that holds a node of the original may well be there without."""
    made = {name for c in trial.log.changes for name, _ in c.added}
    return sum(island <= made for island in islands) >= _NOTABLE * trial.summary.loadables


def _makers(trial: Trial, islands: list[set[str]], legalising: frozenset[str]) -> frozenset[tuple[str, str]]:
    inside = {name for island in islands for name in island}
    return frozenset(
        (c.by, c.anchor) for c in trial.log.changes if c.by in legalising and any(name in inside for name, _ in c.added)
    )


def _without_burden(
    attempt: Callable[[Choice], Trial], trial: Trial, before: Summary, legalising: frozenset[str]
) -> Trial:
    for _ in range(_PATIENCE):
        blamed = _most_at_borders(trial, legalising)
        if not blamed or _acceptable(trial.summary, before):
            return trial
        trial = attempt(Choice(trial.choice.declined, trial.choice.skipped | blamed))
    return trial if _acceptable(trial.summary, before) else attempt(Choice(skipped=legalising))


def _most_at_borders(trial: Trial, legalising: frozenset[str]) -> frozenset[str]:
    """The pass that made most of the nodes at which tensors change device (or that fired most where none did), and
    those that made half as many."""
    makers = {name: c.by for c in trial.log.changes if c.by in legalising for name, _ in c.added}
    borders = Counter(
        makers[label(node)]
        for crossing in trial.placed.crossings
        for node in (*crossing.tensor.inputs, *crossing.tensor.outputs)
        if label(node) in makers
    )
    fired = Counter(c.by for c in trial.log.changes if c.by in legalising)
    ranked = borders or fired
    most = max(ranked.values(), default=0)
    return frozenset(name for name, count in ranked.items() if 2 * count >= most)


def _acceptable(after: Summary, before: Summary) -> bool:
    if after.loadables <= before.loadables and after.crossings <= before.crossings:
        return True
    few = after.loadables <= _FEW and after.crossings <= _FEW * _BORDERS
    return few and after.dla_share >= max(before.dla_share + _GAIN, _NEARLY_ALL)

"""What of a plan fits a model: the one place that says what becomes of a plan that does not fit.

A plan that names no node of the model is another model's, and is refused. Whatever else does not fit (a node that a
rewriting removed, a layer that the plan has never seen, a rule that forbids what it asks for) is left out of the
regions, and said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dlarewrite.errors import UsageError
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import label
from dlarewrite.partition.flow import Flow
from dlarewrite.partition.lineup import line_up
from dlarewrite.partition.plan import Plan
from dlarewrite.partition.regions import find_regions
from dlarewrite.target import NodeVerdict, Verdict


@dataclass(frozen=True)
class Fitting:
    """The regions of a plan as (name, positions in the flow), and a sentence on each thing that does not fit."""

    regions: tuple[tuple[str, tuple[int, ...]], ...]
    notes: tuple[str, ...]


def fit(plan: Plan, model: Model, graph: Flow, verdicts: Mapping[int, NodeVerdict]) -> Fitting:
    """The plan's regions as far as they fit the model.

    A node that is refused, or is not in the model any more, is left out. A region that a path would leave and enter
    again is split; regions that would wait for each other are found anew. Raises :class:`UsageError` for a plan that
    names no node of the model.
    """
    known = {label(node) for node in model.nodes}
    named = {*plan.dla_nodes, *plan.gpu}
    if named and named.isdisjoint(known):
        raise UsageError("the plan names no node of this model", hint="is it another model's plan?")
    places: dict[str, list[int]] = {}
    for position, node in enumerate(graph.nodes):
        places.setdefault(label(node), []).append(position)
    notes = list(_strangers(plan, known, places))
    found: list[tuple[str, tuple[int, ...]]] = []
    for region in plan.regions:
        taken = [False] * len(graph.nodes)
        for name in region.nodes:
            for position in places.pop(name, ()):
                verdict = verdicts[id(graph.nodes[position])]
                taken[position] = verdict.verdict in (Verdict.DLA, Verdict.UNCERTAIN)
                if verdict.verdict is not Verdict.DLA:
                    fate = "it stays as planned" if taken[position] else "it goes to the GPU"
                    notes.append(f"{region.name}: node {name!r} is {verdict.verdict.value} ({_why(verdict)}); {fate}")
        made = find_regions(graph, taken)
        if len(made) > 1:
            notes.append(f"{region.name} is no single loadable of this model; it falls into {len(made)}")
        found += [(region.name if len(made) == 1 else f"{region.name}.{n}", part) for n, part in enumerate(made)]
    if sum(len(step.layers) for step in line_up(graph, [part for _, part in found])) == len(graph.nodes):
        return Fitting(tuple(found), tuple(notes))
    inside = {position for _, part in found for position in part}
    again = find_regions(graph, [i in inside for i in range(len(graph.nodes))])
    notes.append("regions of the plan wait for each other; they were found anew")
    return Fitting(tuple((f"dla_{number}", part) for number, part in enumerate(again)), tuple(notes))


def _why(verdict: NodeVerdict) -> str:
    return next((f"{f.rule}: {f.message}" for f in verdict.findings if f.effect != "note"), "")


def _strangers(plan: Plan, known: set[str], places: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """Names that only one of plan and model has; what the plan placed and TensorRT now folds or drops is none."""
    named = {*plan.dla_nodes, *plan.gpu}
    gone = [name for name in (*plan.dla_nodes, *plan.gpu) if name not in known]
    new = [name for name in places if name not in named]
    twice = [name for name, count in Counter(plan.dla_nodes).items() if count > 1]
    if gone:
        yield f"planned nodes that are not in the model: {len(gone)}, the first: {gone[0]!r}"
    if new:
        yield f"layers of the model that the plan lacks and the GPU takes: {len(new)}, the first: {new[0]!r}"
    if twice:
        yield f"nodes that stand in two regions of the plan: {len(twice)}, the first: {twice[0]!r}"

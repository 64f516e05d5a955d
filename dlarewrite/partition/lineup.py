"""Every DLA region as a part of its own, with the GPU's layers between them, in an order of execution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dlarewrite.errors import UsageError
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import label
from dlarewrite.partition.flow import Flow
from dlarewrite.partition.plan import Plan
from dlarewrite.partition.regions import find_regions
from dlarewrite.target import NodeVerdict, Verdict


@dataclass(frozen=True)
class Step:
    """Layers (positions in the flow) that run together; ``region`` is None on the GPU."""

    region: int | None
    layers: tuple[int, ...]


def line_up(graph: Flow, regions: Sequence[Sequence[int]]) -> list[Step]:
    """Regions and GPU steps in turn: each GPU step takes all that can run by then, so there are as few as can be.

    ``regions`` are convex together, as :func:`dlarewrite.partition.regions.find_regions` makes them.
    """
    home = {position: number for number, region in enumerate(regions) for position in region}
    waiting = [len(makers) for makers in graph.makers]
    missing = [sum(home.get(m) != number for i in r for m in graph.makers[i]) for number, r in enumerate(regions)]
    ready = [i for i, count in enumerate(waiting) if not count and i not in home]
    due = [number for number, count in enumerate(missing) if not count]
    steps: list[Step] = []

    def finish(position: int) -> None:
        for reader in graph.readers[position]:
            waiting[reader] -= 1
            number = home.get(reader)
            if number is None:
                if not waiting[reader]:
                    ready.append(reader)
            elif home.get(position) != number:
                missing[number] -= 1
                if not missing[number]:
                    due.append(number)

    while ready or due:
        on_gpu = []
        while ready:
            on_gpu.append(ready.pop())
            finish(on_gpu[-1])
        if on_gpu:
            steps.append(Step(None, tuple(sorted(on_gpu))))
        now, due[:] = sorted(due), []
        for number in now:
            steps.append(Step(number, tuple(regions[number])))
            for position in regions[number]:
                finish(position)
    return steps


def fit(
    plan: Plan, model: Model, graph: Flow, verdicts: Mapping[int, NodeVerdict]
) -> tuple[list[tuple[str, tuple[int, ...]]], list[str]]:
    """The plan's regions (name, positions) as far as they fit the model, and a sentence on each thing that does not.

    A node that is refused, or is not in the model any more, is left out. A region that a path would leave and enter
    again is split; regions that would wait for each other are found anew. Raises :class:`UsageError` for a plan that
    names no node of the model.
    """
    places: dict[str, list[int]] = {}
    for position, node in enumerate(graph.nodes):
        places.setdefault(label(node), []).append(position)
    named = {*plan.dla_nodes, *plan.gpu}
    if named and named.isdisjoint(label(node) for node in model.nodes):
        raise UsageError("the plan names no node of this model", hint="is it another model's plan?")
    notes = _strangers(plan, model, places)
    found: list[tuple[str, tuple[int, ...]]] = []
    for region in plan.regions:
        taken = [False] * len(graph.nodes)
        for name in region.nodes:
            for position in places.pop(name, ()):
                verdict = verdicts[id(graph.nodes[position])]
                why = next((f"{f.rule}: {f.message}" for f in verdict.findings if f.effect != "note"), "")
                taken[position] = verdict.verdict in (Verdict.DLA, Verdict.UNCERTAIN)
                if verdict.verdict is not Verdict.DLA:
                    fate = "it stays as planned" if taken[position] else "it goes to the GPU"
                    notes.append(f"{region.name}: node {name!r} is {verdict.verdict.value} ({why}); {fate}")
        made = find_regions(graph, taken)
        if len(made) > 1:
            notes.append(f"{region.name} is no single loadable of this model; it falls into {len(made)}")
        found += [(region.name if len(made) == 1 else f"{region.name}.{n}", part) for n, part in enumerate(made)]
    if sum(len(step.layers) for step in line_up(graph, [part for _, part in found])) == len(graph.nodes):
        return found, notes
    inside = {position for _, part in found for position in part}
    again = find_regions(graph, [i in inside for i in range(len(graph.nodes))])
    notes.append("regions of the plan wait for each other; they were found anew")
    return [(f"dla_{number}", part) for number, part in enumerate(again)], notes


def _strangers(plan: Plan, model: Model, places: Mapping[str, Sequence[int]]) -> list[str]:
    """Names that only one of plan and model has; what the plan placed and TensorRT now folds or drops is none."""
    known, named = {label(node) for node in model.nodes}, {*plan.dla_nodes, *plan.gpu}
    gone = [name for name in (*plan.dla_nodes, *plan.gpu) if name not in known]
    new = [name for name in places if name not in named]
    twice = [name for name, count in Counter(plan.dla_nodes).items() if count > 1]
    notes = []
    if gone:
        notes.append(f"planned nodes that are not in the model: {len(gone)}, the first: {gone[0]!r}")
    if new:
        notes.append(f"layers of the model that the plan lacks and the GPU takes: {len(new)}, the first: {new[0]!r}")
    if twice:
        notes.append(f"nodes that stand in two regions of the plan: {len(twice)}, the first: {twice[0]!r}")
    return notes

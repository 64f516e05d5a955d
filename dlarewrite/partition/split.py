"""Split a model into models that run one after another, so that what goes to the DLA is a file of its own.

:func:`split` makes head, trunk and tail: the trunk is the largest part that the DLA takes whole, the head is what has
to run before it, the tail is the rest. :func:`split_regions` makes one part of each region of a plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from dlarewrite.analysis.cost import macs
from dlarewrite.errors import UsageError
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import label
from dlarewrite.partition.extract import DLA, GPU, Part, Piece, cut_apart
from dlarewrite.partition.fitting import fit
from dlarewrite.partition.flow import Flow, flow
from dlarewrite.partition.lineup import line_up
from dlarewrite.partition.plan import Plan
from dlarewrite.partition.trunk import Stage, Staging, connected, stage
from dlarewrite.target import Judgement, Target, Verdict

HEAD_TRUNK_TAIL, REGIONS = "head-trunk-tail", "regions"


@dataclass(frozen=True)
class LeftOut:
    """A connected group of layers that the DLA would take and that is not on it: where it went, and why."""

    nodes: tuple[str, ...]
    macs: int
    part: str
    why: str


@dataclass(frozen=True)
class Split:
    """The parts in order of execution; ``empty`` names those that have nothing to do and are not there.

    ``macs`` are the whole model's, ``dla_macs`` those of its DLA parts; ``loadables`` counts the loadables of each DLA
    part; ``notes`` say what of a given plan does not fit.
    """

    kind: str
    parts: tuple[Part, ...]
    empty: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    macs: int
    dla_macs: int
    loadables: dict[str, int]
    notes: tuple[str, ...] = ()


def split(model: Model, judgement: Judgement, *, plan: Plan | None = None, max_loadables: int = 1) -> Split:
    """Head, trunk and tail of a judged model; a ``plan`` narrows the trunk to the nodes of its regions.

    Raises :class:`UsageError` where no layer can go to the DLA.
    """
    graph = flow(model, judgement.verdicts)
    work = [macs(node) for node in graph.nodes]
    notes: tuple[str, ...] = ()
    if plan is None:
        allowed = [judgement.verdicts[id(node)].verdict is Verdict.DLA for node in graph.nodes]
    else:
        fitting = fit(plan, model, graph, judgement.verdicts)
        notes = fitting.notes
        inside = {position for _, region in fitting.regions for position in region}
        allowed = [i in inside for i in range(len(graph.nodes))]
    if not any(allowed):
        raise _nothing(plan)
    staging = stage(graph, allowed, work, max_loadables)
    live = _live(model, graph)
    names = [s.name.lower() for s in Stage]
    pieces = [
        Piece(
            name,
            DLA if s is Stage.TRUNK else GPU,
            tuple(graph.nodes[i] for i in live if staging.stages[i] is s),
        )
        for s, name in zip(Stage, names, strict=True)
    ]
    parts = cut_apart(model, judgement.verdicts, [piece for piece in pieces if piece.layers])
    return Split(
        kind=HEAD_TRUNK_TAIL,
        parts=tuple(parts),
        empty=tuple(name for name in names if name not in {part.name for part in parts}),
        left_out=tuple(_left_out(graph, allowed, work, staging, set(live))),
        macs=sum(work),
        dla_macs=sum(work[i] for i in live if staging.stages[i] is Stage.TRUNK),
        loadables={"trunk": len(staging.loadables)},
        notes=notes,
    )


def split_regions(model: Model, judgement: Judgement, plan: Plan) -> Split:
    """Each DLA region of the plan as a part, and the GPU's layers between them.

    Raises :class:`UsageError` where there is no region.
    """
    graph = flow(model, judgement.verdicts)
    work = [macs(node) for node in graph.nodes]
    fitting = fit(plan, model, graph, judgement.verdicts)
    if not fitting.regions:
        raise _nothing(plan)
    live = set(_live(model, graph))
    names = _file_names([name for name, _ in fitting.regions])
    pieces: list[Piece] = []
    on_gpu = 0
    for step in line_up(graph, [region for _, region in fitting.regions]):
        layers = tuple(graph.nodes[i] for i in step.layers if i in live)
        if not layers:
            continue
        if step.region is None:
            pieces.append(Piece(f"gpu_{on_gpu}", GPU, layers))
            on_gpu += 1
        else:
            pieces.append(Piece(names[step.region], DLA, layers))
    inside = {position for _, region in fitting.regions for position in region}
    return Split(
        kind=REGIONS,
        parts=tuple(cut_apart(model, judgement.verdicts, pieces)),
        empty=(),
        left_out=tuple(
            LeftOut((name,), macs(node), "gpu", plan.gpu.get(name, "not in the plan"))
            for i, node in enumerate(graph.nodes)
            for name in (label(node),)
            if i in live and i not in inside and judgement.verdicts[id(node)].verdict is Verdict.DLA
        ),
        macs=sum(work),
        dla_macs=sum(work[i] for i in inside),
        loadables={piece.name: 1 for piece in pieces if piece.device == DLA},
        notes=fitting.notes,
    )


def _file_names(names: Sequence[str]) -> list[str]:
    """The regions' names where they can be file names, and cannot be taken for a part on the GPU."""
    plain = all(re.fullmatch(r"dla[\w-]*(\.\w+)*", name) for name in names) and len(set(names)) == len(names)
    return list(names) if plain else [f"dla_{number}" for number in range(len(names))]


def _nothing(plan: Plan | None) -> UsageError:
    what = "nothing of the plan can go to the DLA" if plan is not None else "the DLA takes no layer of this model"
    return UsageError(f"{what}, so there is nothing to split", hint="`dlarewrite check` says which rule refuses what")


def _live(model: Model, graph: Flow) -> list[int]:
    """Layers that some graph output depends on, ascending; the rest computes nothing that anyone asked for."""
    place = {id(node): i for i, node in enumerate(graph.nodes)}
    seen: set[int] = set()
    stack: list[gs.Node] = [tensor.inputs[0] for tensor in model.outputs if tensor.inputs]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        stack += [tensor.inputs[0] for tensor in model.reads(node) if tensor.inputs]
    return sorted(place[key] for key in seen if key in place)


def _left_out(
    graph: Flow, allowed: Sequence[bool], work: Sequence[int], staging: Staging, live: set[int]
) -> Iterator[LeftOut]:
    """Groups of allowed layers outside the trunk, the one with most work first."""
    why = {i: "too little work to be worth a loadable" for group in staging.small for i in group}
    why |= {i: "it would be one more loadable" for group in staging.spare for i in group}
    found = []
    for side in (Stage.HEAD, Stage.TAIL):
        outside = [i for i, ok in enumerate(allowed) if ok and staging.stages[i] is side and i in live]
        for group in connected(graph, outside):
            reason = next((why[i] for i in group if i in why), "") or _barrier(graph, allowed, staging, group, side)
            names = tuple(label(graph.nodes[i]) for i in group)
            found.append(LeftOut(names, sum(work[i] for i in group), side.name.lower(), reason))
    yield from sorted(found, key=lambda group: -group.macs)


def _barrier(graph: Flow, allowed: Sequence[bool], staging: Staging, group: Sequence[int], side: Stage) -> str:
    """The nearest layer off the DLA on the way between the group and the trunk."""
    onward = graph.readers if side is Stage.HEAD else graph.makers
    seen, queue = set(group), list(group)
    for position in queue:
        for other in onward[position]:
            if other in seen or staging.stages[other] is not side:
                continue
            if not allowed[other]:
                node = graph.nodes[other]
                between = "after" if side is Stage.TAIL else "before"
                return f"{between} {label(node)!r} ({node.op}), which the DLA does not take"
            seen.add(other)
            queue.append(other)
    return "no path leads between it and the trunk"


def other_target(plan: Plan | None, target: Target) -> tuple[str, ...]:
    """A note where a plan was made for another machine or precision than the split is."""
    if plan is None or plan.is_for(target):
        return ()
    made, now = f"{plan.target} {plan.precision}", f"{target.profile.name} {target.precision.value}"
    return (f"the plan was made for {made}, the split is for {now}",)

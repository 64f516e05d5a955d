"""Stacks of NCHW tensors: a tensor with one more axis, carried by one NCHW tensor for each position along it.

``torch.stack`` and views such as [N, 2, C, H, W] of [N, 2 C, H, W] make tensors of rank 5 whose extra axis is small:
branches of a network that are weighted and summed. Carried apart, they need no more than rank 4. A layout's fifth
dimension is the number of parts; an ordinary carrier has one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import is_constant, is_op, shape
from dlarewrite.rewrite import emit, forms
from dlarewrite.rewrite.layout import Layout, layout

PARTS = 4
"""The place of the extra axis among a layout's dimensions."""

_MOVES = ("Reshape", "Transpose", "Unsqueeze", "Squeeze", "Flatten")

DEEPEST = 32
"""Parts that a volume is taken apart into at most."""

Parts = Sequence[gs.Tensor]
Make = Callable[[Editor, Sequence["Parts | None"]], Sequence[Parts]]


@dataclass(frozen=True)
class Apart:
    """One node: the layouts of its outputs, and the edit from the parts of its inputs to those of its outputs."""

    node: gs.Node
    outputs: tuple[Layout, ...]
    make: Make


Rules = Mapping[str, Callable[[gs.Node, Sequence["Layout | None"], int], "Apart | None"]]


@dataclass(frozen=True)
class Plan:
    """Nodes in order; volumes that come in to be taken apart; tensors that go out, with the layout of their parts."""

    steps: tuple[Apart, ...]
    entries: tuple[tuple[gs.Tensor, Layout], ...]
    exits: tuple[tuple[gs.Tensor, Layout], ...]

    @property
    def nodes(self) -> tuple[gs.Node, ...]:
        return tuple(step.node for step in self.steps)


def plan(anchor: gs.Node, model: Model, rules: Rules, *, volumes: bool = False) -> Plan | None:
    """How everything around the anchor that is stacked is taken apart; None where a stack is needed as it is.

    ``volumes``: the rules know operators of rank 5. Then [N, C, D, H, W] tensors that come in are taken apart along D,
    and what comes out is put together again.
    """
    layouts: dict[int, Layout] = {}
    steps: dict[int, Apart] = {}
    for node in _component(anchor, model, rules):
        ins = [None if is_constant(t) or not t.name else _known(t, layouts, volumes) for t in node.inputs]
        if any(i is None and t.name and not is_constant(t) for i, t in zip(ins, node.inputs, strict=True)):
            continue
        found = _rule(node, ins, model.opset, rules)
        plain = all(i is None or i.dims[PARTS] == 1 for i in ins)
        if found is None or (plain and not _leads_on(found, node)):
            continue
        steps[id(node)] = found
        layouts.update((id(t), how) for t, how in zip(node.outputs, found.outputs, strict=True))
    kept = _connected(anchor, steps)
    chosen = tuple(step for key, step in steps.items() if key in kept)
    made = {id(t): how for step in chosen for t, how in zip(step.node.outputs, step.outputs, strict=True)}
    entries = {
        id(t): (t, how)
        for step in chosen
        for t in step.node.inputs
        if id(t) not in made
        and not is_constant(t)
        and (how := _known(t, layouts, True)) is not None
        and len(how.places) != 4
    }
    exits = [
        (t, made[id(t)])
        for step in chosen
        for t in step.node.outputs
        if model.is_pinned(t) or any(id(r) not in kept for r in t.outputs)
    ]
    whole = all(_comes_out(how, volumes) for _, how in exits)
    stacked = volumes or any(how.dims[PARTS] > 1 for how in made.values())
    return Plan(chosen, tuple(entries.values()), tuple(exits)) if whole and stacked and exits else None


def take_apart(found: Plan, edit: Editor) -> None:
    """Emit the parts, and let everything outside read the exits from there."""
    parts: dict[int, Parts] = {id(t): _divided_volume(edit, t, how) for t, how in found.entries}
    for step in found.steps:
        ins = [None if is_constant(t) or not t.name else parts.get(id(t), [t]) for t in step.node.inputs]
        made = step.make(edit, ins)
        parts.update((id(t), p) for t, p in zip(step.node.outputs, made, strict=True))
    for tensor, how in found.exits:
        joined = _joined_volume(edit, parts[id(tensor)], how)
        for reader in [r for r in tensor.outputs if is_op(r, "Reshape", "Flatten", "Squeeze")]:
            form = shape(reader.outputs[0])
            if form is not None:
                edit.replace_uses(reader.outputs[0], emit.reshape(edit, joined, form))
                edit.sweep([reader])
        if tensor.outputs or edit.model.is_pinned(tensor):
            edit.replace_uses(tensor, emit.reshape(edit, joined, how.shape))


_VOLUME = ((0,), (1,), (PARTS,), (2,), (3,))


def _known(tensor: gs.Tensor, layouts: Mapping[int, Layout], volumes: bool) -> Layout | None:
    """The layout worked out for a tensor, or that of one from outside: NCHW, or NCDHW taken apart along D."""
    form = shape(tensor)
    if id(tensor) in layouts or form is None:
        return layouts.get(id(tensor))
    if volumes and len(form) == 5 and form[2] <= DEEPEST:
        return layout([form[0], form[1], form[3], form[4], form[2]], _VOLUME)
    return layout([*form, 1], [(0,), (1,), (2,), (3,)]) if len(form) == 4 else None


def _comes_out(how: Layout, volumes: bool) -> bool:
    """Whether a tensor with this layout can be handed to what stands outside."""
    if how.dims[PARTS] == 1:
        return how.straight and (volumes or how.shape == how.dims[:PARTS])
    return volumes and how.order == tuple(a for a in (0, 1, PARTS, 2, 3) if how.dims[a] > 1)


def _divided_volume(edit: Editor, tensor: gs.Tensor, how: Layout) -> Parts:
    """[N, C, D, H, W] as [N, C * D, H, W], of which each part picks its channels."""
    batch, channels, height, width, depth = how.dims
    flat = emit.reshape(edit, tensor, [batch, channels * depth, height, width])
    if depth == 1:
        return [flat]
    rows = np.arange(channels * depth).reshape(channels, depth)
    return [forms.pick_channels(edit, flat, rows[:, k].tolist()) for k in range(depth)]


def _joined_volume(edit: Editor, parts: Parts, how: Layout) -> gs.Tensor:
    """Parts side by side along C, depth innermost: the elements of the tensor in their order."""
    if len(parts) == 1:
        return parts[0]
    rows = np.arange(len(parts) * how.dims[1]).reshape(len(parts), how.dims[1]).T.reshape(-1)
    return forms.pick_channels(edit, edit.op("Concat", parts, {"axis": 1}), rows.tolist())


def _leads_on(found: Apart, node: gs.Node) -> bool:
    """Whether a node without stacked inputs belongs to the region: it makes a stack, or changes the rank for one."""
    variable = [t for t in node.inputs if t.name and not is_constant(t)]
    return (
        any(o.dims[PARTS] > 1 for o in found.outputs)
        or is_op(node, *_MOVES)
        or any(shape(t) != found.outputs[0].dims[:PARTS] for t in variable)
    )


def _component(anchor: gs.Node, model: Model, rules: Rules) -> list[gs.Node]:
    seen: dict[int, bool] = {id(anchor): _takes_part(anchor, rules)}
    queue = deque([anchor] if seen[id(anchor)] else [])
    while queue:
        node = queue.popleft()
        near = [p for t in node.inputs for p in t.inputs] + [r for t in node.outputs for r in t.outputs]
        for other in near:
            if id(other) not in seen:
                seen[id(other)] = _takes_part(other, rules)
                if seen[id(other)]:
                    queue.append(other)
    return [n for n in model.nodes if seen.get(id(n))]


def _takes_part(node: gs.Node, rules: Rules) -> bool:
    """Whether the node reads or writes a tensor that is not NCHW, and a rule may know it; nothing of size 0."""
    forms_ = [shape(t) for t in (*node.inputs, *node.outputs) if t.name and not is_constant(t)]
    return is_op(node, *rules) and all(f and 0 not in f for f in forms_) and any(len(f or ()) != 4 for f in forms_)


def _connected(anchor: gs.Node, steps: Mapping[int, Apart]) -> set[int]:
    if id(anchor) not in steps:
        return set()
    kept, queue = {id(anchor)}, deque([anchor])
    while queue:
        node = queue.popleft()
        near = [p for t in node.inputs for p in t.inputs] + [r for t in node.outputs for r in t.outputs]
        fresh = [n for n in near if id(n) in steps and id(n) not in kept]
        kept.update(map(id, fresh))
        queue.extend(fresh)
    return kept


def _rule(node: gs.Node, ins: Sequence[Layout | None], opset: int, rules: Rules) -> Apart | None:
    if any(not t.name for t in node.outputs) or any(shape(t) is None for t in node.outputs):
        return None
    return rules[node.op](node, ins, opset)

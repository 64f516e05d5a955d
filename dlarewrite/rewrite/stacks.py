"""Stacks of NCHW tensors: a tensor with one more axis, carried by one NCHW tensor for each position along it.

``torch.stack`` and views such as [N, 2, C, H, W] of [N, 2 C, H, W] make tensors of rank 5 whose extra axis is small:
branches of a network that are weighted and summed. Carried apart, they need no more than rank 4. A layout's fifth
dimension is the number of parts; an ordinary carrier has one.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import Array, attr, axis, constant_value, input_at, ints, is_constant, is_op, label, shape
from dlarewrite.rewrite import emit, forms
from dlarewrite.rewrite.layout import Layout, layout

PARTS = 4
"""The place of the extra axis among a layout's dimensions."""

_MOST = 8
_UNARY = ["Relu", "LeakyRelu", "Sigmoid", "Tanh", "Clip", "Abs", "Neg", "HardSigmoid", "Identity", "Dropout", "Cast"]
_BINARY = ["Add", "Sub", "Mul", "Div", "Max", "Min"]
_MOVES = ["Reshape", "Transpose", "Unsqueeze", "Squeeze", "Flatten"]
_REDUCE = MappingProxyType({"ReduceSum": "Add", "ReduceMean": "Add", "ReduceMax": "Max", "ReduceMin": "Min"})

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


def plan(anchor: gs.Node, model: Model, rules: Rules | None = None) -> Plan | None:
    """How everything around the anchor that is stacked is taken apart; None where a stack is needed as it is.

    ``rules`` (default: those of this module) may know operators of rank 5: then [N, C, D, H, W] tensors that come in
    are taken apart along D, and what comes out is put together again.
    """
    layouts: dict[int, Layout] = {}
    steps: dict[int, Apart] = {}
    for node in _component(anchor, model, rules or RULES):
        ins = [None if is_constant(t) or not t.name else _known(t, layouts, rules is not None) for t in node.inputs]
        if any(i is None and t.name and not is_constant(t) for i, t in zip(ins, node.inputs, strict=True)):
            continue
        found = _rule(node, ins, model.opset, rules or RULES)
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
    whole = all(_comes_out(how, rules is not None) for _, how in exits)
    stacked = rules is not None or any(how.dims[PARTS] > 1 for how in made.values())
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
    seen: dict[int, bool] = {id(anchor): True}
    queue = deque([anchor])
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
    """Whether the node reads or writes a tensor that is not NCHW, and a rule may know it."""
    tensors = [t for t in (*node.inputs, *node.outputs) if t.name and not is_constant(t)]
    ranks = [len(s) if s is not None else 0 for s in map(shape, tensors)]
    return is_op(node, *rules) and 0 not in ranks and any(r != 4 for r in ranks)


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


def _only(ins: Sequence[Layout | None]) -> Layout | None:
    return None if any(i is not None for i in ins[1:]) else next(iter(ins), None)


def _again(edit: Editor, node: gs.Node, inputs: Sequence[gs.Tensor | None]) -> gs.Tensor:
    return edit.op(node.op, inputs, dict(node.attrs), hint=label(node))


def _unary(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Apart | None:
    data = _only(ins)
    if data is None or len(node.outputs) != 1 or any(len(shape(t) or ()) > 1 for t in node.inputs[1:]):
        return None
    rest = [t if t.name else None for t in node.inputs[1:]]
    return Apart(node, (data,), lambda edit, parts: [[_again(edit, node, [x, *rest]) for x in parts[0] or ()]])


def _binary(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Apart | None:
    form = shape(node.outputs[0])
    lead = next((i for i in ins if i is not None and i.shape == form), None)
    if lead is None or len(ins) != 2:
        return None
    for other in ins:
        offset = 0 if other is None else len(lead.places) - len(other.places)
        if offset < 0 or (
            other is not None and any(p and p != w for p, w in zip(other.places, lead.places[offset:], strict=True))
        ):
            return None

    def make(edit: Editor, parts: Sequence[Parts | None]) -> Sequence[Parts]:
        count = lead.dims[PARTS]
        sides = [p if p is not None else _constants(edit, node.inputs[i], lead) for i, p in enumerate(parts)]
        return [[_again(edit, node, [side[k if len(side) > 1 else 0] for side in sides]) for k in range(count)]]

    return Apart(node, (lead,), make)


def _constants(edit: Editor, tensor: gs.Tensor, lead: Layout) -> list[gs.Constant]:
    values = np.asarray(constant_value(tensor))
    if values.size == 1:
        return [edit.constant(values.reshape(()), str(tensor.name))]
    spread: Array = lead.relay(values)
    return [edit.constant(spread[..., k], str(tensor.name)) for k in range(spread.shape[PARTS])]


def _moving(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Apart | None:
    data, form = _only(ins), shape(node.outputs[0])
    if data is None or form is None:
        return None
    if is_op(node, "Transpose"):
        rank = len(data.places)
        moved = data.permuted(ints(node, "perm", tuple(range(rank))[::-1]))
        return Apart(node, (moved,), lambda edit, parts: [parts[0] or ()])
    kept = data.regrouped(form)
    if kept is not None and not any(PARTS in p and len(p) > 1 for p in kept.places):
        return Apart(node, (kept,), lambda edit, parts: [parts[0] or ()])
    if kept is not None:
        return _merged(node, kept, form)
    return _divided(node, data, form)


def _merged(node: gs.Node, kept: Layout, form: tuple[int, ...]) -> Apart | None:
    """[N, K, C, ...] to [N, K * C, ...]: a Concat of the parts."""
    if not any(place[:2] == (PARTS, 1) or place == (PARTS,) for place in kept.places):
        return None
    dims = (kept.dims[0], kept.dims[1] * kept.dims[PARTS], *kept.dims[2:PARTS], 1)
    places = [tuple(dict.fromkeys(1 if a == PARTS else a for a in place)) for place in kept.places]
    return Apart(node, (layout(dims, places),), lambda edit, parts: [[edit.op("Concat", parts[0] or (), {"axis": 1})]])


def _divided(node: gs.Node, data: Layout, form: tuple[int, ...]) -> Apart | None:
    """[N, K * C, ...] to [N, K, C, ...]: Slices along the channels."""
    channels = data.dims[1]
    if data.dims[PARTS] != 1 or data.order != tuple(sorted(data.order)):
        return None
    for count in sorted({size for size in form if 1 < size <= _MOST and channels % size == 0}):
        dims = (data.dims[0], channels // count, *data.dims[2:PARTS], count)
        order = [0, PARTS, 1, 2, 3]
        split = layout(dims, [(a,) for a in order]).regrouped(form)
        if split is None or any(PARTS in p and len(p) > 1 for p in split.places):
            continue
        step = channels // count

        def make(edit: Editor, parts: Sequence[Parts | None], count: int = count, step: int = step) -> Sequence[Parts]:
            x = (parts[0] or ())[0]
            return [[emit.slice_(edit, x, [k * step], [(k + 1) * step], [1]) for k in range(count)]]

        return Apart(node, (split,), make)
    return None


def _stacking(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Apart | None:
    """Concat along an axis of which each input has one."""
    form = shape(node.outputs[0])
    known = [i for i in ins if i is not None]
    if form is None or len(known) != len(ins) or not 1 < len(known) <= _MOST or len(form) == 4:
        return None
    where = axis(int(attr(node, "axis", 1)), len(form))
    if any(i != known[0] for i in known) or known[0].places[where] or known[0].dims[PARTS] != 1:
        return None
    stacked = known[0].resized({PARTS: len(known)}).with_place(where, PARTS)
    return Apart(node, (stacked,), lambda edit, parts: [[p[0] for p in parts if p]])


def _softmax(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Apart | None:
    """Over two parts a and b: sigmoid(a - b) and sigmoid(b - a)."""
    data = _only(ins)
    if data is None or opset < 13 or data.dims[PARTS] != 2:
        return None
    where = axis(int(attr(node, "axis", -1)), len(data.places))
    if data.places[where] != (PARTS,):
        return None

    def make(edit: Editor, parts: Sequence[Parts | None]) -> Sequence[Parts]:
        a, b = parts[0] or ()
        return [[edit.op("Sigmoid", [edit.op("Sub", pair)]) for pair in ([a, b], [b, a])]]

    return Apart(node, (data,), make)


def _reducing(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Apart | None:
    """Sum, mean, maximum or minimum over the parts."""
    data = _only(ins)
    held = constant_value(input_at(node, 1))
    if data is None or (input_at(node, 1) is not None and held is None) or data.dims[PARTS] == 1:
        return None
    rank = len(data.places)
    named = [int(v) for v in held] if held is not None else ints(node, "axes", tuple(range(rank)))
    axes = {axis(a, rank) for a in named}
    if [a for where in axes for a in data.places[where]] != [PARTS]:
        return None
    result = data.resized({PARTS: 1})
    if not attr(node, "keepdims", 1):
        result = result.without(sorted(axes))

    def make(edit: Editor, parts: Sequence[Parts | None]) -> Sequence[Parts]:
        xs = list(parts[0] or ())
        total = functools.reduce(lambda a, b: edit.op(_REDUCE[node.op], [a, b], hint=label(node)), xs)
        if is_op(node, "ReduceMean"):
            total = edit.op("Mul", [total, emit.scalar(edit, 1 / len(xs), total, "share")])
        return [[total]]

    return Apart(node, (result,), make)


def _choosing(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Apart | None:
    """Gather, Split and Slice along the stack."""
    data = _only(ins)
    if data is None or data.dims[PARTS] == 1:
        return None
    rank, every = len(data.places), np.arange(data.dims[PARTS])
    if is_op(node, "Slice"):
        cuts = forms.read_slice(node, opset) or {}
        where, rows = next(iter(cuts), 0), [every[cut] for cut in cuts.values()]
        if len(cuts) != 1:
            return None
    elif is_op(node, "Split"):
        where = axis(int(attr(node, "axis", 0)), rank)
        rows = np.split(every, np.cumsum([(shape(t) or ())[where] for t in node.outputs])[:-1])
    else:
        where, held = axis(int(attr(node, "axis", 0)), rank), constant_value(input_at(node, 1))
        if held is None or held.ndim > 1 or data.places[where] != (PARTS,):
            return None
        rows = [every[held.astype(np.int64).reshape(-1)]]
    if data.places[where] != (PARTS,):
        return None
    results = [data.resized({PARTS: len(r)}) for r in rows]
    if is_op(node, "Gather") and len(shape(node.outputs[0]) or ()) < rank:
        results = [results[0].without([where])]
    return Apart(node, tuple(results), lambda edit, parts: [[(parts[0] or ())[k] for k in r] for r in rows])


RULES: Mapping[str, Callable[[gs.Node, Sequence[Layout | None], int], Apart | None]] = MappingProxyType(
    {
        **dict.fromkeys(_UNARY, _unary),
        **dict.fromkeys(_BINARY, _binary),
        **dict.fromkeys(_MOVES, _moving),
        **dict.fromkeys(_REDUCE, _reducing),
        **dict.fromkeys(("Gather", "Split", "Slice"), _choosing),
        "Concat": _stacking,
        "Softmax": _softmax,
    }
)
"""What each operator does to parts."""

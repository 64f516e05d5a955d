"""What operators do to tensors that are carried by several NCHW tensors.

Element-wise ones, moves, choices, reductions.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import Array, attr, axis, constant_value, input_at, ints, is_op, label, shape
from dlarewrite.rewrite import emit, forms
from dlarewrite.rewrite.layout import Layout, layout
from dlarewrite.rewrite.stacks import PARTS, Apart, Parts, Rules

_MOST = 8
_UNARY = ["Relu", "LeakyRelu", "Sigmoid", "Tanh", "Clip", "Abs", "Neg", "HardSigmoid", "Identity", "Dropout", "Cast"]
_BINARY = ["Add", "Sub", "Mul", "Div", "Max", "Min"]
_MOVES = ["Reshape", "Transpose", "Unsqueeze", "Squeeze", "Flatten"]
_REDUCE = MappingProxyType({"ReduceSum": "Add", "ReduceMean": "Add", "ReduceMax": "Max", "ReduceMin": "Min"})


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


STACK_RULES: Rules = MappingProxyType(
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

"""Convolutions and pools over depth, height and width, on tensors that are taken apart along depth.

Each slice of the depth is an NCHW tensor. A slice of a convolution's result reads a few slices of its input: side by
side along the channels they are the input of one two-dimensional convolution, with the same work in all.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import Window, attr, axis, constant_value, input_at, ints, is_constant, label, shape, window
from dlarewrite.rewrite import emit, forms
from dlarewrite.rewrite.layout import Layout, layout
from dlarewrite.rewrite.stack_rules import STACK_RULES
from dlarewrite.rewrite.stacks import DEEPEST, PARTS, Apart, Parts, Rules

_PLACES = ((0,), (1,), (PARTS,), (2,), (3,))


def _volume(node: gs.Node, ins: Sequence[Layout | None]) -> tuple[Layout, Window, Layout] | None:
    """The layouts of input and result, [N, C, D, H, W] both, and the window over D, H and W."""
    data, found, form = ins[0], window(node), shape(node.outputs[0])
    if data is None or any(i is not None for i in ins[1:]) or found is None or form is None or len(found.kernel) != 3:
        return None
    if data != layout(data.dims, _PLACES) or form[2] > DEEPEST or len(node.outputs) != 1:
        return None
    return data, found, layout([form[0], form[1], form[3], form[4], form[2]], _PLACES)


def _reads(found: Window, depth: int, k: int) -> list[tuple[int, int]]:
    """(tap, slice) pairs of result slice k; taps on padding are left out."""
    at = k * found.strides[0] - found.begin[0]
    pairs = [(tap, at + tap * found.dilations[0]) for tap in range(found.kernel[0])]
    return [(tap, place) for tap, place in pairs if 0 <= place < depth]


def _plane(node: gs.Node, found: Window) -> dict[str, Any]:
    """The attributes that concern H and W."""
    attrs: dict[str, Any] = {"kernel_shape": list(found.kernel[1:]), "strides": list(found.strides[1:])}
    attrs["pads"] = [*found.begin[1:], *found.end[1:]]
    if any(d != 1 for d in found.dilations[1:]):
        attrs["dilations"] = list(found.dilations[1:])
    return attrs | {k: v for k, v in node.attrs.items() if k in ("group", "ceil_mode", "count_include_pad")}


def _convolution(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Apart | None:
    volume, weights, bias = _volume(node, ins), input_at(node, 1), input_at(node, 2)
    if volume is None or weights is None or not is_constant(weights) or (bias is not None and not is_constant(bias)):
        return None
    data, found, result = volume
    depth, count = data.dims[PARTS], result.dims[PARTS]
    if any(not _reads(found, depth, k) for k in range(count)):
        return None

    def make(edit: Editor, parts: Sequence[Parts | None]) -> Sequence[Parts]:
        values = np.asarray(constant_value(weights))
        xs, made, held = parts[0] or (), [], {}
        for k in range(count):
            pairs = _reads(found, depth, k)
            taps = tuple(tap for tap, _ in pairs)
            groups = [[pair] for pair in pairs] if found.group != 1 else [pairs]
            total: gs.Tensor | None = None
            for group in groups:
                key = tuple(tap for tap, _ in group)
                if key not in held:
                    held[key] = edit.constant(np.concatenate([values[:, :, tap] for tap in key], axis=1), "taps")
                slices = [xs[place] for _, place in group]
                x = slices[0] if len(slices) == 1 else edit.op("Concat", slices, {"axis": 1}, hint=label(node))
                own = [bias] if bias is not None and group[0][0] == taps[0] else []
                part = edit.op("Conv", [x, held[key], *own], _plane(node, found), hint=label(node))
                total = part if total is None else edit.op("Add", [total, part], hint=label(node))
            made.append(total)
        return [[part for part in made if part is not None]]

    return Apart(node, (result,), make)


def _pool(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Apart | None:
    volume = _volume(node, ins)
    if volume is None:
        return _channels_as_depth(node, ins)
    data, found, result = volume
    depth, count = data.dims[PARTS], result.dims[PARTS]
    still = all(size == 1 for size in found.kernel[1:] + found.strides[1:]) and not any(found.begin[1:] + found.end[1:])
    reads = [[place for _, place in _reads(found, depth, k)] for k in range(count)]
    full = all(len(r) == found.kernel[0] for r in reads)
    if any(not r for r in reads) or (node.op == "AveragePool" and not full):
        return None

    def make(edit: Editor, parts: Sequence[Parts | None]) -> Sequence[Parts]:
        xs = list(parts[0] or ())
        pooled = xs if still else [edit.op(node.op, [x], _plane(node, found), hint=label(node)) for x in xs]
        join = "Max" if node.op == "MaxPool" else "Add"
        made = [functools.reduce(lambda a, b: edit.op(join, [a, b]), [pooled[place] for place in r]) for r in reads]
        if join == "Add" and found.kernel[0] > 1:
            made = [edit.op("Mul", [x, emit.scalar(edit, 1 / found.kernel[0], x, "share")]) for x in made]
        return [made]

    return Apart(node, (result,), make)


def _channels_as_depth(node: gs.Node, ins: Sequence[Layout | None]) -> Apart | None:
    """A pool of [N, 1, C, H, W] whose window has one element along C: a pool of [N, C, H, W], and chosen channels."""
    data, found, form = ins[0], window(node), shape(node.outputs[0])
    if data is None or found is None or form is None or len(found.kernel) != 3 or len(node.outputs) != 1:
        return None
    if data != layout(data.dims, ((0,), (), (1,), (2,), (3,))) or data.dims[PARTS] != 1:
        return None
    if (found.kernel[0], found.begin[0], found.end[0]) != (1, 0, 0):
        return None
    rows = range(0, data.dims[1], found.strides[0])
    result = layout([form[0], len(rows), form[3], form[4], 1], ((0,), (), (1,), (2,), (3,)))

    def make(edit: Editor, parts: Sequence[Parts | None]) -> Sequence[Parts]:
        pooled = edit.op(node.op, list(parts[0] or ())[:1], _plane(node, found), hint=label(node))
        return [[pooled if found.strides[0] == 1 else forms.pick_channels(edit, pooled, rows)]]

    return Apart(node, (result,), make) if result.shape == form else None


def _global(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Apart | None:
    data = ins[0] if ins else None
    if data is None or data != layout(data.dims, _PLACES):
        return None
    count = data.dims[PARTS]
    result = layout([data.dims[0], data.dims[1], 1, 1, 1], _PLACES)

    def make(edit: Editor, parts: Sequence[Parts | None]) -> Sequence[Parts]:
        pooled = [edit.op(node.op, [x], {}, hint=label(node)) for x in parts[0] or ()]
        join = "Max" if node.op == "GlobalMaxPool" else "Add"
        total = functools.reduce(lambda a, b: edit.op(join, [a, b]), pooled)
        if join == "Add" and count > 1:
            total = edit.op("Mul", [total, emit.scalar(edit, 1 / count, total, "share")])
        return [[total]]

    return Apart(node, (result,), make)


def _normalization(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Apart | None:
    data = ins[0] if ins else None
    if data is None or data != layout(data.dims, _PLACES) or len(node.outputs) != 1 or attr(node, "training_mode", 0):
        return None
    rest = list(node.inputs[1:])

    def make(edit: Editor, parts: Sequence[Parts | None]) -> Sequence[Parts]:
        return [[edit.op(node.op, [x, *rest], dict(node.attrs), hint=label(node)) for x in parts[0] or ()]]

    return Apart(node, (data,), make)


def _joining(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Apart | None:
    """Concat of volumes over their channels or their depth; anything else is a stack."""
    known = [i for i in ins if i is not None]
    form = shape(node.outputs[0])
    if form is None or len(form) != 5 or len(known) != len(ins) or any(i != layout(i.dims, _PLACES) for i in known):
        return STACK_RULES["Concat"](node, ins, opset)
    where = axis(int(attr(node, "axis", 1)), 5)
    if where not in (1, 2) or form[2] > DEEPEST:
        return None
    result = layout([form[0], form[1], form[3], form[4], form[2]], _PLACES)

    def make(edit: Editor, parts: Sequence[Parts | None]) -> Sequence[Parts]:
        volumes = [list(part or ()) for part in parts]
        if where == 2:
            return [[x for volume in volumes for x in volume]]
        return [[edit.op("Concat", xs, {"axis": 1}, hint=label(node)) for xs in zip(*volumes, strict=True)]]

    return Apart(node, (result,), make)


def _mean(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Apart | None:
    """ReduceMean over depth, height and width; over less it is a stack's."""
    data, named = ins[0] if ins else None, input_at(node, 1)
    held = constant_value(named)
    if data is None or data != layout(data.dims, _PLACES) or (named is not None and held is None):
        return STACK_RULES["ReduceMean"](node, ins, opset)
    axes = ints(node, "axes") if held is None else [int(v) for v in held.reshape(-1)]
    if {axis(a, 5) for a in axes} != {2, 3, 4}:
        return STACK_RULES["ReduceMean"](node, ins, opset)
    count = data.dims[PARTS]
    result = layout([data.dims[0], data.dims[1], 1, 1, 1], _PLACES)
    if not attr(node, "keepdims", 1):
        result = result.without([2, 3, 4])

    def make(edit: Editor, parts: Sequence[Parts | None]) -> Sequence[Parts]:
        pooled = [edit.op("GlobalAveragePool", [x], {}, hint=label(node)) for x in parts[0] or ()]
        total = functools.reduce(lambda a, b: edit.op("Add", [a, b]), pooled)
        return [[total if count == 1 else edit.op("Mul", [total, emit.scalar(edit, 1 / count, total, "share")])]]

    return Apart(node, (result,), make)


VOLUME_RULES: Rules = MappingProxyType(
    {
        **STACK_RULES,
        "Conv": _convolution,
        "MaxPool": _pool,
        "AveragePool": _pool,
        "GlobalAveragePool": _global,
        "GlobalMaxPool": _global,
        "BatchNormalization": _normalization,
        "Concat": _joining,
        "ReduceMean": _mean,
    }
)
"""What each operator does to a volume that is taken apart along depth, and to any stack."""

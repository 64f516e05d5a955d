"""How convolutions and pools over one spatial axis are carried.

As two-dimensional ones with a window of 1 on the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import Window, constant_value, input_at, is_constant, label, shape, window
from dlarewrite.rewrite.carry import Carried, Rule
from dlarewrite.rewrite.layout import Layout, layout

_SHARED = ("ceil_mode", "count_include_pad", "group", "storage_order")


def _twice(value: int, other: int, place: int) -> list[int]:
    """``value`` on carrier axis ``place``, ``other`` on the other spatial axis."""
    return [value, other] if place == 2 else [other, value]


def _attrs(node: gs.Node, w: Window, place: int) -> dict[str, Any]:
    attrs: dict[str, Any] = {k: v for k, v in node.attrs.items() if k in _SHARED}
    attrs["kernel_shape"] = _twice(w.kernel[0], 1, place)
    attrs["strides"] = _twice(w.strides[0], 1, place)
    attrs["pads"] = _twice(w.begin[0], 0, place) + _twice(w.end[0], 0, place)
    if w.dilations[0] != 1 and w.kernel[0] != 1:
        attrs["dilations"] = _twice(w.dilations[0], 1, place)
    if node.op == "ConvTranspose" and any(w.output_padding):
        attrs["output_padding"] = _twice(w.output_padding[0], 0, place)
    return attrs


def _line(node: gs.Node, ins: Sequence[Layout | None]) -> tuple[Layout, Window, int] | None:
    """The data's layout, the window, and the carrier axis (2 or 3) that the one spatial axis lies on."""
    data, found = ins[0], window(node)
    if data is None or any(i is not None for i in ins[1:]) or found is None or len(found.kernel) != 1:
        return None
    if len(data.places) != 3 or not data.batched or data.place(1) != 1:
        return None
    place = data.place(2, 3)
    point = (found.kernel, found.strides, found.pads) == ((1,), (1,), (0, 0))
    if place is None and point and 1 not in data.places[2] and 0 not in data.places[2]:
        place = 3
    return (data, found, place) if place in (2, 3) else None


def convolution(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Conv and ConvTranspose of [N, C, L] with constant weights."""
    line, form, weights = _line(node, ins), shape(node.outputs[0]), input_at(node, 1)
    if line is None or form is None or weights is None or not is_constant(weights):
        return None
    data, found, place = line
    bias = input_at(node, 2)
    if bias is not None and not is_constant(bias):
        return None

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        values = np.asarray(constant_value(weights))
        wide = np.expand_dims(values, 2 if place == 3 else 3)
        inputs = [carriers[0], edit.constant(wide, str(weights.name)), *([bias] if bias is not None else [])]
        return edit.ops(node.op, inputs, _attrs(node, found, place), hint=label(node))

    return Carried((_result(data, form, place),), make)


def pool(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """MaxPool and AveragePool of [N, C, L]."""
    line, form = _line(node, ins), shape(node.outputs[0])
    if line is None or form is None or len(node.outputs) != 1:
        return None
    data, found, place = line

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        return edit.ops(node.op, carriers[:1], _attrs(node, found, place), hint=label(node))

    return Carried((_result(data, form, place),), make)


def _result(data: Layout, form: tuple[int, ...], place: int) -> Layout:
    """The layout of an [N, C', L'] result; a spatial axis that is spread over two carrier axes stays so."""
    if len(data.places[2]) > 1:
        return layout((data.dims[0], form[1], data.dims[2], data.dims[3]), [(0,), (1,), data.places[2]])
    dims = [form[0], form[1], 1, 1]
    dims[place] = form[2]
    return layout(dims, [(0,), (1,), (place,)])


POOL_RULES: Mapping[str, Rule] = MappingProxyType({"MaxPool": pool, "AveragePool": pool})
"""Pools over one axis."""

WINDOW_RULES: Mapping[str, Rule] = MappingProxyType({"Conv": convolution, "ConvTranspose": convolution, **POOL_RULES})
"""Operators with a sliding window over one axis."""

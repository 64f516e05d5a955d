"""Operators in the forms of opsets 6 to 12, and how each becomes the form of opset 13 with the same meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir import view
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.model import Model


class Stuck(Exception):  # noqa: N818 - carries the reason out of the group, which is undone
    """A node has no equal form in the later opset; says why."""


HARMLESS = frozenset(("consumed_inputs", "is_test", "broadcast"))
"""Attributes that could be dropped without a change, once the forms below have looked at them."""


@dataclass(frozen=True)
class Old:
    """A node in the form of opset ``version``, on its way to ``wanted``."""

    node: gs.Node
    version: int
    wanted: int
    model: Model
    edit: Editor

    def attr(self, name: str, default: Any = None) -> Any:
        return view.attr(self.node, name, default)

    def ints(self, values: Any, hint: str) -> gs.Tensor:
        return self.edit.constant(np.asarray(values, dtype=np.int64), hint)

    def become(self, op: str, inputs: list[gs.Tensor | None], *, without: tuple[str, ...] = (), **attrs: Any) -> None:
        """The node with other inputs, and attributes added or left out."""
        kept = {k: v for k, v in self.node.attrs.items() if k not in without}
        while inputs and inputs[-1] is None:
            inputs.pop()
        self.edit.reform(self.node, op, inputs, {**kept, **attrs})

    def stuck(self, why: str) -> Stuck:
        return Stuck(f"{view.label(self.node)} ({self.node.op}) {why}")


def _axes_to_input(name: str) -> Callable[[Old], None]:
    """An integer list that became input 1 in opset 13."""

    def form(old: Old) -> None:
        if old.version < 13 <= old.wanted and name in old.node.attrs:
            old.become(old.node.op, [old.node.inputs[0], old.ints(old.attr(name), name)], without=(name,))

    return form


def _slice(old: Old) -> None:
    if old.version >= 10:
        return
    axes = old.attr("axes")
    inputs: list[gs.Tensor | None] = [old.node.inputs[0], old.ints(old.attr("starts"), "starts")]
    inputs += [old.ints(old.attr("ends"), "ends"), None if axes is None else old.ints(axes, "axes")]
    old.become("Slice", inputs, without=("starts", "ends", "axes"))


def _pad(old: Old) -> None:
    if old.version >= 11:
        return
    x, value = old.node.inputs[0], float(old.attr("value", 0.0))
    fill = old.edit.constant(value, "value", _type(old, x)) if value else None
    old.become("Pad", [x, old.ints(old.attr("pads"), "pads"), fill], without=("pads", "value"))


def _clip(old: Old) -> None:
    if old.version >= 11:
        return
    x = old.node.inputs[0]
    bounds = [None if (b := old.attr(n)) is None else old.edit.constant(b, n, _type(old, x)) for n in ("min", "max")]
    old.become("Clip", [x, *bounds], without=("min", "max"))


def _type(old: Old, tensor: gs.Tensor) -> Any:
    kind = view.dtype(tensor)
    if kind is None:
        raise old.stuck("reads a tensor of unknown type")
    return kind


def _topk(old: Old) -> None:
    if old.version < 10:
        old.become("TopK", [old.node.inputs[0], old.ints([old.attr("k")], "k")], without=("k",))


def _dropout(old: Old) -> None:
    if old.version >= 12:
        return
    if old.version < 7 and not old.attr("is_test", 0):
        raise old.stuck("is in training mode (is_test = 0)")
    mask = view.output_at(old.node, 1)
    if mask is not None and old.version < 10:
        if mask.outputs or old.model.is_pinned(mask):
            raise old.stuck(f"has a mask of floats, {mask.name!r}, that is read")
        with_mask = mask.dtype
        old.edit.describe(mask, np.dtype(bool) if with_mask is not None else None, mask.shape)
    old.become("Dropout", [old.node.inputs[0]], without=("ratio", "is_test"))


def _batchnorm(old: Old) -> None:
    if old.version < 14 <= old.wanted and len(old.node.outputs) > 1:
        raise old.stuck("has outputs for training")
    if old.version >= 9:
        return
    if not old.attr("spatial", 1):
        raise old.stuck("has statistics for every element (spatial = 0)")
    if old.version < 7 and not old.attr("is_test", 0):
        raise old.stuck("is in training mode (is_test = 0)")
    old.become("BatchNormalization", list(old.node.inputs), without=("spatial", "is_test", "consumed_inputs"))


def _upsample(old: Old) -> None:
    mode = old.attr("mode", "nearest")
    if mode not in ("nearest", "linear"):
        raise old.stuck(f"has mode {mode!r}")
    scales: gs.Tensor | None = view.input_at(old.node, 1)
    if scales is None:
        if old.attr("scales") is None:
            raise old.stuck("has no scales")
        scales = old.edit.constant(np.asarray(old.attr("scales"), np.float32), "scales")
    old.become("Resize", [old.node.inputs[0], None, scales], without=("scales", "mode"), **_asymmetric(mode, "floor"))


def _resize(old: Old) -> None:
    if old.version != 10:
        return
    mode, rounding = old.attr("mode", "nearest"), "floor"
    if mode == "nearest":
        scales = view.constant_value(view.input_at(old.node, 1))
        if scales is None or (np.any(scales < 1) and np.any(scales > 1)):
            raise old.stuck("rounds by its scales, which are not constant or go both up and down")
        # Opset 10 left the rounding open; onnxruntime rounds down when it enlarges and up when it shrinks.
        rounding = "ceil" if np.any(scales < 1) else "floor"
    old.become(
        "Resize", [old.node.inputs[0], None, old.node.inputs[1]], without=("mode",), **_asymmetric(mode, rounding)
    )


def _asymmetric(mode: str, rounding: str) -> dict[str, Any]:
    attrs = {"mode": mode, "coordinate_transformation_mode": "asymmetric"}
    return {**attrs, "nearest_mode": rounding} if mode == "nearest" else attrs


def _softmax(old: Old) -> None:
    """Before opset 13 all axes from ``axis`` on were taken together; the default was 1."""
    if old.version >= 13 or old.wanted < 13:
        return
    x, op = old.node.inputs[0], old.node.op
    rank, dims = view.rank(x), view.shape(x)
    if rank is None:
        raise old.stuck("reads a tensor of unknown rank")
    axis = view.axis(int(old.attr("axis", 1)), rank)
    if axis == rank - 1:
        old.become(op, [x], axis=axis)
        return
    if dims is None:
        raise old.stuck(f"joins axes {axis} to {rank - 1}, whose sizes are not known")
    long = [a for a in range(axis, rank) if dims[a] != 1]
    if axis < rank and len(long) <= 1:
        old.become(op, [x], axis=long[0] if long else axis)
        return
    if 0 in dims:
        raise old.stuck("joins axes of a tensor without elements")
    flat = [int(np.prod(dims[:axis], dtype=np.int64)), int(np.prod(dims[axis:], dtype=np.int64))]
    name = view.label(old.node)
    rows = old.edit.op("Reshape", [x, old.ints(flat, "shape")], hint=f"{name}/rows")
    scores = old.edit.op(op, [rows], {"axis": 1}, hint=f"{name}/{op}")
    old.edit.reform(old.node, "Reshape", [scores, old.ints(dims, "shape")])


def _scatter(old: Old) -> None:
    old.become("ScatterElements", list(old.node.inputs))


def _aligned(old: Old) -> None:
    """Opset 6 lines the second operand up by ``axis``, if ``broadcast`` is set."""
    if old.version >= 7:
        return
    a, b = old.node.inputs
    axis, left, right = old.attr("axis"), view.rank(a), view.rank(b)
    if not old.attr("broadcast", 0) or axis is None:
        old.become(old.node.op, [a, b], without=("axis", "broadcast", "consumed_inputs"))
        return
    dims = view.shape(b)
    if left is None or right is None or dims is None:
        raise old.stuck("broadcasts a tensor of unknown shape")
    behind = left - view.axis(int(axis), left) - right
    if behind:
        b = old.edit.op("Reshape", [b, old.ints([*dims, *(1,) * behind], "shape")], hint=view.label(old.node))
    old.become(old.node.op, [a, b], without=("axis", "broadcast", "consumed_inputs"))


def _prelu(old: Old) -> None:
    """Before opset 7 a slope of shape [C] meant one a channel."""
    x, slope = old.node.inputs
    rank, dims = view.rank(x), view.shape(slope)
    if old.version >= 7:
        return
    if rank is None or dims is None:
        raise old.stuck("has a slope or an input of unknown shape")
    if len(dims) == 1 and dims[0] != 1 and rank > 2:
        target = old.ints([dims[0], *(1,) * (rank - 2)], "shape")
        slope = old.edit.op("Reshape", [slope, target], hint=view.label(old.node))
    old.become("PRelu", [x, slope], without=("consumed_inputs",))


def _roi_align(old: Old) -> None:
    if old.version < 16 <= old.wanted and old.attr("coordinate_transformation_mode") is None:
        old.edit.set_attr(old.node, "coordinate_transformation_mode", "output_half_pixel")


FORMS: Mapping[str, Callable[[Old], None]] = MappingProxyType(
    {
        **dict.fromkeys(("Squeeze", "Unsqueeze", "ReduceSum"), _axes_to_input("axes")),
        **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _softmax),
        **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less"), _aligned),
        "Split": _axes_to_input("split"),
        "Slice": _slice,
        "Pad": _pad,
        "Clip": _clip,
        "TopK": _topk,
        "Dropout": _dropout,
        "BatchNormalization": _batchnorm,
        "Upsample": _upsample,
        "Resize": _resize,
        "Scatter": _scatter,
        "PRelu": _prelu,
        "RoiAlign": _roi_align,
    }
)

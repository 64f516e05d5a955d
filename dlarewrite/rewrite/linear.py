"""Conv, ConvTranspose and Gemm as linear layers into which per-channel scales and shifts can be folded.

Everything is computed in float64 and rounded once to the layer's own type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import (
    Array,
    attr,
    constant_value,
    consumers,
    dtype,
    input_at,
    is_constant,
    is_op,
    label,
    rank,
    shape,
    window,
)

LAYERS = ("Conv", "ConvTranspose", "Gemm")


@dataclass(frozen=True)
class Affine:
    """y = scale * x + shift, one pair a channel; ``shift`` and ``scale`` have shape [C], float64."""

    scale: Array
    shift: Array

    @property
    def shifts(self) -> bool:
        return bool(np.any(self.shift))

    @property
    def scales(self) -> bool:
        return bool(np.any(self.scale != 1.0))


@dataclass(frozen=True)
class Layer:
    """A layer with constant weights: ``weight`` as ONNX stores it and ``bias`` [out], both float64.

    ``kept`` is the weight tensor as it stands, for rewrites that leave the weights alone; ``biased`` says whether the
    node reads a bias.
    """

    op: str
    weight: Array
    bias: Array
    group: int
    alpha: float
    out_axis: int
    kept: gs.Tensor
    dtype: np.dtype[Any]
    biased: bool

    @property
    def outputs(self) -> int:
        return int(self.bias.shape[0])

    @property
    def inputs(self) -> int:
        """Channels that the layer reads."""
        if self.op == "Gemm":
            return int(self.weight.shape[1 - self.out_axis])
        return int(self.weight.shape[0]) if self.op == "ConvTranspose" else int(self.weight.shape[1]) * self.group

    def followed_by(self, affine: Affine) -> tuple[Array, Array]:
        """Weight and bias of affine(layer(x))."""
        return self.weight * self._by_output(affine.scale), self.bias * affine.scale + affine.shift

    def preceded_by(self, affine: Affine) -> tuple[Array, Array]:
        """Weight and bias of layer(affine(x)); a shift is right only where no padding is read."""
        if self.op == "Gemm":
            weight = self.weight if self.out_axis == 0 else self.weight.T
            return self.weight * self._by_input(affine.scale), self.bias + self.alpha * (weight @ affine.shift)
        taps = self.alpha * self.weight * self._by_input(affine.shift)
        return self.weight * self._by_input(affine.scale), self.bias + self._sum_to_outputs(taps)

    def _by_output(self, values: Array) -> Array:
        if self.op == "Gemm":
            return values[:, None] if self.out_axis == 0 else values[None, :]
        if self.op == "Conv":
            return self._spread(values[:, None])
        each = values.reshape(self.group, -1)
        return self._spread(np.repeat(each, self.weight.shape[0] // self.group, axis=0))

    def _by_input(self, values: Array) -> Array:
        if self.op == "Gemm":
            return values[None, :] if self.out_axis == 0 else values[:, None]
        if self.op == "ConvTranspose":
            return self._spread(values[:, None])
        each = values.reshape(self.group, -1)
        return self._spread(np.repeat(each, self.weight.shape[0] // self.group, axis=0))

    def _spread(self, values: Array) -> Array:
        return values.reshape(*values.shape, *(1,) * (self.weight.ndim - 2))

    def _sum_to_outputs(self, taps: Array) -> Array:
        if self.op == "ConvTranspose":
            return np.zeros(self.outputs)
        total: Array = taps.sum(axis=tuple(a for a in range(taps.ndim) if a != self.out_axis))
        return total


def layer_of(node: gs.Node | None) -> Layer | str | None:
    """The node as a layer, a sentence where only its operands stand in the way, or None for other operators."""
    if node is None or not is_op(node, *LAYERS):
        return None
    tensor, added = input_at(node, 1), input_at(node, 2)
    weight = constant_value(tensor)
    if tensor is None or weight is None:
        return f"the weight of {label(node)} is not constant"
    if weight.dtype.kind != "f" or dtype(input_at(node, 0)) != weight.dtype:
        return f"the weight of {label(node)} is {weight.dtype}"
    if added is not None and not is_constant(added):
        return f"the bias of {label(node)} is not constant"
    group = int(attr(node, "group", 1))
    gemm = node.op == "Gemm"
    out_axis = (0 if attr(node, "transB", 0) else 1) if gemm else 0
    count = weight.shape[1] * group if node.op == "ConvTranspose" else weight.shape[out_axis]
    bias = np.zeros(count)
    if (held := constant_value(added)) is not None:
        if held.ndim > 1 and any(d != 1 for d in held.shape[:-1]):
            return f"the bias of {label(node)} has shape {list(held.shape)}, which is not one value an output"
        bias = np.broadcast_to(held.astype(np.float64).reshape(-1), (count,)) * float(
            attr(node, "beta", 1.0) if gemm else 1
        )
    alpha = float(attr(node, "alpha", 1.0)) if gemm else 1.0
    return Layer(
        node.op, weight.astype(np.float64), bias, group, alpha, out_axis, tensor, weight.dtype, added is not None
    )


def statistics(node: gs.Node, opset: int, channels: int) -> Affine | str:
    """The normalisation as a scale and a shift for each channel, or why it is none."""
    if attr(node, "training_mode", 0) or (opset < 7 and not attr(node, "is_test", 0)):
        return "the BatchNormalization is in training mode"
    if not attr(node, "spatial", 1):
        return "the BatchNormalization has statistics for every element (spatial = 0)"
    for extra in node.outputs[1:]:
        if extra.name and extra.outputs:
            return f"its statistics {extra.name!r} are read"
    values = [constant_value(input_at(node, i)) for i in range(1, 5)]
    if any(v is None for v in values):
        return "the statistics of the BatchNormalization are not constant"
    scale, bias, mean, variance = (np.asarray(v, dtype=np.float64).reshape(-1) for v in values)
    if any(v.size != channels for v in (scale, bias, mean, variance)):
        return f"the BatchNormalization has {scale.size} channels, the layer {channels}"
    spread = variance + float(attr(node, "epsilon", 1e-5))
    if not np.all(spread > 0):
        return f"a variance plus epsilon is {spread.min():.3g}, which has no root"
    slope = scale / np.sqrt(spread)
    return Affine(slope, bias - mean * slope)


def is_padded(node: gs.Node) -> bool:
    """Whether the layer reads zeros beside its input (or may, where its shapes are not known)."""
    if node.op == "Gemm":
        return False
    seen = window(node)
    return seen is None or seen.padded


def per_channel(constant: gs.Tensor, data: gs.Tensor) -> Array | None:
    """The constant as one float64 value for each channel (axis 1) of ``data``, or None where it varies otherwise."""
    dims, data_rank = shape(data), rank(data)
    value = constant_value(constant)
    if value is None or data_rank is None or data_rank < 2 or value.ndim > data_rank or value.dtype.kind not in "fiu":
        return None
    count = None if dims is None else dims[1]
    if count is None:
        size = data.shape[1]
        count = size if isinstance(size, int) and size > 0 else None
    where = 1 - (data_rank - value.ndim)
    if count is None or any(d != 1 for axis, d in enumerate(value.shape) if axis != where):
        return None
    flat = value.astype(np.float64).reshape(-1)
    return np.broadcast_to(flat, (count,)) if flat.size in (1, count) else None


def misfit(layer: Layer, weight: Array, bias: Array) -> str:
    """Why the new values cannot be stored in the layer's type, or an empty string."""
    limits = np.finfo(layer.dtype)
    for name, values in (("weight", weight), ("bias", bias)):
        if not _largest(values) <= float(limits.max):
            return f"the folded {name} would not be finite in {layer.dtype}"
    largest = _largest(weight)
    if 0.0 < largest < float(limits.tiny):
        return f"the folded weight (largest {largest:.3g}) would vanish in {layer.dtype}"
    return ""


def _largest(values: Array) -> float:
    """The largest magnitude, NaN where there is a NaN; large weights are not copied for it."""
    return float(np.maximum(values.max(), -values.min())) if values.size else 0.0


def other_reader(model: Model, tensor: gs.Tensor, reader: gs.Node) -> str:
    """Who else needs the tensor beside one read by ``reader``, as a sentence, or an empty string."""
    if model.is_output(tensor):
        return f"{tensor.name!r} is a graph output too"
    if model.is_pinned(tensor):
        return f"{tensor.name!r} is read inside a subgraph too"
    others = [n for n in consumers(tensor) if n is not reader]
    if others:
        return f"{tensor.name!r} is read by {label(others[0])} too"
    return f"{label(reader)} reads {tensor.name!r} twice" if len(tensor.outputs) > 1 else ""


def recast(
    edit: Editor, node: gs.Node, like: gs.Node, layer: Layer, source: gs.Tensor, weight: Array | None, bias: Array
) -> None:
    """Make ``node`` the layer that ``like`` is, on ``source``, with a new weight (None: the old one) and bias.

    The node's output tensor stays, with its name and scale.
    """
    name = label(like)
    attrs = {k: v for k, v in like.attrs.items() if k != "beta"}
    new_weight = layer.kept if weight is None else edit.constant(weight.astype(layer.dtype), f"{name}.weight")
    new_bias = edit.constant(bias.astype(layer.dtype), f"{name}.bias") if layer.biased or np.any(bias) else None
    edit.reform(node, layer.op, [source, new_weight, *([] if new_bias is None else [new_bias])], attrs, name=like.name)

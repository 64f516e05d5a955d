"""QuantizeLinear and DequantizeLinear: their parameters, checked, and their arithmetic, bit for bit as in ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from dlarewrite.errors import ModelError
from dlarewrite.ir.view import Array, attr, dtype, input_at, is_op, label, rank
from dlarewrite.precision.constant_trees import Constants
from dlarewrite.precision.scales import Certainty, Scale

_DOMAINS = ("", "ai.onnx", "com.microsoft")
_EIGHT_BITS = ("int8", "uint8")
_WIDE = ("int8", "uint8", "int16", "uint16", "int32")
"""Integers that weights and biases may be stored in; they become floats."""

_POSITIVE = ("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Abs", "Exp", "Sqrt")
_JOIN = ("Concat", "Add")
_FAR = 200
"""Operators that are looked through for the sign of a tensor."""
_KEEP_SIGN = ("MaxPool", "AveragePool", "GlobalAveragePool", "Reshape", "Transpose", "Flatten", "Slice", "Split")


def is_quantize(node: gs.Node) -> bool:
    """Whether the node is a QuantizeLinear, of ONNX or of onnxruntime's own domain."""
    return node.op == "QuantizeLinear" and (node.domain or "") in _DOMAINS


def is_dequantize(node: gs.Node) -> bool:
    """Whether the node is a DequantizeLinear, of ONNX or of onnxruntime's own domain."""
    return node.op == "DequantizeLinear" and (node.domain or "") in _DOMAINS


@dataclass(frozen=True)
class Quantizer:
    """The parameters of one node: ``scale`` (float) and ``zero`` (integer) are scalars, or vectors along ``axis``.

    ``kind`` is the integer type on the quantised side.
    """

    name: str
    scale: Array
    zero: Array
    axis: int
    kind: np.dtype[Any]

    def quantize(self, values: Array) -> Array:
        """round(values / scale) + zero, half to even, saturated."""
        scale, zero = self._along(values.ndim)
        limits = np.iinfo(self.kind)
        with np.errstate(over="ignore", invalid="ignore"):
            # Halves are divided in float32, so that the quotient is rounded once.
            work = np.promote_types(self.scale.dtype, np.float32)
            steps = np.rint(values.astype(work) / scale.astype(work)) + zero.astype(work)
        found: Array = np.clip(steps, limits.min, limits.max).astype(self.kind)
        return found

    def dequantize(self, values: Array) -> Array:
        """(values - zero) * scale, in the scale's float type."""
        scale, zero = self._along(values.ndim)
        steps = values.astype(np.int64) - zero.astype(np.int64)
        found: Array = steps.astype(self.scale.dtype) * scale
        return found

    def _along(self, rank_: int) -> tuple[Array, Array]:
        if self.scale.size == 1:
            return self.scale.reshape(()), self.zero.reshape(())
        axis = self.axis + rank_ if self.axis < 0 else self.axis
        dims = [1] * rank_
        dims[axis] = self.scale.size
        return self.scale.reshape(dims), self.zero.reshape(dims)

    def same_as(self, other: Quantizer) -> bool:
        """Whether one undoes the other, but for rounding."""
        alike = np.array_equal(self.scale.reshape(-1), other.scale.reshape(-1))
        return alike and self.kind == other.kind and np.array_equal(self.zero.reshape(-1), other.zero.reshape(-1))

    @property
    def offset(self) -> int:
        """The zero point as an INT8 one: UINT8 with 128 is the same grid as INT8 with 0."""
        return int(self.zero.reshape(-1)[0]) - (128 if self.kind == np.uint8 else 0)

    @property
    def only_positive(self) -> bool:
        """Whether the grid begins at 0, so that quantising takes negative values away."""
        return self.scale.size == 1 and self.offset == -128

    def activation_scale(self, *, symmetric: bool) -> Scale:
        """The table's entry for a per-tensor quantiser; ``symmetric`` widens an offset range until zero is its middle.

        The lost resolution is below one bit.
        """
        step, offset = float(self.scale.reshape(-1)[0]), self.offset
        low, high = (-128 - offset) * step, (127 - offset) * step
        if not offset:
            return Scale.from_scale(step, f"Q/DQ {self.name}", Certainty.EXACT)
        source = f"Q/DQ {self.name}, zero point {offset:+d}"
        if not symmetric:
            scale = Scale.from_scale(step, source, Certainty.EXACT)
            return Scale(scale.amax, source, Certainty.EXACT, low, high, offset)
        return Scale(max(abs(low), abs(high)), f"{source}, made symmetric", Certainty.EXACT, low, high)


def read(node: gs.Node, constants: Constants, integers: np.dtype[Any] | None = None) -> Quantizer:
    """The parameters of a Q or DQ node; ``integers`` is the type of its integer side where the graph cannot tell.

    Raises :class:`ModelError` for computed, negative, zero, NaN or infinite scales, for blocks, for zero points that do
    not fit, and for number formats that the DLA has not.
    """
    where = f"{node.op} {label(node)!r}"
    if int(attr(node, "block_size", 0) or 0):
        _refuse(where, "quantises in blocks; the DLA takes one scale per tensor, or one per output channel of weights")
    scale = constants.value(input_at(node, 1))
    if scale is None:
        _refuse(where, "has a scale that is computed from the inputs", "export with fixed (static) quantisation")
    if scale.ndim > 1 and scale.size > 1:
        _refuse(
            where, f"has a scale of shape {list(scale.shape)}: blocks; the DLA takes one scale per tensor or channel"
        )
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        bad = scale.reshape(-1)[~(np.isfinite(scale) & (scale > 0)).reshape(-1)][0]
        _refuse(where, f"has scale {bad:g}; scales are finite and above 0", "calibrate or train the model again")
    zero, kind = _zero_point(node, scale, constants, where, integers)
    axis = int(attr(node, "axis", 1))
    data = input_at(node, 0)
    known = rank(data)
    if scale.size > 1 and known is not None:
        if not -known <= axis < known:
            _refuse(where, f"has axis {axis}, and its input {known} dims")
        size = data.shape[axis] if data is not None else None
        if isinstance(size, int) and size != scale.size:
            _refuse(where, f"has {scale.size} scales for {size} channels")
    return Quantizer(label(node), scale, zero, axis, kind)


def _zero_point(
    node: gs.Node, scale: Array, constants: Constants, where: str, integers: np.dtype[Any] | None
) -> tuple[Array, np.dtype[Any]]:
    given = input_at(node, 2)
    kind = integers or _kind(node, given)
    allowed = _EIGHT_BITS if is_quantize(node) else _WIDE
    if kind is None or kind.name not in allowed:
        name = "an unknown type" if kind is None else kind.name
        _refuse(where, f"quantises to {name}; the DLA's integers are INT8", "quantise to int8 or uint8")
    if given is None:
        return np.zeros(scale.shape, kind), kind
    zero = constants.value(given)
    if zero is None:
        _refuse(where, "has a zero point that is computed from the inputs", "export with fixed (static) quantisation")
    if zero.size != scale.size:
        _refuse(where, f"has {zero.size} zero points for {scale.size} scales")
    return zero, kind


def _kind(node: gs.Node, zero: gs.Tensor | None) -> np.dtype[Any] | None:
    """The integer type: the zero point's, or the integer side's own, or ONNX's default."""
    side = input_at(node, 0) if is_dequantize(node) else None
    for tensor in (zero, side):
        if tensor is not None and tensor.dtype is not None:
            return dtype(tensor)
    named = int(attr(node, "output_dtype", 0) or 0)
    if is_quantize(node) and named:
        found: np.dtype[Any] = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(named))
        return found
    return np.dtype(np.uint8) if is_quantize(node) else None


def is_nonnegative(tensor: gs.Tensor) -> bool:
    """Whether the tensor's makers show that no value is below 0."""
    seen: set[int] = set()
    open_ = [tensor]
    while open_:
        current = open_.pop()
        maker = current.inputs[0] if current.inputs else None
        if maker is None:
            return False
        if id(maker) in seen or is_op(maker, *_POSITIVE):
            continue
        seen.add(id(maker))
        if len(seen) > _FAR or not is_op(maker, *_KEEP_SIGN, *_JOIN):
            return False
        open_ += maker.inputs if is_op(maker, *_JOIN) else maker.inputs[:1]
    return True


def _refuse(where: str, why: str, hint: str = "") -> NoReturn:
    raise ModelError(f"{where} {why}", hint=hint)

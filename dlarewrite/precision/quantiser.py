"""INT8 as the DLA does it, in floating point: as numpy functions, and as ONNX nodes that onnxruntime runs.

Symmetric, zero-point 0, rounded half away from zero, -127 … 127; activations per tensor, weights per output channel
with max/127 (Q-SYM, Q-ROUND). Sums are exact in the DLA's accumulators, and nearly so in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_graphsurgeon as gs
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.errors import ModelError
from dlarewrite.ir.view import attr
from dlarewrite.precision.scales import LEVELS

Array = npt.NDArray[Any]

OLDEST = 7
"""The first operator set whose arithmetic broadcasts as numpy does."""


def quantised(values: Array, scale: Array | float) -> Array:
    """``values`` on the grid of ``scale`` (float32; broadcast), in float32. Where the scale is 0 the result is 0."""
    step = np.asarray(scale, dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Twice the quotient, halved after rounding down: adding 0.5 to the quotient itself may round up to a tie.
        twice = np.abs(values.astype(np.float32)) / (step * np.float32(0.5))
    levels = np.minimum(np.floor((np.floor(twice) + 1) * np.float32(0.5)), LEVELS)
    return np.where(step > 0, np.sign(values) * (levels * step), 0).astype(np.float32)


def quantised_weights(node: gs.Node, weights: Array) -> Array:
    """The weights of a Conv, ConvTranspose, Gemm or MatMul, each output channel on its own grid of max/127."""
    shaped = weights
    if node.op == "ConvTranspose":
        shaped = weights.reshape(int(attr(node, "group", 1)), -1, *weights.shape[1:])
        kept: tuple[int, ...] = (0, 2)
    elif node.op == "Conv":
        kept = (0,)
    elif node.op == "Gemm":
        kept = (0,) if attr(node, "transB", 0) else (1,)
    else:
        kept = (weights.ndim - 1,)
    others = tuple(axis for axis in range(shaped.ndim) if axis not in kept)
    scale = np.abs(shaped.astype(np.float32)).max(axis=others, keepdims=True, initial=0.0) / np.float32(LEVELS)
    return quantised(shaped, scale).reshape(weights.shape).astype(weights.dtype)


class Emitter:
    """Collects nodes and initializers for a copy of a model, under names that are free in it."""

    def __init__(self, proto: onnx.ModelProto, opset: int) -> None:
        if opset < OLDEST:
            raise ModelError(
                f"the model's operator set is {opset}, emulation needs {OLDEST} or later",
                hint="raise it with onnx.version_converter, or export again",
            )
        self.opset = opset
        self.taken = {name for node in proto.graph.node for name in (*node.input, *node.output)}
        self.taken |= {tensor.name for tensor in proto.graph.initializer}
        self.constants: list[TensorProto] = []
        self._known: dict[float, str] = {}

    def fresh(self, stem: str) -> str:
        name, number = stem, 0
        while name in self.taken:
            number += 1
            name = f"{stem}_{number}"
        self.taken.add(name)
        return name

    def constant(self, values: Array, stem: str) -> str:
        """A new initializer's name."""
        name = self.fresh(stem)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def rounded(self, source: str, result: str, scale: float, kind: int) -> list[onnx.NodeProto]:
        """Nodes that make ``result`` of ``source``: INT8 with ``scale``; ``kind`` is the tensor's TensorProto type."""
        made: list[onnx.NodeProto] = []

        def put(op: str, *inputs: str, name: str = "", **attrs: Any) -> str:
            name = name or self.fresh(f"{result}/{op}")
            made.append(helper.make_node(op, list(inputs), [name], name=self.fresh(f"{result}/{op}/node"), **attrs))
            return name

        wide = source if kind == TensorProto.FLOAT else put("Cast", source, to=TensorProto.FLOAT)
        twice = put("Div", wide, self._number(scale * 0.5))
        magnitude = put("Floor", put("Abs", twice))
        half = put("Mul", put("Add", magnitude, self._number(1.0)), self._number(0.5))
        value = put("Mul", self._clip(put, put("Floor", half), float(LEVELS)), self._number(scale))
        # Where the clipped quotient is not -1 or 1, the magnitude is 0.
        if kind == TensorProto.FLOAT:
            put("Mul", value, self._clip(put, twice, 1.0), name=result)
        else:
            put("Cast", put("Mul", value, self._clip(put, twice, 1.0)), name=result, to=kind)
        return made

    def through_fp16(self, source: str, result: str, kind: int) -> list[onnx.NodeProto]:
        """Nodes that round a tensor to FP16 and back; what exceeds 65504 becomes infinite, as it does on the DLA."""
        half = self.fresh(f"{result}/fp16")
        return [
            helper.make_node("Cast", [source], [half], name=self.fresh(f"{half}/node"), to=TensorProto.FLOAT16),
            helper.make_node("Cast", [half], [result], name=self.fresh(f"{result}/node"), to=kind),
        ]

    def _clip(self, put: Any, source: str, limit: float) -> str:
        if self.opset < 11:
            return str(put("Clip", source, min=-limit, max=limit))
        return str(put("Clip", source, self._number(-limit), self._number(limit)))

    def _number(self, value: float) -> str:
        if value not in self._known:
            self._known[value] = self.constant(np.asarray(value, dtype=np.float32), "dlarewrite/number")
        return self._known[value]

"""A float model and its table as a Q/DQ model, for TensorRT 11, which has no calibration and follows types alone.

Experimental. What is known (fact base 4.1): the documented migration of TensorRT 11 for the DLA is FP16; whether
symmetric INT8 Q/DQ compiles to INT8 on the DLA is nowhere stated; UINT8 with zero points is demonstrated for a
convolution with the parser flags ENABLE_UINT8_AND_ASYMMETRIC_QUANTIZATION_DLA and ADJUST_FOR_DLA from 10.16 on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.errors import UsageError
from dlarewrite.ir.copying import duplicate
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.model import Model
from dlarewrite.ir.operand import value_of
from dlarewrite.ir.view import Array, consumers, dtype, input_at, is_op, label, producer
from dlarewrite.precision.scales import LEVELS, Scale, ScaleTable
from dlarewrite.precision.unary import stands_for_none
from dlarewrite.precision.weight_check import by_channel, channel_axis

KNOWN = {
    "int8": "experimental: no source says that TensorRT 11 compiles symmetric INT8 Q/DQ to INT8 on the DLA",
    "uint8": "experimental: UINT8 Q/DQ on the DLA needs TensorRT 10.16 or later with both "
    "--uint8AsymmetricQuantizationDLA and --adjustForDLA; it is demonstrated for a convolution only",
}
_BY = "export-qdq"
_PER_CHANNEL, _HALF = 13, 19
"""First operator sets whose Q/DQ have an axis, and take FP16."""


@dataclass(frozen=True)
class Quantised:
    """The Q/DQ model; ``activations`` and ``weights`` count pairs. ``skipped`` maps tensors of the table to the reason
    why they got none."""

    model: Model
    activations: int
    weights: int
    skipped: dict[str, str]


def to_qdq(model: Model, table: ScaleTable, *, kind: str = "int8", weights: bool = True) -> Quantised:
    """Put a Q/DQ pair behind every activation that has a scale, and weights on INT8 grids of max|w| / 127 per channel.

    ``kind`` is "int8" (zero points 0, but for those that the table has) or "uint8", which uses the observed range where
    the table has one. A tensor whose maker and readers are all set to fp16 or fp32 is left alone. The model is copied.

    Raises :class:`UsageError` for operator sets that lack what is needed: 10, 13 for weights per channel, 19 for FP16.
    """
    oldest = _PER_CHANNEL if weights else 10
    if model.opset < oldest:
        raise UsageError(
            f"the model has operator set {model.opset}; Q/DQ{' of weights' if weights else ''} needs {oldest}",
            hint="raise it with onnx.version_converter, or export again",
        )
    work = _Work(duplicate(model)[0], kind)
    work.activations(table)
    if weights:
        work.weights(table)
    return Quantised(work.model, work.pairs, work.folded, work.skipped)


class _Work:
    def __init__(self, model: Model, kind: str) -> None:
        self.model = model
        self.pairs = self.folded = 0
        self.skipped: dict[str, str] = {}
        self._edit = Editor(model)
        self._kind = np.dtype(np.uint8 if kind == "uint8" else np.int8)

    def activations(self, table: ScaleTable) -> None:
        """Every tensor of the table that the model computes or is fed, inputs first."""
        made = [(t, None) for t in self.model.inputs]
        made += [(t, n) for n in self.model.nodes for t in n.outputs if t.name]
        for tensor, node in made:
            scale = table.get(tensor.name)
            if scale is None:
                continue
            why = self._obstacle(tensor, scale, node, table)
            if why:
                self.skipped[tensor.name] = why
                continue
            with self._edit.rewrite(_BY, node, f"scale {scale.scale:.6g}"):
                self._pair(tensor, scale)
            self.pairs += 1

    def _obstacle(self, tensor: gs.Tensor, scale: Scale, node: gs.Node | None, table: ScaleTable) -> str:
        kind = dtype(tensor)
        if stands_for_none(tensor, scale):
            return "its scale stands for none"
        if node is not None and (node.op == "Constant" or value_of(tensor) is not None):
            return "a constant"
        if self.model.envelope.is_captured(tensor):
            return "read inside a body of control flow"
        if kind == np.float16 and (self.model.opset < _HALF or np.float16(scale.scale) == 0):
            return f"FP16 takes Q/DQ from operator set {_HALF} on, and scales above 6e-8"
        if kind is not None and kind.name not in ("float32", "float16"):
            return f"{kind.name} cannot be quantised"
        around = [n for n in (node, *tensor.outputs) if n is not None]
        if around and all(table.layer_precisions.get(label(n), "int8") != "int8" for n in around):
            return "all layers around it are set to another precision"
        return ""

    def _pair(self, tensor: gs.Tensor, scale: Scale) -> None:
        step, zero = self._grid(scale)
        readers = [(r, i) for r in consumers(tensor) for i, t in enumerate(r.inputs) if t is tensor]
        kind = dtype(tensor) or np.dtype(np.float32)
        scale_ = self._edit.constant(step, f"{tensor.name}_scale", kind)
        zero_ = self._edit.constant(zero, f"{tensor.name}_zero_point", self._kind)
        quantised = self._edit.op("QuantizeLinear", [tensor, scale_, zero_], hint=tensor.name)
        restored = self._edit.op("DequantizeLinear", [quantised, scale_, zero_], hint=tensor.name)
        for reader, place in readers:
            self._edit.set_input(reader, place, restored)
        if self.model.is_output(tensor) and not self.model.is_input(tensor):
            self._edit.move_output(tensor, restored)

    def _grid(self, scale: Scale) -> tuple[float, int]:
        """Step and zero point; what UINT8 gains by the observed range it takes."""
        shift = 128 if self._kind == np.uint8 else 0
        if self._kind == np.int8 or scale.zero_point or scale.low is None or scale.high is None:
            return scale.scale, scale.zero_point + shift
        low, high = max(min(scale.low, 0.0), -scale.amax), min(max(scale.high, 0.0), scale.amax)
        step = (high - low) / 255
        if not 0 < np.float32(step) < math.inf:
            return scale.scale, shift
        return step, min(max(round(-low / step), 0), 255)

    def weights(self, table: ScaleTable) -> None:
        """Weights of layers that read a quantised activation become integers and a DequantizeLinear."""
        for node in list(self.model.nodes):
            weight = input_at(node, 1) if is_op(node, "Conv", "ConvTranspose", "Gemm", "MatMul") else None
            maker = producer(node.inputs[0]) if weight is not None else None
            if maker is None or not is_op(maker, "DequantizeLinear"):
                continue
            values = value_of(weight)
            if values is None or values.ndim < 2 or table.layer_precisions.get(label(node), "int8") != "int8":
                continue
            with self._edit.rewrite(_BY, node, "weights per output channel"):
                self._weight(node, values)
            self.folded += 1

    def _weight(self, node: gs.Node, values: Array) -> None:
        grouped = node.op == "ConvTranspose" and int(node.attrs.get("group", 1)) > 1
        axis = channel_axis(node, values.ndim)
        # DequantizeLinear has one axis, and the outputs of a grouped ConvTranspose lie on two: groups share scales.
        rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1) if grouped else by_channel(node, values)
        largest = np.abs(rows)
        step = (largest.max(axis=1) / LEVELS).astype(values.dtype)
        step = np.where(step > 0, step, np.asarray(1, values.dtype))
        dims = [1] * values.ndim
        dims[axis] = -1
        integers = np.clip(np.rint(values / step.reshape(dims)), -LEVELS, LEVELS).astype(np.int16)
        shift = 128 if self._kind == np.uint8 else 0
        name = node.inputs[1].name
        stored = self._edit.constant((integers + shift).astype(self._kind), f"{name}_quantized")
        scale = self._edit.constant(step, f"{name}_scale")
        zero = self._edit.constant(np.full(step.shape, shift, self._kind), f"{name}_zero_point")
        restored = self._edit.op("DequantizeLinear", [stored, scale, zero], {"axis": axis}, hint=name)
        self._edit.set_input(node, 1, restored)

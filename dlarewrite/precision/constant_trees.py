"""Values of tensors that depend on constants alone: weights, also behind a Reshape or Transpose of the exporter."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from dlarewrite.analysis import kernels
from dlarewrite.ir.operand import value_of
from dlarewrite.ir.view import Array

_DEPTH = 16
"""Operators in a row between a weight and its reader; exports have two or three."""
_PASSED = frozenset(
    (
        *("Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Cast", "Slice", "Concat", "Split"),
        *("Abs", "Neg", "Add", "Sub", "Mul", "Div", "Max", "Min", "ReduceMax", "ReduceMin"),
    )
)


class Constants:
    """Looks up values; ``learn`` adds those of tensors that are being folded."""

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self._known: dict[int, Array] = {}
        self._unknown: set[int] = set()
        self._alive: list[gs.Tensor] = []

    def learn(self, tensor: gs.Tensor, value: Array) -> None:
        """From now on the tensor counts as a constant."""
        self._alive.append(tensor)
        self._known[id(tensor)] = value

    def value(self, tensor: gs.Tensor | None, depth: int = _DEPTH) -> Array | None:
        """The tensor's values, or None where they depend on an input, or on an operator that is not worth folding."""
        if tensor is None or not tensor.name:
            return None
        known = self._known.get(id(tensor))
        if known is not None or id(tensor) in self._unknown:
            return known
        stored = value_of(tensor)
        if stored is not None:
            return stored
        if not self._evaluate(tensor, depth):
            self._alive.append(tensor)
            self._unknown.add(id(tensor))
        return self._known.get(id(tensor))

    def _evaluate(self, tensor: gs.Tensor, depth: int) -> bool:
        maker = tensor.inputs[0] if tensor.inputs else None
        if maker is None or not depth or maker.op not in _PASSED or (maker.domain or "") not in ("", "ai.onnx"):
            return False
        inputs = [self.value(t, depth - 1) for t in maker.inputs]
        if any(value is None and t.name for value, t in zip(inputs, maker.inputs, strict=True)):
            return False
        try:
            made = kernels.evaluate(maker, inputs, self._opset)
        except (ValueError, IndexError, TypeError):
            return False
        for output, value in zip(maker.outputs, made or (), strict=False):
            if output.name:
                self.learn(output, value)
        return id(tensor) in self._known

"""Constant operands get the shape that TensorRT folds into a Scale.

What it does: Add, Sub and Mul with a constant that broadcasts along C, H or W in a way no Scale does ([H, W],
    [1, 1, 1, W], [C, 1, W]) -> the same with the constant spread to [1, C, H, W]; PRelu slopes of lower rank ->
    the input's rank.
Law: broadcasting written down.
Numerics: EXACT - the same values meet.
Scales: nothing new.
Fires: on 4-D float tensors of static shape.
Refuses: a constant that widens the tensor, or differs along the batch.
Source: ONNX broadcasting; EW-CONST, GEN-CONST, SCALE-MODE, PRELU-RANK, PRELU-SHAPE.
Example: Add(x: [1,8,4,4], c: [4,4]) -> Add(x, c spread to [1,8,4,4])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, view


@dataclass(frozen=True)
class Spread:
    """Which input is replaced, and by what."""

    index: int
    values: view.Array


@dataclass(frozen=True)
class ConstOperand(Pass[Spread]):
    """Low-rank constant operand -> the form of a Scale."""

    name: ClassVar[str] = "const-operand"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Add", "Sub", "Mul", "PRelu")

    def match(self, node: Node, context: Context) -> Match[Spread] | Refusal | None:
        if len(node.inputs) != 2 or not view.is_float(node.outputs[0]):
            return None
        index = next((i for i, t in enumerate(node.inputs) if view.is_constant(t)), None)
        if index is None:
            return None
        data, shape = view.shape(node.inputs[1 - index]), view.shape(node.inputs[index])
        if data is None or shape is None or len(data) != 4 or 0 in data or len(shape) > 4:
            return None
        full = (1,) * (4 - len(shape)) + shape
        if node.op == "PRelu":
            values = view.constant_value(node.inputs[1])
            return None if values is None or len(shape) == 4 else Match((node,), Spread(1, values.reshape(full)))
        if full in ((1, 1, 1, 1), (1, data[1], 1, 1), (1, *data[1:])):
            return None
        if full[0] != 1 or any(c not in (1, d) for c, d in zip(full[1:], data[1:], strict=True)):
            return Refusal(f"its constant {list(shape)} widens or batches {list(data)}", (node,))
        values = view.constant_value(node.inputs[index])
        if values is None:
            return None
        return Match((node,), Spread(index, np.broadcast_to(values.reshape(full), (1, *data[1:]))))

    def apply(self, match: Match[Spread], edit: Editor) -> None:
        node, spread = match.nodes[0], match.facts
        edit.set_input(node, spread.index, edit.constant(spread.values, f"{node.inputs[spread.index].name}_spread"))

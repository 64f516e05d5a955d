"""Constants among the inputs of a Concat become activations.

What it does: a constant input of a Concat along C is made from the smallest activation beside it: a 1x1 Conv of zeros
    whose bias is the constant where each channel has one value, else a 1x1 Conv of zeros and an Add of the constant.
Law: 0 * x + v = v for every finite x.
Numerics: EXACT - as long as the activation is finite.
Scales: the made tensor takes the scale of the Concat.
Fires: on Concat along C of rank 4 with constants and at least one activation.
Refuses: constants that differ from one image of the batch to the next.
Source: CAT-CONST, GEN-CONST; coordinate grids and masks that networks concatenate.
Example: Concat(x, grid[1, 2, H, W]) -> Concat(x, Add(Conv 1x1 of zeros(x), grid))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, convolve, view


@dataclass(frozen=True)
class ConcatPairs(Pass[int]):
    """Constant inputs of a Concat -> 1x1 Convs of zeros with a bias; the fact is the input that they are made from."""

    name: ClassVar[str] = "concat-pairs"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Concat",)

    def match(self, node: Node, context: Context) -> Match[int] | Refusal | None:
        out = view.shape(node.outputs[0])
        if out is None or len(out) != 4 or view.axis(int(view.attr(node, "axis", 1)), 4) != 1:
            return None
        if not view.is_float(node.outputs[0]):
            return None
        shapes = [view.shape(t) or () for t in node.inputs]
        activations = [i for i, t in enumerate(node.inputs) if not view.is_constant(t)]
        constants = [i for i in range(len(shapes)) if i not in activations]
        if not constants or not activations:
            return None
        for index in constants:
            values = np.asarray(view.constant_value(node.inputs[index]))
            if not np.array_equal(values, np.broadcast_to(values[:1], values.shape)):
                return Refusal("a constant differs from one image of the batch to the next", (node,))
        least = min(activations, key=lambda i: shapes[i][1])
        return Match((node,), least, f"{len(constants)} constant(s) made from an activation")

    def apply(self, match: Match[int], edit: Editor) -> None:
        node, x = match.nodes[0], match.nodes[0].inputs[match.facts]
        for index, tensor in enumerate(node.inputs):
            values = view.constant_value(tensor)
            if values is not None:
                edit.set_input(node, index, _made(edit, x, values[:1]))


def _made(edit: Editor, x: Tensor, values: np.typing.NDArray[np.generic]) -> Tensor:
    """[1, K, H, W] values as an activation of x's batch."""
    zeros = np.zeros((values.shape[1], (view.shape(x) or (1, 1))[1], 1, 1), dtype=values.dtype)
    each = values[:, :, :1, :1]
    if np.array_equal(values, np.broadcast_to(each, values.shape)):
        return convolve.convolve(
            edit, x, zeros, edit.constant(each.reshape(-1).copy(), "values"), hint="", name="zeros"
        )
    made = convolve.convolve(edit, x, zeros, None, hint="", name="zeros")
    return edit.op("Add", [made, edit.constant(values.copy(), "values")])

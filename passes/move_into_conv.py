"""A Transpose or Reshape before a convolution of the whole map is worked into its weights.

What it does: Transpose or Reshape of [N, C, H, W] to another [N, C', H', W'], read by a Conv whose kernel covers all of
    H' and W' -> a Conv whose kernel covers H and W, its weights in the order that the elements had before.
Law: such a Conv has one position, and is a product over all elements: their order is the order of its columns.
Numerics: ROUNDING - the sum runs in another order.
Scales: none are new; weights keep theirs per output channel.
Fires: where the Transpose or Reshape is refused or doubted, and the target takes the Conv.
Refuses: a kernel that the target does not take.
Source: SHUF-EXIST, SHUF-4D, CONV-KERNEL; the heads of classifiers that work channels-last.
Example: Transpose([1,24,1,1] to [1,1,1,24]), Conv 1x24 -> Conv 1x1
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Constant, Context, Editor, Match, Node, Numerics, Pass, Refusal, view


@dataclass(frozen=True)
class Inside:
    """``before``: the shape before the move; ``perm``: of the Transpose, or None for a Reshape."""

    before: tuple[int, ...]
    perm: tuple[int, ...] | None

    def relaid(self, weights: view.Array) -> view.Array:
        """[M, C', H', W'] weights as [M, C, H, W]."""
        if self.perm is None:
            return weights.reshape(weights.shape[0], *self.before[1:])
        turned: view.Array = weights.transpose(np.argsort(self.perm))
        return turned


@dataclass(frozen=True)
class MoveIntoConv(Pass[Inside]):
    """Transpose or Reshape, Conv of the whole map -> Conv."""

    name: ClassVar[str] = "move-into-conv"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Conv",)

    def match(self, node: Node, context: Context) -> Match[Inside] | Refusal | None:
        x, window = node.inputs[0], view.window(node)
        mover, after = view.producer(x), view.shape(x)
        if mover is None or window is None or after is None or not view.is_op(mover, "Transpose", "Reshape"):
            return None
        before = view.shape(mover.inputs[0])
        if before is None or len(before) != 4 or len(after) != 4 or before[0] != after[0] or 0 in before:
            return None
        perm = view.ints(mover, "perm", (3, 2, 1, 0)) if view.is_op(mover, "Transpose") else None
        whole = window.kernel == after[2:] and not window.padded and window.group == 1 and set(window.dilations) == {1}
        if not whole or (perm is not None and perm[0] != 0) or not view.is_constant(node.inputs[1]):
            return None
        weights = np.broadcast_to(np.zeros((), view.dtype(x)), ((view.shape(node.inputs[1]) or (1,))[0], *before[1:]))
        if not context.allows("Conv", [mover.inputs[0], Constant("w", weights)], {"kernel_shape": list(before[2:])}):
            return Refusal(f"the target takes no Conv with a kernel of {before[2]}x{before[3]} there", (mover, node))
        return Match((mover, node), Inside(before, perm), f"{list(after)} -> {list(before)}")

    def apply(self, match: Match[Inside], edit: Editor) -> None:
        (mover, node), found = match.nodes, match.facts
        held, bias = view.constant_value(node.inputs[1]), view.input_at(node, 2)
        weights = edit.constant(np.ascontiguousarray(found.relaid(np.asarray(held))), str(node.inputs[1].name))
        inputs = [mover.inputs[0], weights, *([bias] if bias is not None else [])]
        made = edit.op("Conv", inputs, {"kernel_shape": list(found.before[2:])}, hint=view.label(node))
        edit.replace_uses(node.outputs[0], made)

"""Where with a constant condition becomes a choice of channels, or masks.

What it does: a condition that is the same at every place takes one branch; one that depends on the channel alone picks
    channels from both branches by a one-hot 1x1 Conv on their Concat; any other one is a * m + b * (1 - m) with the
    mask m as a constant of full size, and a constant branch is masked beforehand.
Law: where(m, a, b) = a m + b (1 - m) for m of zeros and ones and finite a and b.
Numerics: EXACT - products with one and zero, sums with zero.
Scales: masked branches inherit their branch's scale, the sum the result's.
Fires: on Where of floats of rank 4 whose condition is constant and whose branches are [N, C, H, W] or constants.
Refuses: infinite constants (the masks of attention); a condition that differs from one image of the batch to the next.
Source: ONNX operator Where; NODLA; NVIDIA's Where -> Concat, Conv.
Example: Where(mask[1, 1, H, W], x, 0) -> Mul(x, mask of full size)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, forms, view

Array = np.typing.NDArray[np.generic]


@dataclass(frozen=True)
class Plan:
    """The condition, [C, H, W]."""

    mask: np.typing.NDArray[np.bool_]


@dataclass(frozen=True)
class WhereConst(Pass[Plan]):
    """Where with a constant condition -> masks or a one-hot 1x1 Conv."""

    name: ClassVar[str] = "where-const"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Where",)

    def match(self, node: Node, context: Context) -> Match[Plan] | Refusal | None:
        out, condition = view.shape(node.outputs[0]), view.constant_value(node.inputs[0])
        if out is None or len(out) != 4 or condition is None or not view.is_float(node.outputs[0]):
            return None
        branches = node.inputs[1:3]
        if all(view.is_constant(t) for t in branches):
            return None
        if any(view.shape(t) != out for t in branches if not view.is_constant(t)):
            return Refusal("a branch is broadcast to the shape of the result", (node,))
        mask = np.broadcast_to(condition, out)
        constants = [view.constant_value(t) for t in branches]
        wide = [np.broadcast_to(c, out) for c in constants if c is not None]
        if any(not np.array_equal(w, np.broadcast_to(w[:1], out)) for w in (mask, *wide)):
            return Refusal("its condition or constant differs from one image of the batch to the next", (node,))
        if any(not np.all(np.isfinite(w)) for w in wide):
            return Refusal("a constant branch is not finite", (node,))
        return Match((node,), Plan(mask[0]), f"{int(mask[0].sum())} of {mask[0].size} elements from the first branch")

    def apply(self, match: Match[Plan], edit: Editor) -> None:
        node, mask = match.nodes[0], match.facts.mask
        first, second = node.inputs[1], node.inputs[2]
        branches = [t for t in (first, second) if not view.is_constant(t)]
        if len(branches) == 2 and np.array_equal(mask, np.broadcast_to(mask[:, :1, :1], mask.shape)):
            edit.replace_uses(node.outputs[0], _picked(edit, first, second, mask[:, 0, 0]))
            return
        parts = [_masked(edit, first, mask), _masked(edit, second, ~mask)]
        terms = [p for p in parts if p is not None]
        edit.replace_uses(node.outputs[0], terms[0] if len(terms) == 1 else edit.op("Add", terms))


def _picked(edit: Editor, first: Tensor, second: Tensor, channels: np.typing.NDArray[np.bool_]) -> Tensor:
    if channels.all() or not channels.any():
        return first if channels.all() else second
    both = edit.op("Concat", [first, second], {"axis": 1})
    return forms.pick_channels(edit, both, [c if kept else c + len(channels) for c, kept in enumerate(channels)])


def _masked(edit: Editor, branch: Tensor, mask: np.typing.NDArray[np.bool_]) -> Tensor | None:
    """The branch where the mask holds, zero elsewhere; None where that is all zero."""
    values = view.constant_value(branch)
    if values is not None:
        kept = np.broadcast_to(values, (1, *mask.shape))[:1] * mask.astype(values.dtype)
        return edit.constant(kept.astype(values.dtype), str(branch.name)) if kept.any() else None
    if mask.all():
        return branch
    return edit.op("Mul", [branch, edit.constant(mask[None].astype(view.dtype(branch) or np.float32), "mask")])

"""Expand and Tile become nearest Resizes and 1x1 convolutions.

What it does: along H and W an axis of size 1 is repeated by nearest Resizes; along C one channel is repeated by a 1x1
    Conv of ones, and a Tile of several channels is a 1x1 Conv with one-hot rows (a Concat of the tensor with itself
    would multiply nothing, but no source says that the DLA joins one tensor twice). The Conv comes before the Resizes,
    where the tensor is small. A size with a prime factor above 32 is overshot and cut, by a Slice or one-hot Convs,
    whichever the target takes and costs less.
Law: repeating an axis of size 1 copies its one element; tile k of channel c is channel c.
Numerics: EXACT - a Resize copies, and 1 * x = x.
Scales: the result inherits the scale of the input.
Fires: on Expand and Tile of rank 4 with static shapes that leave the batch alone.
Refuses: a repeated batch; a Tile of an axis H or W of more than one element, whose period no Resize has.
Source: ONNX operators Expand and Tile; NODLA, RSZ-NEAR.
Example: Expand([1, 64, 1, 1] to [1, 64, 28, 28]) -> Resize x28
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, choice, forms, view

Shapes = tuple[tuple[int, ...], tuple[int, ...], bool]
"""Before, after, and whether Slices cut what is too much."""


@dataclass(frozen=True)
class TileExpand(Pass[Shapes]):
    """Expand, Tile -> nearest Resize, 1x1 Conv."""

    name: ClassVar[str] = "tile-expand"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Expand", "Tile")

    def match(self, node: Node, context: Context) -> Match[Shapes] | Refusal | None:
        before, after = view.shape(view.input_at(node, 0)), view.shape(node.outputs[0])
        if before is None or after is None or len(before) != 4 or len(after) != 4 or not view.is_float(node.inputs[0]):
            return None
        if before == after or 0 in before + after or view.is_constant(node.inputs[0]):
            return None
        if before[0] != after[0]:
            return Refusal(f"the batch is repeated from {before[0]} to {after[0]}", (node,))
        if any(a != b and a != 1 for a, b in zip(before[2:], after[2:], strict=True)):
            return Refusal(f"an axis of several elements is tiled: {list(before)} to {list(after)}", (node,))
        found = []
        for slices, name in ((True, "cut by Slice"), (False, "cut by one-hot Convs")):
            cost = choice.measure(context, partial(_repeated, x=node.inputs[0], shapes=(before, after, slices)))
            found.extend([choice.Candidate(slices, name, cost)] if cost is not None else [])
            if all(a == b or forms.scale_factors(b) is not None for a, b in zip(before[2:], after[2:], strict=True)):
                break
        if not found:
            return Refusal(f"{list(before)} cannot be repeated to {list(after)}", (node,))
        chosen = choice.choose(context, found)
        return Match((node,), (before, after, chosen.form), chosen.detail(f"{list(before)} -> {list(after)}"))

    def apply(self, match: Match[Shapes], edit: Editor) -> None:
        node = match.nodes[0]
        edit.replace_uses(node.outputs[0], _repeated(edit, node.inputs[0], match.facts))


def _repeated(edit: Editor, x: Tensor, shapes: Shapes) -> Tensor:
    before, after, slices = shapes
    if before[1] != after[1] and before[1] == 1:
        x = forms.repeat_channel(edit, x, after[1])
    elif before[1] != after[1]:
        x = forms.pick_channels(edit, x, [*range(before[1])] * (after[1] // before[1]))
    if before[2:] != after[2:]:
        x = forms.fill_plane(edit, x, after[2], after[3], slices=slices)
    return x

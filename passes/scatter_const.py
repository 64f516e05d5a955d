"""ScatterElements along the channels with the same indices everywhere become a choice from both tensors.

What it does: the data and the updates are concatenated along C, and a 1x1 Conv with one-hot rows picks, for each
    channel, the update that goes there or the data that stays; with reduction add the updates are placed by such a Conv
    and added.
Law: y[n, c] = updates[n, j] where index[j] = c, else data[n, c].
Numerics: EXACT - an element times one plus zeros.
Scales: the concatenation takes the larger scale of both, which the result has.
Fires: on ScatterElements of rank 4 along axis 1 with constant indices that do not depend on n, h and w, reduction none
    or add.
Refuses: indices that differ from place to place, other reductions.
Source: ONNX operator ScatterElements; NVIDIA's ScatterElements -> Conv, Mul, Add.
Example: ScatterElements(x of 4 channels, index [1], u of 1 channel) -> Conv 1x1 that picks x0, u0, x2, x3 from
    Concat(x, u)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, convolve, forms, view

Rows = tuple[int, ...]


@dataclass(frozen=True)
class ScatterConst(Pass[Rows]):
    """ScatterElements with uniform indices -> one-hot 1x1 Conv; the facts are the channels that are written."""

    name: ClassVar[str] = "scatter-const"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("ScatterElements",)

    def match(self, node: Node, context: Context) -> Match[Rows] | Refusal | None:
        data, indices, updates = node.inputs[0], view.constant_value(node.inputs[1]), node.inputs[2]
        form = view.shape(data)
        if form is None or len(form) != 4 or indices is None or not view.is_float(data):
            return None
        if view.axis(int(view.attr(node, "axis", 0)), 4) != 1 or view.is_constant(data) or view.is_constant(updates):
            return None
        reduction = str(view.attr(node, "reduction", "none"))
        if reduction not in ("none", "add"):
            return Refusal(f"reduction {reduction!r} is neither none nor add", (node,))
        if (indices.shape[0], *indices.shape[2:]) != (form[0], *form[2:]):
            return Refusal(f"indices of shape {list(indices.shape)} leave parts of {list(form)} out", (node,))
        if not np.array_equal(indices, np.broadcast_to(indices[:1, :, :1, :1], indices.shape)):
            return Refusal("its indices differ from place to place", (node,))
        rows = tuple(int(i) % form[1] for i in indices[0, :, 0, 0])
        if reduction == "none" and len(set(rows)) != len(rows):
            return Refusal("two updates go to one channel", (node,))
        return Match((node,), rows, f"{len(rows)} of {form[1]} channels written")

    def apply(self, match: Match[Rows], edit: Editor) -> None:
        node, rows = match.nodes[0], match.facts
        data, updates = node.inputs[0], node.inputs[2]
        channels = (view.shape(data) or (1, 1))[1]
        if str(view.attr(node, "reduction", "none")) == "add":
            weights = np.zeros((channels, len(rows), 1, 1), dtype=view.dtype(data))
            weights[list(rows), np.arange(len(rows))] = 1
            placed = convolve.convolve(edit, updates, weights, None, hint="", name="places")
            edit.replace_uses(node.outputs[0], edit.op("Add", [data, placed]))
            return
        chosen = list(range(channels))
        for update, row in enumerate(rows):
            chosen[row] = channels + update
        both = edit.op("Concat", [data, updates], {"axis": 1})
        edit.replace_uses(node.outputs[0], forms.pick_channels(edit, both, chosen))

"""GatherElements along the channels with the same indices everywhere become a choice of channels.

What it does: GatherElements along C whose constant indices do not depend on n, h and w is a 1x1 Conv with one-hot rows.
Law: y[n, c, h, w] = x[n, index[c], h, w].
Numerics: EXACT - an element times one plus zeros.
Scales: the result inherits the scale of the input.
Fires: on GatherElements of rank 4 along axis 1 with constant indices.
Refuses: indices that differ from place to place.
Source: ONNX operator GatherElements; NODLA.
Example: GatherElements(x, indices all [2, 0], axis 1) -> Conv 1x1 that picks channels 2 and 0
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, forms, view

Rows = tuple[int, ...]


@dataclass(frozen=True)
class GatherElements(Pass[Rows]):
    """GatherElements with uniform indices -> one-hot 1x1 Conv."""

    name: ClassVar[str] = "gather-elements"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("GatherElements",)

    def match(self, node: Node, context: Context) -> Match[Rows] | Refusal | None:
        form = view.shape(node.inputs[0])
        indices = view.constant_value(node.inputs[1])
        if form is None or len(form) != 4 or indices is None or not view.is_float(node.inputs[0]):
            return None
        if view.axis(int(view.attr(node, "axis", 0)), 4) != 1 or not indices.size:
            return None
        if (indices.shape[0], *indices.shape[2:]) != (form[0], *form[2:]):
            return Refusal(f"indices of shape {list(indices.shape)} leave parts of {list(form)} out", (node,))
        if not np.array_equal(indices, np.broadcast_to(indices[:1, :, :1, :1], indices.shape)):
            return Refusal("its indices differ from place to place", (node,))
        rows = tuple(int(i) % form[1] for i in indices[0, :, 0, 0])
        return Match((node,), rows, f"{len(rows)} of {form[1]} channels")

    def apply(self, match: Match[Rows], edit: Editor) -> None:
        node = match.nodes[0]
        edit.replace_uses(node.outputs[0], forms.pick_channels(edit, node.inputs[0], match.facts))

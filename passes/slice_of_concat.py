"""A Slice out of a Concat along the same axis is taken from the inputs that it reaches.

What it does: Slice(Concat(a, b, c)) that begins and ends where inputs begin and end is the Concat of those inputs, or
    the one input itself.
Law: the elements of a Concat are those of its inputs in order.
Numerics: EXACT - data movement.
Scales: the result is an input, or inherits the scale of the Concat.
Fires: on Slices of step 1 with constant bounds along the Concat's axis alone, static shapes, on any target; the Concat
    itself stays for its other readers.
Refuses: nothing.
Source: ONNX Slice, Concat; the last step of a recurrent network.
Example: Slice(Concat(a[1,8,1,1], b[1,8,1,1], axis 3), 1:2, axis 3) -> b
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Phase, Refusal, Tensor, forms, view


@dataclass(frozen=True)
class Piece:
    """The inputs that are left, and the axis along which they are joined."""

    inputs: tuple[Tensor, ...]
    axis: int


@dataclass(frozen=True)
class SliceOfConcat(Pass[Piece]):
    """Slice of Concat -> the inputs that it reaches."""

    name: ClassVar[str] = "slice-of-concat"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    phase: ClassVar[Phase] = Phase.CLEAN
    anchors: ClassVar[tuple[str, ...]] = ("Slice",)

    def match(self, node: Node, context: Context) -> Match[Piece] | Refusal | None:
        concat = view.producer(view.input_at(node, 0))
        if concat is None or not view.is_op(concat, "Concat"):
            return None
        shapes = [view.shape(t) for t in concat.inputs]
        cuts = forms.read_slice(node, context.opset)
        known = [s for s in shapes if s is not None]
        if cuts is None or len(known) != len(shapes):
            return None
        axis = view.axis(int(view.attr(concat, "axis", 1)), len(known[0]))
        edges = [0, *itertools.accumulate(s[axis] for s in known)]
        whole = [a for a in cuts if a != axis]
        size = view.shape(node.inputs[0]) or ()
        if axis not in cuts or any(range(size[a])[cuts[a]] != range(size[a]) for a in whole):
            return None
        kept = range(edges[-1])[cuts[axis]]
        if kept.step != 1 or not kept or len(kept) == edges[-1]:
            return None
        if kept.start not in edges or kept.stop not in edges:
            return None
        first, last = edges.index(kept.start), edges.index(kept.stop)
        return Match((node,), Piece(tuple(concat.inputs[first:last]), axis), f"inputs {first} to {last - 1}")

    def apply(self, match: Match[Piece], edit: Editor) -> None:
        node, (*_, last) = match.nodes[0], match.facts.inputs
        piece = match.facts.inputs
        joined = last if len(piece) == 1 else edit.op("Concat", list(piece), {"axis": match.facts.axis})
        edit.replace_uses(node.outputs[0], joined)

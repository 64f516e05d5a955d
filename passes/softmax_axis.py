"""Softmax over all channels and positions at once goes over the channels of a rank-4 tensor.

What it does: Softmax(axis 1) of an [N, K] tensor that a Reshape or Flatten makes of a rank-4 one works on [N, K, 1, 1]
    instead, and what reshapes the result back reads from there.
Law: the same K numbers are divided by the same sum.
Numerics: EXACT - the same operations on the same elements.
Scales: every new tensor inherits the scale of what it holds.
Fires: where each reader of the result reshapes it to rank 4, or it is a graph output; N stays where it is. This is what
    a Softmax before opset 13 over several axes becomes. Softmax over one axis of a tensor of another rank is
    lift-to-4d's, one between Transposes transpose-sink's.
Refuses: a Softmax over the batch, which no Transpose may move; one that TensorRT flattens itself, below opset 13; one
    in the DLA's approximate mode over more than 1,024 numbers.
Source: ONNX Softmax; SMAX-AXIS, SMAX-4D, SMAX-OPT, SHUF-BATCH; re-expression R25.
Example: Flatten([1, 2, 4, 4]), Softmax, Reshape -> Reshape to [1, 32, 1, 1], Softmax over C, Reshape
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, emit, view

_MOVES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
_APPROXIMATE = 1024


@dataclass(frozen=True)
class Rows:
    """The rank-4 tensor that is flattened, and the [N, K] shape of the Softmax."""

    source: Tensor
    rows: tuple[int, int]


@dataclass(frozen=True)
class SoftmaxAxis(Pass[Rows]):
    """Softmax of flattened tensors -> Softmax over C."""

    name: ClassVar[str] = "softmax-axis"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Softmax",)

    def match(self, node: Node, context: Context) -> Match[Rows] | Refusal | None:
        form = view.shape(node.inputs[0])
        if form is None or not form:
            return None
        axis = view.axis(int(view.attr(node, "axis", -1 if context.opset >= 13 else 1)), len(form))
        if len(form) == 4:
            reason = _why_not(form, axis, context.opset)
            return Refusal(reason, (node,)) if reason else None
        flat, before = view.producer(node.inputs[0]), None
        if flat is not None and view.is_op(flat, *_MOVES):
            before = view.shape(flat.inputs[0])
        if len(form) != 2 or axis != 1 or before is None or len(before) != 4 or before[0] != form[0] or flat is None:
            return None
        others = [view.label(n) for n in view.consumers(node.inputs[0]) if n is not node]
        if others or context.model.is_pinned(node.inputs[0]):
            return Refusal(f"{', '.join(others) or 'a graph output'} reads the flattened tensor too", (node, flat))
        readers = view.consumers(node.outputs[0])
        cut = [r for r in readers if not view.is_op(r, *_MOVES) or view.rank(r.outputs[0]) != 4]
        if cut:
            return Refusal(f"{view.label(cut[0])} ({cut[0].op}) reads its result in two dimensions", (node, flat))
        return Match((node, flat, *readers), Rows(flat.inputs[0], (form[0], form[1])), f"over {form[1]} channels")

    def apply(self, match: Match[Rows], edit: Editor) -> None:
        node, _, *readers = match.nodes
        batch, size = match.facts.rows
        rows = emit.reshape(edit, match.facts.source, (batch, size, 1, 1))
        result = edit.op("Softmax", [rows], {"axis": 1})
        for reader in readers:
            shape = [int(d) for d in reader.outputs[0].shape]
            edit.replace_uses(reader.outputs[0], emit.reshape(edit, result, shape))
        if edit.model.is_pinned(node.outputs[0]):
            edit.replace_uses(node.outputs[0], emit.reshape(edit, result, (batch, size)))


def _why_not(form: tuple[int, ...], axis: int, opset: int) -> str:
    """Why a Softmax of rank 4 that the target refuses stays."""
    if opset < 13:
        return f"TensorRT flattens the Softmax of opset {opset} itself; from opset 13 on (upgrade-legacy) it does not"
    if axis == 0:
        return f"it goes over the batch of {form[0]}, which no Transpose may move"
    others = [n for i, n in enumerate(form) if i not in (0, axis) and n != 1]
    if others and form[axis] > _APPROXIMATE:
        return f"it goes over {form[axis]} numbers beside other dimensions, where {_APPROXIMATE} is the most"
    return ""

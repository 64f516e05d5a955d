"""Nodes that return their input as it is, or undo one another, are dropped.

What it does: bypasses Identity, Dropout, Casts, Reshapes, Transposes, Resizes, Pads, Slices, Expands, Tiles, Concats,
Splits, pools and element-wise nodes that change nothing, and merges two Transposes, Reshapes (Flatten, Squeeze,
Unsqueeze) or lossless Casts in a row. A Gather that takes everything in order is dropped, or is a Reshape.
Law: f(x) = x for this operand; T2(T1(x)) = T(x); x + 0 = x, up to the sign of a zero.
Numerics: EXACT - data movement only.
Scales: the input's scale stands for the dropped output as well.
Fires: on any target; unknown shapes are no reason to drop anything.
Refuses: a Dropout in training mode, or whose mask is read; a MaxPool whose indices are read. An Identity between
a graph input and a graph output stays, since both names must.
Source: the operators' definitions.
Example: Transpose(Transpose(x, 0231), 0312) -> x
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Phase, Refusal, Tensor, noops, view

MOVES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


@dataclass(frozen=True)
class Plan:
    """``source`` is the tensor to read instead; ``op`` with perm, dims or type turns it into the output, if needed."""

    source: Tensor
    op: str = ""
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class DropNoops(Pass[Plan]):
    """Nodes that change nothing, alone or in pairs -> nothing."""

    name: ClassVar[str] = "drop-noops"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    phase: ClassVar[Phase] = Phase.CLEAN
    anchors: ClassVar[tuple[str, ...]] = tuple(noops.PREDICATES)

    def match(self, node: Node, context: Context) -> Match[Plan] | Refusal | None:
        found = noops.identity_of(node, context.opset)
        if isinstance(found, str):
            return Refusal(found, (node,))
        if found is None:
            return _pair(node, context)
        for index in range(1, len(node.outputs)):
            if _is_needed(view.output_at(node, index), context):
                return Refusal(f"its output {node.outputs[index].name!r} is read as well", (node,))
        if node.op == "Identity" and not _is_free(node, found, context):
            return None
        return Match((node,), Plan(found))

    def apply(self, match: Match[Plan], edit: Editor) -> None:
        node, plan = match.nodes[0], match.facts
        if not plan.op:
            edit.replace_uses(node.outputs[0], plan.source)
        elif plan.op == "Transpose":
            edit.reform(node, "Transpose", [plan.source], {"perm": list(plan.numbers)})
        elif plan.op == "Cast":
            edit.reform(node, "Cast", [plan.source], {"to": plan.numbers[0]})
        else:
            edit.reform(node, "Reshape", [plan.source, edit.constant(np.array(plan.numbers, np.int64), "shape")])


def _is_needed(tensor: Tensor | None, context: Context) -> bool:
    return tensor is not None and (bool(tensor.outputs) or context.model.is_pinned(tensor))


def _is_free(node: Node, source: Tensor, context: Context) -> bool:
    """Whether an Identity can go: where its output's name must stay, its input's name has to be free for it."""
    if not context.model.is_pinned(node.outputs[0]):
        return True
    return bool(source.inputs) and not context.model.is_pinned(source)


def _pair(node: Node, context: Context) -> Match[Plan] | None:
    """Two nodes in a row that make one, or none; a Gather of everything that only changes the shape."""
    if node.op == "Gather":
        form = view.shape(node.outputs[0])
        if form is None or 0 in form or not noops.takes_all_in_order(node):
            return None
        return Match((node,), Plan(node.inputs[0], "Reshape", form))
    middle = view.input_at(node, 0)
    first = view.producer(middle)
    if middle is None or first is None or (first.domain or "") not in ("", "ai.onnx"):
        return None
    source = view.input_at(first, 0)
    if source is None:
        return None
    plan: Plan | None = None
    if node.op == "Transpose" and first.op == "Transpose":
        plan = _transposes(node, first, source)
    elif node.op == "Cast" and first.op == "Cast":
        plan = _casts(node, source, middle)
    elif node.op in MOVES and first.op in MOVES:
        plan = _reshapes(node, source)
    if plan is None:
        return None
    # Where others read the tensor in between, its producer stays, and one node for one is no gain.
    if plan.op and (len(view.consumers(middle)) > 1 or context.model.is_pinned(middle)):
        return None
    return Match((node, first), plan)


def _transposes(node: Node, first: Node, source: Tensor) -> Plan | None:
    inner, outer = view.ints(first, "perm"), view.ints(node, "perm")
    if not inner or len(inner) != len(outer):
        return None
    perm = tuple(inner[i] for i in outer)
    return Plan(source) if perm == tuple(range(len(perm))) else Plan(source, "Transpose", perm)


def _reshapes(node: Node, source: Tensor) -> Plan | None:
    before, after = view.shape(source), view.shape(node.outputs[0])
    if before == after and before is not None:
        return Plan(source)
    return Plan(source, "Reshape", after) if after is not None and 0 not in after else None


def _casts(node: Node, source: Tensor, middle: Tensor) -> Plan | None:
    start, between, end = view.dtype(source), view.dtype(middle), view.dtype(node.outputs[0])
    if start is None or between is None or end is None or not _is_lossless(start, between):
        return None
    return Plan(source) if start == end else Plan(source, "Cast", (int(view.attr(node, "to")),))


def _is_lossless(start: np.dtype[np.generic], end: np.dtype[np.generic]) -> bool:
    """Whether every value of one type is a value of the other."""
    if start.kind not in "iufb" or end.kind not in "iufb":
        return False
    if start.kind == "b":
        return True
    # numpy calls int64 to float64 safe, which it is only up to 2**53.
    return bool(np.can_cast(start, end, "safe")) and not (start.itemsize == 8 and start.kind != end.kind)

"""Reductions keep the dimensions they reduce, so that what follows stays 4-D.

What it does: a 4-D reduction with keepdims = 0 -> the same with keepdims = 1; Unsqueeze or Reshape nodes that put the
    dimensions back are gone, readers that broadcast a single value read it as it is, others get a Squeeze.
Law: keepdims only says whether dimensions of length 1 are written down.
Numerics: EXACT - data stays where it is.
Scales: the kept tensor takes the scale of the old output.
Fires: on ReduceMean, ReduceSum, ReduceMax, ReduceMin, ReduceL1, ReduceL2 and ReduceSumSquare over C, H or W of a 4-D
    tensor of static shape, where the target refuses them as they are.
Refuses: a reduction over a batch axis that is not 1.
Source: ONNX ReduceX; RED-KEEP, GEN-RANK, SHUF-FLAT.
Example: ReduceMean(x; axes 2, 3; keepdims 0) -> ReduceMean(x; axes 2, 3), Squeeze
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Phase, Refusal, emit, reduction, view

_OPS = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare")


@dataclass(frozen=True)
class Kept:
    """The reduced axes, the readers that put them back, and those that broadcast a single value anyway."""

    axes: tuple[int, ...]
    restoring: tuple[Node, ...]
    spreading: tuple[Node, ...]


@dataclass(frozen=True)
class Keepdims(Pass[Kept]):
    """Reduction with keepdims = 0 -> keepdims = 1 on rank 4."""

    name: ClassVar[str] = "keepdims"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    phase: ClassVar[Phase] = Phase.CLEAN
    anchors: ClassVar[tuple[str, ...]] = _OPS

    def match(self, node: Node, context: Context) -> Match[Kept] | Refusal | None:
        found = reduction.reduction(node)
        if found is None or found.keepdims or len(found.dims) != 4 or context.is_native(node):
            return None
        if 0 in found.axes:
            return Refusal(f"it reduces the batch axis of length {found.dims[0]}", (node,))
        kept = tuple(1 if a in found.named else n for a, n in enumerate(found.dims))
        readers = view.consumers(node.outputs[0])
        restoring = tuple(r for r in readers if _restores(r, node, kept))
        spreading = tuple(r for r in readers if _spreads(r, node, kept))
        return Match((node, *restoring), Kept(found.named, restoring, spreading), f"axes {list(found.named)}")

    def apply(self, match: Match[Kept], edit: Editor) -> None:
        node, kept = match.nodes[0], match.facts
        result = edit.op(node.op, list(node.inputs), {**node.attrs, "keepdims": 1})
        old = node.outputs[0]
        for reader in kept.restoring:
            edit.replace_uses(reader.outputs[0], result)
        for reader in kept.spreading:
            for index, tensor in enumerate(reader.inputs):
                if tensor is old:
                    edit.set_input(reader, index, result)
        if len(view.consumers(old)) > len(kept.restoring) or edit.model.is_pinned(old):
            edit.replace_uses(old, emit.squeeze(edit, result, kept.axes))


def _spreads(reader: Node, node: Node, kept: tuple[int, ...]) -> bool:
    """Whether ``reader`` meets a single value with a tensor of rank 4, where its own rank does not matter."""
    if not view.is_op(reader, "Add", "Sub", "Mul", "Div", "Pow", "Max", "Min") or any(n != 1 for n in kept):
        return False
    return any(t is not node.outputs[0] and (view.rank(t) or 0) >= 4 for t in reader.inputs)


def _restores(reader: Node, node: Node, kept: tuple[int, ...]) -> bool:
    """Whether ``reader`` gives the output of ``node`` the dimensions back that were reduced."""
    if not view.is_op(reader, "Unsqueeze", "Reshape") or reader.inputs[0] is not node.outputs[0]:
        return False
    return view.shape(reader.outputs[0]) == kept

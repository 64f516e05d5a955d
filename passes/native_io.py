"""Reshapes, Transposes and Casts at the network's borders are left to the caller, where --io native allows it.

What it does: Reshape, Flatten, Squeeze, Unsqueeze, Cast and Transpose nodes that the target refuses and that stand
    between a graph input or output and the rest are dropped; the input or output takes the rank-4 float tensor's place
    under the same name. Transposes behind an input's normalisation, or before an output's activation, are brought to
    the border first. How to get the old one back is written into the model's metadata under ``dlarewrite.io``.
Law: the old tensor is the new one with its axes permuted by ``perm``, reshaped to ``shape`` and cast to ``dtype``.
Numerics: EXACT - data movement that moves to the caller, who casts where a Cast was dropped.
Scales: the new border tensor keeps the scale that it had inside.
Fires: only with --io native, at the end, where the inner tensor has rank 4 and a float type.
Refuses: tensors that are another input or output too, or that a subgraph captures.
Source: GEN-RANK, SHUF-FLAT, CAST; TensorRT adds a Shuffle on the GPU where a network's border has fewer dimensions.
Example: output logits[1,10] = Reshape(x[1,10,1,1]) -> output logits[1,10,1,1]
"""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np

from dlarewrite.api import (
    EXACT_RULES,
    MOVES,
    Context,
    EditError,
    Editor,
    GraphPass,
    Node,
    Numerics,
    Phase,
    Refusal,
    Tensor,
    Variable,
    region,
    view,
)

_NOTE = "dlarewrite.io"
_SUMS = (
    "ReduceMean",
    "ReduceSum",
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
    "GlobalAveragePool",
)
"""Operators whose sums another axis order may round differently; a Softmax sums over one axis, in its order."""
_KEEPS_ORDER = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast")


class NativeIo(GraphPass):
    """Data movement at the borders -> the caller."""

    name: ClassVar[str] = "native-io"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    phase: ClassVar[Phase] = Phase.FINISH

    def run(self, context: Context, edit: Editor) -> list[Refusal]:
        if not context.settings.native_io:
            return []
        _bring_out(context, edit, self.name)
        noted = _noted(context)
        changes = dict(noted)
        refusals: list[Refusal] = []
        for tensor in (*context.model.outputs, *context.model.inputs):
            chain = _behind(tensor, context) if context.model.is_output(tensor) else _ahead(tensor, context)
            name = tensor.name
            # The note leads from the first border: a border that moved once stays where it is.
            if not chain or name in noted:
                continue
            try:
                changes[name] = _drop(tensor, chain, edit, self.name)
            except EditError as reason:
                refusals.append(Refusal(str(reason), tuple(chain)))
        if changes != noted:
            with edit.rewrite(self.name, detail="how to get the old inputs and outputs back"):
                edit.note(_NOTE, json.dumps(changes, sort_keys=True))
        return refusals


def _noted(context: Context) -> dict[str, dict[str, object]]:
    """What an earlier run noted."""
    props = context.model.envelope.header.metadata_props
    return dict(json.loads(next((p.value for p in props if p.key == _NOTE), "{}")))


def _bring_out(context: Context, edit: Editor, by: str) -> None:
    """Move refused Transposes past operators that can work on the other axis order, to the borders."""
    for node in [n for n in context.model.nodes if view.is_op(n, "Transpose")]:
        found = _way_out(node, context) if node in context.model else None
        if found is None:
            continue
        detail = f"{found.moves} Transposes and Reshapes past {found.work} nodes, {found.borders} left at the borders"
        with edit.rewrite(by, node, detail):
            region.move(found, edit)
            edit.sweep(found.nodes)
        context.forget_all()


def _way_out(node: Node, context: Context) -> region.Region | None:
    """The Transpose's region, if no Transpose or Reshape of it would be left inside the model, and no more in all."""
    if _at_border(node, context) or context.is_native(node):
        return None
    found = region.grow(node, context, EXACT_RULES)
    if found is None or found.borders > found.moves:
        return None
    if found.holds(*_SUMS) or found.borders > len(found.entries) + len(found.exits):
        return None
    outer = sum(_at_border(n, context) for n in found.nodes if n.op in MOVES)
    return found if found.inner == 0 and found.moves > outer else None


def _at_border(node: Node, context: Context) -> bool:
    """Whether other Reshapes and Transposes at most stand between the node and a graph input or output."""
    above, below = node.inputs[0], node.outputs[0]
    while (maker := view.producer(above)) is not None and view.is_op(maker, *MOVES):
        above = maker.inputs[0]
    while len(readers := view.consumers(below)) == 1 and view.is_op(readers[0], *MOVES):
        below = readers[0].outputs[0]
    return context.model.is_input(above) or context.model.is_output(below)


def _behind(tensor: Tensor, context: Context) -> list[Node]:
    """The nodes before an output that can be dropped, last first; the longest run that ends in a native tensor."""
    found: list[Node] = []
    best = 0
    while (node := view.producer(tensor)) is not None and not context.is_native(node):
        if found and context.model.is_pinned(node.outputs[0]):
            break
        if not view.is_op(node, *_KEEPS_ORDER, "Transpose"):
            break
        found.append(node)
        tensor = node.inputs[0]
        if _is_native_tensor(tensor) and tensor.inputs:
            best = len(found)
        if node.op == "Transpose":
            break
    return found[:best]


def _ahead(tensor: Tensor, context: Context) -> list[Node]:
    """The nodes after an input that can be dropped, first first."""
    found: list[Node] = []
    best = 0
    while len(readers := view.consumers(tensor)) == 1 and not context.is_native(readers[0]):
        node = readers[0]
        if not view.is_op(node, *_KEEPS_ORDER, "Transpose") or node.inputs[0] is not tensor:
            break
        if any(view.shape(t) is None for t in (tensor, node.outputs[0])) or (found and context.model.is_pinned(tensor)):
            break
        if node.op != "Cast" and any(n.op == "Transpose" for n in found):
            break
        found.append(node)
        tensor = node.outputs[0]
        if _is_native_tensor(tensor):
            best = len(found)
    return found[:best]


def _is_native_tensor(tensor: Tensor) -> bool:
    return isinstance(tensor, Variable) and view.is_float(tensor) and len(view.shape(tensor) or ()) == 4


def _drop(tensor: Tensor, chain: list[Node], edit: Editor, by: str) -> dict[str, object]:
    """Move the border past the chain; returns how to get the old tensor back."""
    old = {"shape": list(view.shape(tensor) or ()), "dtype": str(view.dtype(tensor))}
    turn = next((view.ints(n, "perm") for n in chain if n.op == "Transpose"), ())
    is_output = bool(tensor.inputs)
    with edit.rewrite(by, chain[0], f"{tensor.name}: {' '.join(n.op for n in chain)}"):
        if is_output:
            edit.move_output(tensor, chain[-1].inputs[0])
        else:
            edit.move_input(tensor, chain[-1].outputs[0])
            turn = tuple(int(i) for i in np.argsort(turn))
        edit.sweep([chain[0] if is_output else chain[-1]])
    return {**old, "perm": list(turn)}

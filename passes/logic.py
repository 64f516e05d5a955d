"""Neg becomes a product with -1, And, Or, Xor and Not before a Cast become arithmetic on zeros and ones.

What it does: Neg(x) -> Mul(x, -1). What And, Or, Xor and Not make of truth values, for a Cast to float in the end, is
    worked out on the Casts of those truth values: And is Mul, Or is Max, Xor is the square of Sub, Not is 1 - x.
Law: the definitions of the operators, for numbers that are 0 or 1.
Numerics: EXACT - a sign is changed; sums and products of zeros and ones.
Scales: a Neg's result takes the scale of the input (scales are symmetric), zeros and ones have 1/127.
Fires: Neg on float tensors of any rank; the others where less is refused with the Casts before them: a comparison whose
    result goes straight into a Cast is what the DLA takes, and truth values that were Cast from float are taken as they
    were, where they are known to be 0 or 1.
Refuses: And, Or, Xor and Not whose BOOL result is read as such, as no layer of the DLA reads or writes BOOL.
Source: ONNX Neg, And, Or, Xor, Not; UNARY-NO, GEN-DTYPE, CMP-CAST; re-expressions R1 to R5.
Example: Cast(And(a > b, c > d)) -> Mul(Cast(a > b), Cast(c > d))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Constant, Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, emit, view

_LOGIC = ("And", "Or", "Xor", "Not")


@dataclass(frozen=True)
class Logic(Pass[None]):
    """Neg -> Mul(-1); And, Or, Xor, Not before a Cast -> Mul, Max, Sub and Mul, 1 - x."""

    name: ClassVar[str] = "logic"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Neg", "Cast", *_LOGIC)

    def match(self, node: Node, context: Context) -> Match[None] | Refusal | None:
        if node.op == "Neg":
            return Match((node,), None) if view.is_float(node.inputs[0]) else None
        if node.op in _LOGIC:
            return Refusal("its tensors are BOOL, which no layer of the DLA reads or writes", (node,))
        if not _to_float(node) or _logical(node.inputs[0]) is None:
            return None
        tree = _tree(node.inputs[0])
        for part in tree:
            made = part.outputs[0]
            others = [r for r in view.consumers(made) if not (view.is_op(r, *_LOGIC) or _to_float(r))]
            if others or context.model.is_pinned(made):
                who = view.label(others[0]) if others else "a graph output"
                return Refusal(f"{who} reads the BOOL result of {view.label(part)} ({part.op})", (node, *tree))
        return Match((node, *tree), None, f"{', '.join(p.op for p in reversed(tree))} on zeros and ones")

    def apply(self, match: Match[None], edit: Editor) -> None:
        node = match.nodes[0]
        if node.op == "Neg":
            edit.replace_uses(node.outputs[0], _negative(edit, node.inputs[0]))
            return
        known: dict[int, Tensor] = {}
        edit.replace_uses(node.outputs[0], _number(edit, node.inputs[0], node, known))


def _to_float(node: Node) -> bool:
    return view.is_op(node, "Cast") and view.is_float(node.outputs[0]) and _is_truth(node.inputs[0])


def _is_truth(tensor: Tensor) -> bool:
    return view.dtype(tensor) == np.bool_


def _logical(tensor: Tensor) -> Node | None:
    maker = view.producer(tensor)
    return maker if maker is not None and view.is_op(maker, *_LOGIC) else None


def _tree(root: Tensor) -> tuple[Node, ...]:
    """The logical operators that make a truth tensor, each once, the last one first."""
    found: dict[int, Node] = {}
    stack = [root]
    while stack:
        maker = _logical(stack.pop())
        if maker is not None and id(maker) not in found:
            found[id(maker)] = maker
            stack.extend(maker.inputs)
    return tuple(found.values())


def _number(edit: Editor, truth: Tensor, cast: Node, known: dict[int, Tensor]) -> Tensor:
    """The truth tensor as zeros and ones of the Cast's type; ``known`` holds those made before."""
    if id(truth) in known:
        return known[id(truth)]
    maker, kind = view.producer(truth), view.dtype(cast.outputs[0]) or np.dtype(np.float32)
    if isinstance(truth, Constant):
        made: Tensor = edit.constant(np.asarray(truth.values, dtype=kind), str(truth.name))
    elif maker is not None and view.is_op(maker, *_LOGIC):
        made = _arithmetic(edit, maker.op, [_number(edit, t, cast, known) for t in maker.inputs])
    elif maker is not None and _casts_back(maker, kind):
        made = maker.inputs[0]
    else:
        made = emit.cast(edit, truth, kind)
    known[id(truth)] = made
    return made


def _casts_back(node: Node, kind: np.dtype[np.generic]) -> bool:
    """Whether the node casts zeros and ones of this very type to BOOL: they come from a Cast of BOOL themselves."""
    before = view.producer(node.inputs[0]) if view.is_op(node, "Cast") else None
    return before is not None and _to_float(before) and view.dtype(before.outputs[0]) == kind


def _arithmetic(edit: Editor, op: str, numbers: list[Tensor]) -> Tensor:
    if op == "Not":
        minus = _negative(edit, numbers[0])
        return edit.op("Add", [minus, emit.scalar(edit, 1.0, minus, "one")])
    if op == "Xor":
        difference = edit.op("Sub", numbers)
        return edit.op("Mul", [difference, difference])
    return edit.op("Mul" if op == "And" else "Max", numbers)


def _negative(edit: Editor, x: Tensor) -> Tensor:
    return edit.op("Mul", [x, emit.scalar(edit, -1.0, x, "minus")])

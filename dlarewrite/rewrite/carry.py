"""What it means that an operator is carried: the layouts of its outputs where its inputs have given ones, and the edit.

A rule looks at one node of any rank whose variable inputs have a :class:`~dlarewrite.rewrite.layout.Layout`, and says
what happens on the rank-4 carriers, or None where the operator cannot be carried that way. Rules never edit: the
:class:`Carried` that they return does, when it is asked to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import input_at, label
from dlarewrite.rewrite.layout import Layout

Emit = Callable[[Editor, Sequence["gs.Tensor | None"]], Sequence[gs.Tensor]]


@dataclass(frozen=True)
class Carried:
    """The outputs' layouts, and the edit: carriers of the inputs (None for constants) -> carriers of the outputs."""

    outputs: tuple[Layout, ...]
    emit: Emit


Rule = Callable[[gs.Node, Sequence["Layout | None"], int], "Carried | None"]


def again(node: gs.Node, changes: Mapping[int, gs.Tensor] | None = None, **attrs: Any) -> Emit:
    """Emits the same operator on the carriers; ``changes`` replaces inputs, ``attrs`` attributes."""

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        inputs = [c if c is not None else input_at(node, i) for i, c in enumerate(carriers)]
        for index, tensor in (changes or {}).items():
            inputs[index] = tensor
        return edit.ops(node.op, inputs, {**node.attrs, **attrs}, outputs=len(node.outputs), hint=label(node))

    return make


def passed(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
    """Emits nothing: the carrier of the input carries the output too."""
    return [c for c in carriers[:1] if c is not None]


def only(ins: Sequence[Layout | None]) -> Layout | None:
    """The layout of input 0 where it is the only variable input."""
    return None if any(i is not None for i in ins[1:]) else next(iter(ins), None)

"""What an LSTM, GRU or RNN node computes; :mod:`~dlarewrite.rewrite.unrolling` writes it out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir import view

_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_FUNCTIONS = ("Sigmoid", "Tanh", "Relu")


@dataclass(frozen=True)
class Cell:
    """A recurrent node with static shapes and constant weights, in ONNX's own gate order.

    ``functions`` per direction; ``backwards`` per direction; ``states`` are initial_h and initial_c (None: zeros).
    ``batched``: layout 1, the batch comes first.
    """

    node: gs.Node
    steps: int
    batch: int
    features: int
    hidden: int
    backwards: tuple[bool, ...]
    functions: tuple[tuple[str, ...], ...]
    states: tuple[gs.Tensor | None, gs.Tensor | None]
    linear: bool
    batched: bool

    @property
    def directions(self) -> int:
        return len(self.backwards)


def read(node: gs.Node) -> Cell | str | None:
    """The facts of a recurrent node; a sentence where it has no plain form of fixed length, None without shapes."""
    x, form = view.input_at(node, 0), view.shape(view.input_at(node, 0))
    weights = [view.shape(view.input_at(node, i)) for i in (1, 2)]
    if x is None or form is None or len(form) != 3 or None in weights or 0 in form or not view.is_float(x):
        return None
    late = next((i for i in (1, 2, 3, 7) if not _constant(node, i)), None)
    if late is not None:
        return f"its {('weights', 'recurrent weights', 'bias', 'peepholes')[(1, 2, 3, 7).index(late)]} are not constant"
    for name, plain in (("clip", 0), ("input_forget", 0)):
        if view.attr(node, name, plain):
            return f"it has {name} = {view.attr(node, name):g}"
    direction = str(view.attr(node, "direction", "forward") or "forward")
    backwards = {"forward": (False,), "reverse": (True,)}.get(direction, (False, True))
    functions = _functions(node, len(backwards))
    if isinstance(functions, str):
        return functions
    batched = bool(view.attr(node, "layout", 0))
    batch, steps = (form[0], form[1]) if batched else (form[1], form[0])
    lengths = view.constant_value(view.input_at(node, 4))
    if view.input_at(node, 4) is not None and (lengths is None or bool(np.any(lengths != steps))):
        return "its sequences have lengths of their own (sequence_lens)"
    hidden = (weights[1] or (0, 0, 0))[2]
    states = (_state(node, 5), _state(node, 6) if node.op == "LSTM" else None)
    linear = bool(view.attr(node, "linear_before_reset", 0))
    return Cell(node, steps, batch, form[2], hidden, backwards, functions, states, linear, batched)


def _constant(node: gs.Node, index: int) -> bool:
    tensor = view.input_at(node, index)
    return tensor is None or view.is_constant(tensor)


def _state(node: gs.Node, index: int) -> gs.Tensor | None:
    """An initial state, or None where it is zero."""
    tensor = view.input_at(node, index)
    values = view.constant_value(tensor)
    return None if values is not None and not values.any() else tensor


def _functions(node: gs.Node, directions: int) -> tuple[tuple[str, ...], ...] | str:
    defaults = _DEFAULTS[node.op]
    given = tuple(str(f) for f in view.attr(node, "activations", None) or defaults * directions)
    other = next((f for f in given if f not in _FUNCTIONS), None)
    if other is not None or len(given) != len(defaults) * directions:
        return f"its activations are {', '.join(given)}"
    return tuple(given[i : i + len(defaults)] for i in range(0, len(given), len(defaults)))

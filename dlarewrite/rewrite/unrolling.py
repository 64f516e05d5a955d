"""LSTM, GRU and RNN written out step by step on NCHW tensors.

The sequence is carried by [N, I, 1, T], a state by [N, H, 1, 1]. What the gates take from the input is one 1x1 Conv
over all steps at once; each step cuts its column out of it and adds a 1x1 Conv of the state before.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir import view
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import Array
from dlarewrite.rewrite import convolve, emit, forms
from dlarewrite.rewrite.layout import enter, layout, leave
from dlarewrite.rewrite.recurrence import Cell

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_LAYERS = {"LSTM": 16, "GRU": 14, "RNN": 4}
"""Layers of one step without peepholes."""
_WIDEST = 8192
"""GEN-DIM: channels of the tensor on which the states of all steps are put side by side."""


def layers(cell: Cell) -> int:
    """About how many layers the cell is when written out."""
    return _LAYERS[cell.node.op] * cell.steps * cell.directions


def unroll(edit: Editor, cell: Cell, *, stacked: bool) -> None:
    """Write the cell out and let everybody read from there.

    ``stacked``: the states of all steps are joined along the channels and turned, not along the width.
    """
    node, places = cell.node, ((0,), (3,), (1,)) if cell.batched else ((3,), (0,), (1,))
    x = enter(edit, node.inputs[0], layout((cell.batch, cell.features, 1, cell.steps), places))
    runs = [_direction(edit, cell, x, d) for d in range(cell.directions)]
    sequence, last_h, last_c = (view.output_at(node, i) for i in range(3))
    if sequence is not None and _is_read(edit, sequence):
        joined = [_sequence(edit, cell, run.hidden, stacked) for run in runs]
        edit.replace_uses(sequence, _leave(edit, cell, joined, cell.steps))
    finals = [run.hidden[0 if back else -1] for run, back in zip(runs, cell.backwards, strict=True)]
    if last_h is not None and _is_read(edit, last_h):
        edit.replace_uses(last_h, _leave(edit, cell, finals, 0))
    cells = [run.cell for run in runs if run.cell is not None]
    if last_c is not None and _is_read(edit, last_c):
        edit.replace_uses(last_c, _leave(edit, cell, cells, 0))


def _is_read(edit: Editor, tensor: gs.Tensor) -> bool:
    return bool(tensor.outputs) or edit.model.is_pinned(tensor)


def _sequence(edit: Editor, cell: Cell, hidden: Sequence[gs.Tensor], stacked: bool) -> gs.Tensor:
    """The states of all steps as [N, H, 1, T]."""
    if not stacked:
        return _joined(edit, hidden, 3)
    room = max(1, _WIDEST // cell.hidden)
    parts = []
    for start in range(0, len(hidden), room):
        some = hidden[start : start + room]
        if len(some) == 1:
            parts.append(some[0])
            continue
        # A Reshape must not stand beside a Concat (SHUF-NEIGH): a Conv that changes nothing stands between.
        apart = forms.depthwise(edit, _joined(edit, some, 1), np.ones((1, 1)))
        rows = emit.reshape(edit, apart, (cell.batch, len(some), cell.hidden, 1))
        parts.append(emit.transpose(edit, rows, (0, 2, 3, 1)))
    return _joined(edit, parts, 3)


def _joined(edit: Editor, parts: Sequence[gs.Tensor], axis: int) -> gs.Tensor:
    return parts[0] if len(parts) == 1 else edit.op("Concat", list(parts), {"axis": axis})


def _leave(edit: Editor, cell: Cell, parts: Sequence[gs.Tensor], steps: int) -> gs.Tensor:
    """The output tensor: [T, D, N, H] of carriers [N, H, 1, T], or [D, N, H] of carriers [N, H, 1, 1] (steps 0).

    With layout 1 the batch comes first.
    """
    carrier, width = _joined(edit, parts, 1), max(steps, 1)
    if len(parts) == 2:
        carrier = emit.reshape(edit, carrier, (cell.batch, 2, cell.hidden, width))
    where = ((1,), (2,)) if len(parts) == 2 else ((2,), (1,))
    dims = tuple(int(d) for d in carrier.shape)
    time, batch = ((3,),) if steps else (), (0,)
    order = (batch, *time, *where) if cell.batched else (*time, where[0], batch, where[1])
    return leave(edit, carrier, layout(dims, order))


@dataclass(frozen=True)
class _Run:
    """One direction written out: the state after each step in the order of the sequence, and the last cell state."""

    hidden: list[gs.Tensor]
    cell: gs.Tensor | None


@dataclass(frozen=True)
class _Gates:
    """Gates that are computed together: their input part for all steps, their recurrent weights and bias."""

    sequence: gs.Tensor
    weights: gs.Constant
    bias: gs.Constant | None
    bias_values: Array | None

    def column(self, edit: Editor, t: int, steps: int) -> gs.Tensor:
        return self.sequence if steps == 1 else emit.slice_(edit, self.sequence, [t], [t + 1], [3])

    def recur(self, edit: Editor, h: gs.Tensor) -> gs.Tensor:
        inputs = [h, self.weights, *([self.bias] if self.bias is not None else [])]
        return edit.op("Conv", inputs, {"kernel_shape": [1, 1]})


def _direction(edit: Editor, cell: Cell, x: gs.Tensor, d: int) -> _Run:
    order = range(cell.steps)[::-1] if cell.backwards[d] else range(cell.steps)
    gates = _gates(edit, cell, x, d)
    h, c = (_initial(edit, cell, state, d) for state in cell.states)
    peepholes = _peepholes(edit, cell, x, d)
    hidden: list[gs.Tensor] = []
    for t in order:
        columns = [g.column(edit, t, cell.steps) for g in gates]
        if cell.node.op == "LSTM":
            h, c = _lstm(edit, cell, d, gates[0], columns[0], h, c, peepholes)
        elif cell.node.op == "GRU":
            h = _gru(edit, cell, d, gates, columns, h)
        else:
            h = edit.op(cell.functions[d][0], [_plus(edit, columns[0], gates[0], h)])
        hidden.append(h)
    return _Run(hidden[::-1] if cell.backwards[d] else hidden, c)


def _gates(edit: Editor, cell: Cell, x: gs.Tensor, d: int) -> list[_Gates]:
    """The input parts; a GRU's candidate is apart, as its recurrent part meets the reset gate first."""
    node, size = cell.node, cell.hidden
    kind = view.dtype(x) or np.dtype(np.float32)
    w, r = (np.asarray(view.constant_value(node.inputs[i]))[d] for i in (1, 2))
    given = view.constant_value(view.input_at(node, 3))
    count = _GATES[node.op] * size
    both = np.zeros(2 * count) if given is None else given[d].astype(np.float64)
    cuts = [(0, 2 * size), (2 * size, 3 * size)] if node.op == "GRU" else [(0, count)]
    made = []
    for number, (a, b) in enumerate(cuts):
        apart = number == 1 and cell.linear
        ahead = (both[a:b] if apart else both[a:b] + both[count + a : count + b]).astype(kind)
        behind = both[count + a : count + b].astype(kind) if apart else None
        bias = edit.constant(ahead, "bias") if ahead.any() else None
        hint = view.label(node)
        sequence = convolve.convolve(edit, x, w[a:b, :, None, None], bias, hint=hint, name=str(node.inputs[1].name))
        weights = edit.constant(np.ascontiguousarray(r[a:b, :, None, None]), str(node.inputs[2].name))
        known = edit.constant(behind, "bias") if behind is not None and behind.any() else None
        made.append(_Gates(sequence, weights, known, behind))
    return made


def _initial(edit: Editor, cell: Cell, state: gs.Tensor | None, d: int) -> gs.Tensor | None:
    """The initial state of one direction as [N, H, 1, 1]; None for zeros."""
    if state is None:
        return None
    form, axis = (cell.batch, cell.hidden, 1, 1), 1 if cell.batched else 0
    values = view.constant_value(state)
    if values is not None:
        return edit.constant(np.ascontiguousarray(values.take(d, axis).reshape(form)), str(state.name))
    if cell.directions > 1:
        state = emit.slice_(edit, state, [d], [d + 1], [axis])
    return emit.reshape(edit, state, form)


def _peepholes(edit: Editor, cell: Cell, x: gs.Tensor, d: int) -> list[gs.Constant]:
    """Weights of the cell state on the gates i, o, f, [1, H, 1, 1] each; none without peepholes."""
    values = view.constant_value(view.input_at(cell.node, 7)) if cell.node.op == "LSTM" else None
    if values is None or not values.any():
        return []
    return [edit.constant(part.reshape(1, -1, 1, 1), "peephole", view.dtype(x)) for part in values[d].reshape(3, -1)]


def _plus(edit: Editor, column: gs.Tensor, gates: _Gates, h: gs.Tensor | None) -> gs.Tensor:
    return column if h is None else edit.op("Add", [column, gates.recur(edit, h)])


def _lstm(
    edit: Editor,
    cell: Cell,
    d: int,
    gates: _Gates,
    column: gs.Tensor,
    h: gs.Tensor | None,
    c: gs.Tensor | None,
    peepholes: Sequence[gs.Constant],
) -> tuple[gs.Tensor, gs.Tensor]:
    """c' = f c + i g, h' = o k(c')."""
    sigma, candidate, squash = cell.functions[d]
    i, o, f, g = _parts(edit, _plus(edit, column, gates, h), 4)
    if peepholes and c is not None:
        i, f = (_peep(edit, gate, c, p) for gate, p in ((i, peepholes[0]), (f, peepholes[2])))
    fresh = edit.op("Mul", [edit.op(sigma, [i]), edit.op(candidate, [g])])
    state = fresh if c is None else edit.op("Add", [edit.op("Mul", [edit.op(sigma, [f]), c]), fresh])
    if peepholes:
        o = _peep(edit, o, state, peepholes[1])
    return edit.op("Mul", [edit.op(sigma, [o]), edit.op(squash, [state])]), state


def _peep(edit: Editor, gate: gs.Tensor, c: gs.Tensor, weights: gs.Constant) -> gs.Tensor:
    return edit.op("Add", [gate, edit.op("Mul", [c, weights])])


def _gru(
    edit: Editor, cell: Cell, d: int, gates: Sequence[_Gates], columns: Sequence[gs.Tensor], h: gs.Tensor | None
) -> gs.Tensor:
    """h' = n + z (h - n); the candidate n takes R (r h), or r (R h + b) with linear_before_reset."""
    sigma, squash = cell.functions[d]
    z, r = _parts(edit, edit.op(sigma, [_plus(edit, columns[0], gates[0], h)]), 2)
    inner = columns[1]
    if h is not None and cell.linear:
        inner = edit.op("Add", [inner, edit.op("Mul", [r, gates[1].recur(edit, h)])])
    elif h is not None:
        inner = edit.op("Add", [inner, gates[1].recur(edit, edit.op("Mul", [r, h]))])
    elif gates[1].bias_values is not None and gates[1].bias_values.any():
        bias = edit.constant(gates[1].bias_values.reshape(1, -1, 1, 1), "bias")
        inner = edit.op("Add", [inner, edit.op("Mul", [r, bias])])
    n = edit.op(squash, [inner])
    if h is None:
        return edit.op("Sub", [n, edit.op("Mul", [z, n])])
    return edit.op("Add", [n, edit.op("Mul", [z, edit.op("Sub", [h, n])])])


def _parts(edit: Editor, x: gs.Tensor, count: int) -> list[gs.Tensor]:
    """Equal parts of x along the channels."""
    size = int(x.shape[1]) // count
    cuts = itertools.pairwise(range(0, (count + 1) * size, size))
    return [emit.slice_(edit, x, [a], [b], [1]) for a, b in cuts]

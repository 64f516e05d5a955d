"""A Pad in front of a window operator becomes the operator's own pads.

What it does: Pad with zeros before Conv or AveragePool, Pad with the lowest value (or with zeros, on data that is
never negative) before MaxPool -> larger pads of every reader; the Pad goes. Readers may stand behind a Transpose, as
where channels come last.
Law: Conv reads zeros beside its input; an average that counts its padding sums zeros; max(x, -inf) = x, and
max(x, 0) = x for a window that holds some x >= 0.
Numerics: EXACT - the same sums and comparisons.
Scales: the reader takes the scale of the Pad's input; padding adds no new value (Q-PROP lists Pad).
Fires: on pads of spatial axes only, for all readers of the Pad at once, after resolving auto_pad.
Refuses: negative pads, pads of N or C, a reader of another kind, pads that would reach the kernel size (ONNX pools
and CONV-PAD ask for less) or 31 (Conv) or 7 (pools), ceil_mode with an effect, indices, an average that leaves its own
padding out of the count.
Source: ONNX operators Pad, Conv, AveragePool, MaxPool; CONV-PAD, POOL-PAD; R22.
Example: Conv(Pad(x, 3, 3, 3, 3), W, pads = 0) -> Conv(x, W, pads = [3, 3, 3, 3])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Phase, Refusal, Tensor, ranges, view

READERS = ("Conv", "AveragePool", "MaxPool", "ConvTranspose")
CONV_LIMIT, POOL_LIMIT = 31, 7


@dataclass(frozen=True)
class Reader:
    """A node that reads ``tensor``, which is the Pad's output, or that of the Transpose ``turn`` of it."""

    node: Node
    tensor: Tensor
    turn: Node | None = None

    def turned(self, pads: tuple[int, ...]) -> tuple[int, ...]:
        """The Pad's pads in the order of the axes that the node sees."""
        perm = () if self.turn is None else view.ints(self.turn, "perm")
        half = len(pads) // 2
        return tuple(pads[axis + side] for side in (0, half) for axis in perm) if perm else pads


@dataclass(frozen=True)
class Moved:
    """What the readers become: ONNX-ordered pads, one entry a reader; ``source`` is the Pad's input."""

    source: Tensor
    readers: tuple[Reader, ...]
    pads: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class FoldPad(Pass[Moved]):
    """Pad before Conv, AveragePool or MaxPool -> their own pads."""

    name: ClassVar[str] = "fold-pad"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    phase: ClassVar[Phase] = Phase.CLEAN
    anchors: ClassVar[tuple[str, ...]] = ("Pad",)

    def match(self, node: Node, context: Context) -> Match[Moved] | Refusal | None:
        source, made = view.input_at(node, 0), node.outputs[0]
        readers = _readers(made, context)
        pads, value = _pads(node, context.opset), _value(node, context.opset)
        if source is None or pads is None or value is None or not any(pads):
            return None
        if not readers or view.attr(node, "mode", "constant") != "constant":
            return None
        if context.opset < 7 or not any(view.is_op(r.node, *READERS) for r in readers):
            return None
        reason = next((unfit for r in readers if (unfit := _unfit(r.turned(pads), len(pads) // 2))), "")
        if not reason and context.model.is_pinned(made):
            reason = f"{made.name!r} is needed under its name"
        if reason:
            return Refusal(reason, (node,))
        found = []
        for reader in readers:
            moved = _moved(reader.node, reader.tensor, source, reader.turned(pads), value)
            if isinstance(moved, str):
                return Refusal(moved, (node, reader.node))
            found.append(moved)
        return Match((node, *(r.node for r in readers)), Moved(source, readers, tuple(found)))

    def apply(self, match: Match[Moved], edit: Editor) -> None:
        facts, turned = match.facts, dict[int, Tensor]()
        for reader, pads in zip(facts.readers, facts.pads, strict=True):
            node, turn, read = reader.node, reader.turn, facts.source
            if turn is not None:
                if id(turn) not in turned:
                    turned[id(turn)] = edit.op("Transpose", [facts.source], dict(turn.attrs), hint=view.label(turn))
                read = turned[id(turn)]
            edit.set_input(node, 0, read)
            edit.set_attr(node, "pads", list(pads))
            edit.set_attr(node, "auto_pad", None)
            if node.op == "AveragePool":
                edit.set_attr(node, "count_include_pad", 1)
        edit.sweep([match.nodes[0], *(r.turn for r in facts.readers if r.turn is not None)])


def _readers(made: Tensor, context: Context) -> tuple[Reader, ...]:
    """Who reads the Pad's output, itself or through a Transpose that nobody else needs."""
    found: list[Reader] = []
    for node in view.consumers(made):
        behind = view.consumers(node.outputs[0]) if view.is_op(node, "Transpose") else ()
        free = behind and view.ints(node, "perm") and not context.model.is_pinned(node.outputs[0])
        found += [Reader(r, node.outputs[0], node) for r in behind] if free else [Reader(node, made)]
    return tuple(found)


def _pads(node: Node, opset: int) -> tuple[int, ...] | None:
    """All begins, then all ends, one for each axis of the data; None where they are not constant."""
    if opset < 11:
        return view.ints(node, "pads") or None
    given = view.constant_value(view.input_at(node, 1))
    if given is None:
        return None
    pads = tuple(int(p) for p in given.reshape(-1))
    if view.input_at(node, 3) is None:
        return pads
    axes, rank = view.constant_value(view.input_at(node, 3)), view.rank(view.input_at(node, 0))
    if axes is None or rank is None:
        return None
    full = [0] * (2 * rank)
    for place, axis in enumerate(int(a) for a in axes.reshape(-1)):
        full[view.axis(axis, rank)] = pads[place]
        full[view.axis(axis, rank) + rank] = pads[place + axes.size]
    return tuple(full)


def _value(node: Node, opset: int) -> float | None:
    """What is padded with; None where it is not constant."""
    if opset < 11:
        return float(view.attr(node, "value", 0.0))
    tensor = view.input_at(node, 2)
    if tensor is None:
        return 0.0
    value = view.constant_value(tensor)
    return None if value is None or value.size != 1 else float(value.reshape(-1)[0])


def _unfit(pads: tuple[int, ...], rank: int) -> str:
    if min(pads) < 0:
        return f"its pads {list(pads)} crop"
    if any(pads[axis] for axis in (0, 1, rank, rank + 1) if axis < len(pads)):
        return f"its pads {list(pads)} touch the batch or the channels"
    return ""


def _moved(reader: Node, made: Tensor, source: Tensor, pads: tuple[int, ...], value: float) -> tuple[int, ...] | str:
    """The reader's pads with those of the Pad added, or why it cannot take them."""
    name = view.label(reader)
    seen = view.window(reader) if view.is_op(reader, *READERS[:3]) else None
    if view.input_at(reader, 0) is not made or any(t is made for t in reader.inputs[1:]):
        return f"{name} ({reader.op}) reads it as an operand that has no pads"
    if seen is None:
        return f"{name} ({reader.op}) has no pads that are equal"
    half = len(pads) // 2
    begin = tuple(a + b for a, b in zip(seen.begin, pads[2:half], strict=True))
    end = tuple(a + b for a, b in zip(seen.end, pads[half + 2 :], strict=True))
    limit = CONV_LIMIT if reader.op == "Conv" else POOL_LIMIT
    for pad, kernel in zip(begin + end, seen.kernel * 2, strict=True):
        if pad >= kernel or pad > limit:
            return f"{name} would pad {pad} at kernel {kernel}; less than the kernel and at most {limit} is allowed"
    if reader.op == "Conv":
        return begin + end if value == 0 else f"it pads with {value:g}, {name} (Conv) with 0"
    return _pool(reader, source, made, seen, value) or begin + end


def _pool(reader: Node, source: Tensor, made: Tensor, seen: view.Window, value: float) -> str:
    """Why a pool cannot take the pads, or an empty string."""
    name = view.label(reader)
    dims = view.shape(made)
    if seen.ceil_mode:
        if dims is None:
            return f"{name} rounds up, and its shape is not known"
        rests = [
            (d + b + e - (k - 1) * t - 1) % s
            for d, b, e, k, t, s in zip(
                dims[2:], seen.begin, seen.end, seen.kernel, seen.dilations, seen.strides, strict=True
            )
        ]
        if any(rests):
            return f"{name} rounds up, so that its last window reaches beyond the padding"
    if reader.op == "AveragePool":
        if value != 0:
            return f"it pads with {value:g}, {name} (AveragePool) with 0"
        if seen.padded and not view.attr(reader, "count_include_pad", 0):
            return f"{name} leaves its own padding out of the average"
        return ""
    if any(d != 1 for d in seen.dilations):
        return f"{name} is dilated, so that a window could hold padding only"
    if (indices := view.output_at(reader, 1)) is not None and indices.outputs:
        return f"the indices {indices.name!r} of {name} count the padding"
    if value == 0 and not ranges.is_never_negative(source):
        return f"{name} (MaxPool) pads with the lowest value, and {source.name!r} may be below 0"
    if value != 0 and value > _lowest(source):
        return f"it pads with {value:g}, {name} (MaxPool) with the lowest value"
    return ""


def _lowest(tensor: Tensor) -> float:
    kind = view.dtype(tensor)
    return float(np.finfo(kind).min) if kind is not None and kind.kind == "f" else float("-inf")

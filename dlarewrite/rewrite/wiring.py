"""Channels as wires: which channel of which tensor each channel of an NCHW tensor is.

Concat, Split, Slice and Gather along C, and chains of Reshapes and Transposes that shuffle channels, compute nothing. A
tensor behind them is a list of wires; what reads it can often take the wires in another order (a convolution permutes
its weights), so that most of the movement is not needed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import attr, axis, constant_value, input_at, ints, is_constant, is_op, producer, shape
from dlarewrite.rewrite import emit, forms

Ints = npt.NDArray[np.int64]

_LARGEST = 1 << 23
"""Elements of a tensor whose indices are followed through a chain."""
POINTWISE = ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Clip", "HardSigmoid", "HardSwish", "Elu", "Softplus", "Abs")
"""Activations, which work on each element by itself: behind them a shuffle of channels is the same as before them."""

_INWARD, _OUTWARD = (0, 2, 3, 1), (0, 3, 1, 2)
_STEPS = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten")
_CHOICES = ("Gather", "Split", "Slice")


@dataclass(frozen=True)
class Wires:
    """Channel i is channel ``channels[i]`` of source ``sources[i]``; sources are numbered by whoever uses them."""

    sources: Ints
    channels: Ints

    def __len__(self) -> int:
        return len(self.channels)

    def pick(self, rows: Ints) -> Wires:
        return Wires(self.sources[rows], self.channels[rows])

    def runs(self) -> list[tuple[int, int, int]]:
        """(source, first, end) of each longest range of consecutive channels of one source, in order."""
        if not len(self):
            return []
        breaks = np.flatnonzero((np.diff(self.sources) != 0) | (np.diff(self.channels) != 1)) + 1
        edges = [0, *breaks.tolist(), len(self)]
        return [
            (int(self.sources[a]), int(self.channels[a]), int(self.channels[a]) + b - a)
            for a, b in itertools.pairwise(edges)
        ]

    def sorting(self, group: int = 1) -> Ints:
        """The order that sorts the wires within each of ``group`` equal parts: the fewest runs."""
        size = len(self) // group
        keys = np.arange(len(self)) // size
        return np.lexsort((self.channels, self.sources, keys)).astype(np.int64)


def joined(parts: Sequence[Wires]) -> Wires:
    """The wires of a Concat."""
    return Wires(np.concatenate([p.sources for p in parts]), np.concatenate([p.channels for p in parts]))


def joins(node: gs.Node) -> bool:
    """Whether the node is a Concat of activations along C."""
    if not is_op(node, "Concat") or len(shape(node.outputs[0]) or ()) != 4 or any(map(is_constant, node.inputs)):
        return False
    return axis(int(attr(node, "axis", 1)), 4) == 1


@dataclass(frozen=True)
class Shuffle:
    """Nodes that only choose and reorder the channels of ``x``.

    Each end is a tensor and the channels of x that it holds; those in ``turned`` hold them channels-last.
    """

    x: gs.Tensor
    nodes: tuple[gs.Node, ...]
    ends: tuple[tuple[gs.Tensor, Ints], ...]
    turned: tuple[tuple[gs.Tensor, Ints], ...] = ()


def chosen(node: gs.Node, opset: int) -> list[Ints] | None:
    """The channels that each output of a Split, Slice or Gather along C of an NCHW tensor takes.

    None for anything else.
    """
    form = shape(input_at(node, 0))
    if form is None or len(form) != 4 or is_constant(input_at(node, 0)):
        return None
    every = np.arange(form[1])
    if is_op(node, "Split") and axis(int(attr(node, "axis", 0)), 4) == 1:
        sizes = [(shape(t) or (0, 0))[1] for t in node.outputs]
        return np.split(every, np.cumsum(sizes)[:-1]) if sum(sizes) == form[1] else None
    if is_op(node, "Gather") and axis(int(attr(node, "axis", 0)), 4) == 1:
        held = constant_value(input_at(node, 1))
        return [every[held.astype(np.int64)]] if held is not None and held.ndim == 1 else None
    if is_op(node, "Slice"):
        cuts = forms.read_slice(node, opset)
        return [every[cuts[1]]] if cuts is not None and set(cuts) == {1} else None
    return None


def read_shuffle(first: gs.Node, model: Model) -> Shuffle | None:
    """The shuffle that starts with a Reshape of an NCHW tensor, or with its Transpose to channels last; else None.

    Every path from there has to come back to an NCHW tensor with the same N, H and W whose channels are channels of the
    input, or where none does, to such a tensor channels-last; nothing on the way may be read by anything else.
    """
    form = shape(input_at(first, 0))
    if form is None or len(form) != 4 or math.prod(form) > _LARGEST or 0 in form or is_constant(first.inputs[0]):
        return None
    if is_op(first, "Reshape"):
        return _walk(first, model, form, last=False)
    readers = first.outputs[0].outputs
    if not is_op(first, "Transpose") or ints(first, "perm") != _INWARD or not readers:
        return None
    if any(not is_op(r, "Reshape") or len(shape(r.outputs[0]) or ()) < 5 for r in readers):
        return None
    return _walk(first, model, form, last=False) or _walk(first, model, form, last=True)


def _walk(first: gs.Node, model: Model, form: tuple[int, ...], *, last: bool) -> Shuffle | None:
    """The shuffle from its first node on; with ``last``, it ends where it comes back channels-last."""
    nodes: list[gs.Node] = []
    ends: list[tuple[gs.Tensor, Ints]] = []
    turned: list[tuple[gs.Tensor, Ints]] = []
    places = np.arange(math.prod(form), dtype=np.int32).reshape(form)
    work: list[tuple[gs.Node, npt.NDArray[np.int32]]] = [(first, places)]
    while work:
        node, held = work.pop()
        made = _follow(node, held, model.opset)
        if made is None:
            return None
        nodes.append(node)
        for tensor, values in zip(node.outputs, made, strict=True):
            channels = _channels(values, form) if len(nodes) > 1 else None
            back = last and channels is None and values.ndim == 4 and len(nodes) > 2
            inward = _channels(values.transpose(_OUTWARD), form) if back else None
            if channels is not None:
                ends.append((tensor, channels))
            elif inward is not None:
                turned.append((tensor, inward))
            elif model.is_pinned(tensor) or not tensor.outputs or len(nodes) > 12:
                return None
            else:
                work.extend((reader, values) for reader in {id(r): r for r in tensor.outputs}.values())
    return Shuffle(first.inputs[0], tuple(nodes), tuple(ends), tuple(turned))


def _follow(node: gs.Node, held: npt.NDArray[np.int32], opset: int) -> list[npt.NDArray[np.int32]] | None:
    """The indices behind one node of the chain, or None where it is no node of a chain."""
    forms_ = [shape(t) for t in node.outputs]
    if not is_op(node, *_STEPS, *_CHOICES) or any(f is None for f in forms_):
        return None
    form = forms_[0] or ()
    if is_op(node, "Transpose"):
        return [held.transpose(ints(node, "perm", tuple(range(held.ndim))[::-1]))]
    if is_op(node, *_STEPS):
        return [held.reshape(form)] if math.prod(form) == held.size else None
    where = axis(int(attr(node, "axis", 0)), held.ndim)
    if is_op(node, "Split"):
        sizes = [(f or ())[where] for f in forms_]
        return np.split(held, np.cumsum(sizes)[:-1], axis=where) if sum(sizes) == held.shape[where] else None
    if is_op(node, "Gather"):
        indices = constant_value(input_at(node, 1))
        return [held.take(indices.astype(np.int64), axis=where)] if indices is not None and indices.ndim < 2 else None
    cuts = forms.read_slice(node, opset)
    return [held[tuple(cuts.get(a, slice(None)) for a in range(held.ndim))]] if cuts is not None else None


def _channels(values: npt.NDArray[np.int32], form: tuple[int, ...]) -> Ints | None:
    """Which channels of the input these are, where they are whole channels of it."""
    if values.ndim != 4 or values.shape[0] != form[0] or values.shape[2:] != form[2:]:
        return None
    plane = form[2] * form[3]
    channels = (values[0, :, 0, 0] // plane).astype(np.int64)
    wanted = np.arange(math.prod(form), dtype=np.int32).reshape(form)[:, channels]
    return channels if np.array_equal(values, wanted) else None


def upstream(tensor: gs.Tensor, numbers: dict[int, int], sources: list[gs.Tensor | None], opset: int) -> Wires:
    """The wires of a tensor, followed up through Concat, Split, Slice and Gather along C; new sources are numbered."""
    maker = producer(tensor)
    if maker is not None and joins(maker):
        return joined([upstream(t, numbers, sources, opset) for t in maker.inputs])
    rows = chosen(maker, opset) if maker is not None else None
    if maker is not None and rows is not None:
        place = next(i for i, t in enumerate(maker.outputs) if t is tensor)
        return upstream(maker.inputs[0], numbers, sources, opset).pick(rows[place])
    if id(tensor) not in numbers:
        numbers[id(tensor)] = len(sources)
        sources.append(tensor)
    count = (shape(tensor) or (1, 1))[1]
    return Wires(np.full(count, numbers[id(tensor)]), np.arange(count))


class Maker:
    """Makes tensors from wires, by at most ``most`` Slices and a Concat, or a one-hot 1x1 Conv.

    What was made is read again.
    """

    def __init__(self, edit: Editor, sources: dict[int, gs.Tensor | None], most: int) -> None:
        self.edit = edit
        self.sources = sources
        self.most = most
        self.cuts: dict[tuple[int, int, int], gs.Tensor] = {}
        self.made: dict[tuple[tuple[int, int, int], ...], gs.Tensor] = {}

    def tensor(self, wires: Wires) -> gs.Tensor:
        runs = tuple(wires.runs())
        if runs not in self.made:
            self.made[runs] = self.make(wires, runs)
        return self.made[runs]

    def make(self, wires: Wires, runs: tuple[tuple[int, int, int], ...]) -> gs.Tensor:
        if len(runs) > max(self.most, 1) or (not self.most and any(not self.whole(run) for run in runs)):
            return self.picked(wires)
        return self.joined([self.cut(run) for run in runs])

    def whole(self, run: tuple[int, int, int]) -> bool:
        return (run[1], run[2]) == (0, (shape(self.sources[run[0]]) or (0, 0))[1])

    def cut(self, run: tuple[int, int, int]) -> gs.Tensor:
        number, first, end = run
        source = self.sources[number]
        if source is None:
            raise ValueError("a source is used before it is made")
        if self.whole(run):
            return source
        if run not in self.cuts:
            self.cuts[run] = emit.slice_(self.edit, source, [first], [end], [1])
        return self.cuts[run]

    def joined(self, parts: list[gs.Tensor]) -> gs.Tensor:
        return parts[0] if len(parts) == 1 else self.edit.op("Concat", parts, {"axis": 1})

    def picked(self, wires: Wires) -> gs.Tensor:
        """By a one-hot 1x1 Conv of all sources side by side."""
        numbers = sorted(set(wires.sources.tolist()))
        counts = [(shape(self.sources[n]) or (0, 0))[1] for n in numbers]
        offsets = dict(zip(numbers, np.cumsum([0, *counts[:-1]]), strict=True))
        rows = [int(offsets[s] + c) for s, c in zip(wires.sources.tolist(), wires.channels.tolist(), strict=True)]
        every = self.joined([self.cut((n, 0, count)) for n, count in zip(numbers, counts, strict=True)])
        return every if rows == list(range(sum(counts))) else forms.pick_channels(self.edit, every, rows)

"""Repetitions that give each pixel several times become nearest Resizes.

What it does: a chain of Reshapes, Transposes and repetitions (Tile, Expand, Concat of one tensor, Gather of each index
    several times, Mul by ones of a larger shape) between tensors of rank 4, or 3, that repeats each element of H and W
    (or L) -> nearest Resizes of the NCHW tensor, between Transposes where the chain works channels-last. Where it
    repeats each channel instead -> a 1x1 Conv with one-hot rows.
Law: element j of an axis that is repeated r times is element floor(j / r) of the axis before. Where each element comes
    from is followed through the chain, node by node; only what is a repetition of whole axes is taken.
Numerics: EXACT - a Resize copies, and 1 * x = x.
Scales: the result inherits the scale of the tensor that is repeated.
Fires: on static shapes, where one to all axes but N and C (or C alone) are repeated by factors whose primes are at most
    32, and the tensors between are read by nobody else.
Refuses: a chain with a tensor between that others read; a factor with a larger prime.
Source: ONNX operators Tile, Expand, Concat, Gather; NODLA, GEN-RANK, RSZ-NEAR; the upsampling layer of Keras,
    repeat_interleave.
Example: Reshape [1,8,4,1,4,1], Expand [1,8,4,2,4,2], Reshape [1,8,8,8] -> Resize x2
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, atoms, emit, forms, view

_MOST = 16
"""Nodes of a chain."""

_PLACES = {4: ((0, 1, 2, 3), (0, 3, 1, 2)), 3: ((0, 1, 2), (0, 2, 1))}
"""The axes of N, C and space, channels first and channels last, by rank."""


@dataclass(frozen=True)
class Repeat:
    """``order``: the source's axes as N, C, space; ``times``: of each of these; ``back``: their places at the end."""

    source: Tensor
    output: Tensor
    order: tuple[int, ...]
    times: tuple[int, ...]
    back: tuple[int, ...]


@dataclass(frozen=True)
class RepeatPixels(Pass[Repeat]):
    """Reshape, Tile or Expand, Reshape -> nearest Resize."""

    name: ClassVar[str] = "repeat-pixels"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = atoms.REPEATS

    def match(self, node: Node, context: Context) -> Match[Repeat] | Refusal | None:
        if not _repeats(node):
            return None
        below = _below(node, context)
        near: Refusal | None = None
        for above in _above(node, context):
            found = above if isinstance(above, Refusal) else _longest(above, below)
            if isinstance(found, Match):
                return found
            near = near or found
        return near

    def apply(self, match: Match[Repeat], edit: Editor) -> None:
        found = match.facts
        x = emit.transpose(edit, found.source, found.order)
        if found.times[1] > 1:
            rows = np.arange(int(x.shape[1])).repeat(found.times[1]).tolist()
            made: Tensor = forms.pick_channels(edit, x, rows)
        elif len(found.order) == 3:
            batch, channels, length = view.shape(x) or ()
            flat = emit.reshape(edit, x, (batch, channels, 1, length))
            wide = forms.repeat_pixels(edit, flat, 1, found.times[2])
            made = emit.reshape(edit, wide, (batch, channels, length * found.times[2]))
        else:
            made = forms.repeat_pixels(edit, x, *found.times[2:])
        edit.replace_uses(found.output, emit.transpose(edit, made, found.back))


def _repeats(node: Node) -> bool:
    """Whether the node repeats what it reads, and moves nothing else."""
    x = atoms.moved(node)
    before, after = view.shape(x), view.shape(node.outputs[0])
    if before is None or after is None or 0 in before or view.is_constant(x) or not view.is_float(x):
        return False
    return math.prod(before) < math.prod(after) and atoms.follow(atoms.whole(before), node) is not None


def _above(node: Node, context: Context) -> Iterator[list[Node] | Refusal]:
    """The chains from a tensor of rank 4 or 3 down to the node, the shortest first."""
    nodes = [node]
    while True:
        x = atoms.moved(nodes[0])
        if view.rank(x) in _PLACES:
            yield nodes
        maker = view.producer(x)
        if maker is None or len(nodes) == _MOST or not view.is_op(maker, "Transpose", *atoms.RESHAPES):
            return
        others = [view.label(r) for r in view.consumers(x) if r is not nodes[0]]
        if others or context.model.is_pinned(x):
            if view.rank(x) not in _PLACES:
                yield Refusal(f"{', '.join(others) or 'the graph output'} reads what it repeats", (maker, node))
            return
        nodes = [maker, *nodes]


def _below(node: Node, context: Context) -> list[Node]:
    """The chain below the node, as long as nobody else reads it."""
    nodes: list[Node] = []
    while len(nodes) < _MOST:
        output = node.outputs[0]
        readers = view.consumers(output)
        if len(readers) != 1 or context.model.is_pinned(output):
            break
        node = readers[0]
        if not view.is_op(node, "Transpose", *atoms.RESHAPES, *atoms.REPEATS) or atoms.moved(node) is not output:
            break
        nodes.append(node)
    return nodes


def _longest(above: Sequence[Node], below: Sequence[Node]) -> Match[Repeat] | Refusal | None:
    """The repetition by the longest chain that is one; a single node counts where no other pass takes it."""
    first = view.shape(atoms.moved(above[0]))
    held = None if first is None else atoms.whole(first)
    nodes: list[Node] = []
    best: Match[Repeat] | Refusal | None = None
    for step in (*above, *below):
        held = None if held is None else atoms.follow(held, step)
        if held is None:
            break
        nodes.append(step)
        if len(nodes) >= len(above) and (len(nodes) > 1 or view.is_op(step, "Gather", "Mul")):
            best = _read(nodes, held) or best
    return best


def _read(nodes: Sequence[Node], held: atoms.Axes) -> Match[Repeat] | Refusal | None:
    """The repetition that the chain is, where it is one."""
    source, output = atoms.moved(nodes[0]), nodes[-1].outputs[0]
    form = view.shape(source) or ()
    found = _axes(form, held) if len(form) == len(held.axes) else None
    if found is None:
        return None
    places, times = found
    order = _order(nodes, times)
    if order is None:
        return None
    if any(forms.scale_factors(n) is None for n in times):
        return Refusal(f"it repeats elements {max(times)} times, which no scales of at most 32 make", tuple(nodes))
    back = tuple(order.index(p) for p in places)
    facts = Repeat(source, output, order, tuple(times[a] for a in order), back)
    return Match(tuple(nodes), facts, f"{list(form)} -> {list(held.shape)}")


def _axes(form: tuple[int, ...], held: atoms.Axes) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """(the source's axis that each axis comes from, how often each axis of the source is repeated), or None."""
    strides = {axis[0]: i for i, axis in enumerate(atoms.whole(form).axes) if axis}
    spare = [i for i, size in enumerate(form) if size == 1]
    places, times = [], [1] * len(form)
    for axis in held.axes:
        moving = axis[0] if axis and axis[0][1] else None
        if len(axis) > 1 + (moving is not None) or (len(axis) == 2 and axis[1][1]):
            return None
        place = strides.get(moving) if moving is not None else spare.pop(0) if spare else None
        if place is None:
            return None
        places.append(place)
        times[place] = axis[-1][0] if axis and not axis[-1][1] else 1
    return tuple(places), tuple(times)


def _order(nodes: Sequence[Node], times: Sequence[int]) -> tuple[int, ...] | None:
    """The source's axes as N, C and space: what is repeated lies in space, or is C where nothing is turned around."""
    first, last = _PLACES[len(times)]
    if times[0] > 1 or max(times) == 1:
        return None
    if times[1] == 1:
        return first
    alone = len(times) == 4 and max(times[2:]) == 1
    beside = (view.producer(atoms.moved(nodes[0])), *view.consumers(nodes[-1].outputs[0]))
    if alone and not any(n is not None and view.is_op(n, "Transpose") for n in beside):
        return first
    return last if times[last[1]] == 1 else None

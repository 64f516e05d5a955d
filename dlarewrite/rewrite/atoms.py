"""Axes as lists of atoms: where the elements behind Reshapes, Transposes and repetitions come from.

An atom is (size, stride): so many steps of so many elements through the source, stride 0 where the same elements come
again. Each axis of a tensor is a list of atoms, the slowest first. No element is looked at, however large the tensor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.view import attr, axis, constant_value, input_at, ints, is_constant, is_op, shape

Atom = tuple[int, int]
RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
REPEATS = ("Expand", "Tile", "Concat", "Gather", "Mul")


@dataclass(frozen=True)
class Axes:
    """The atoms of each axis; an axis of size 1 has none."""

    axes: tuple[tuple[Atom, ...], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(math.prod(size for size, _ in atoms) for atoms in self.axes)

    def permuted(self, perm: Sequence[int]) -> Axes:
        """The axes of the transposed tensor."""
        return Axes(tuple(self.axes[p] for p in perm))

    def reshaped(self, form: Sequence[int]) -> Axes | None:
        """The axes of the reshaped tensor; None where an atom would be cut into unequal parts."""
        left = [atom for atoms in self.axes for atom in atoms]
        found = []
        for size in form:
            taken: list[Atom] = []
            wanted = size
            while wanted > 1 and left:
                many, stride = left.pop(0)
                part = math.gcd(many, wanted)
                if part not in (many, wanted):
                    return None
                taken.append((part, stride * (many // part)))
                wanted //= part
                if part != many:
                    left.insert(0, (many // part, stride))
            if wanted != 1:
                return None
            found.append(joined(taken))
        return None if left else Axes(tuple(found))

    def tiled(self, where: int, times: int) -> Axes:
        """The axes after the whole of axis ``where`` came ``times`` times, one after another."""
        return self._with(where, (times, 0), *self.axes[where])

    def stretched(self, where: int, times: int) -> Axes:
        """The axes after each element of axis ``where`` came ``times`` times in a row."""
        return self._with(where, *self.axes[where], (times, 0))

    def _with(self, where: int, *atoms: Atom) -> Axes:
        return Axes((*self.axes[:where], joined(atoms), *self.axes[where + 1 :]))


def whole(form: Sequence[int]) -> Axes:
    """The axes of a tensor that is its own source."""
    strides = [math.prod(form[i + 1 :]) for i in range(len(form))]
    return Axes(tuple(joined([atom]) for atom in zip(form, strides, strict=True)))


def follow(held: Axes, node: gs.Node) -> Axes | None:
    """The axes of what the node makes of a tensor with these; None where it does not only move or repeat elements."""
    form = shape(node.outputs[0])
    if form is None or 0 in form or not is_op(node, "Transpose", *RESHAPES, *REPEATS):
        return None
    if is_op(node, *RESHAPES):
        return held.reshaped(form)
    if is_op(node, "Transpose"):
        return held.permuted(ints(node, "perm", tuple(range(len(form)))[::-1]))
    if is_op(node, "Gather"):
        return _gathered(held, node)
    if is_op(node, "Concat"):
        same = all(t is node.inputs[0] for t in node.inputs)
        return held.tiled(axis(int(attr(node, "axis", 1)), len(form)), len(node.inputs)) if same else None
    if is_op(node, "Mul") and not _by_one(node):
        return None
    held = Axes(((),) * (len(form) - len(held.axes)) + held.axes)
    for where, (old, new) in enumerate(zip(held.shape, form, strict=True)):
        held = held.tiled(where, new // old) if new != old else held
    return held


def moved(node: gs.Node) -> gs.Tensor:
    """The tensor that such a node moves or repeats."""
    return node.inputs[1] if is_op(node, "Mul") and is_constant(node.inputs[0]) else node.inputs[0]


def _by_one(node: gs.Node) -> bool:
    """Whether a product has nothing but ones beside what it repeats by their shape."""
    pair = [constant_value(t) for t in node.inputs]
    return sum(v is None for v in pair) == 1 and all(v is None or bool((v == 1).all()) for v in pair)


def _gathered(held: Axes, node: gs.Node) -> Axes | None:
    """The axes behind a Gather of each element, so many times in a row, or of all of them, so many times."""
    indices = constant_value(input_at(node, 1))
    if indices is None or indices.ndim != 1 or is_constant(node.inputs[0]):
        return None
    where = axis(int(attr(node, "axis", 0)), len(held.axes))
    size = held.shape[where]
    every = np.arange(size)
    times, rest = divmod(indices.size, size)
    positive = np.where(indices < 0, indices + size, indices)
    if rest or times < 1:
        return None
    if np.array_equal(positive, every.repeat(times)):
        return held.stretched(where, times)
    return held.tiled(where, times) if np.array_equal(positive, np.tile(every, times)) else None


def joined(atoms: Sequence[Atom]) -> tuple[Atom, ...]:
    """The atoms without those of size 1, and neighbours that are one run (or one repetition) as one."""
    found: list[Atom] = []
    for size, stride in atoms:
        if size == 1:
            continue
        if found and found[-1][1] == stride * size:
            found[-1] = (found[-1][0] * size, stride)
        else:
            found.append((size, stride))
    return tuple(found)

"""How a rank-4 NCHW tensor carries a tensor of another rank or axis order: the same elements, axis for axis.

A :class:`Layout` gives, for each axis of the carried tensor, the axes of the carrier that it is made of, outermost
first. Carrier axes of size 1 belong to no axis. ``[N, C*H*W]`` carried by ``[N, C, H, W]`` has the places ``(0,), (1,
2, 3)``; NHWC carried by NCHW has ``(0,), (2,), (3,), (1,)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import Array
from dlarewrite.rewrite import emit

Dims = tuple[int, ...]
Places = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Layout:
    """``dims`` is the carrier's NCHW shape, ``places`` the carrier axes (size > 1 only) of each axis of the tensor.

    A fifth number in ``dims`` is the number of NCHW tensors that carry the tensor together
    (:mod:`~dlarewrite.rewrite.stacks`).
    """

    dims: Dims
    places: Places

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape of the carried tensor."""
        return tuple(math.prod(self.dims[a] for a in place) for place in self.places)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The carrier's axes of size > 1 in the order in which the tensor runs through them."""
        return tuple(a for place in self.places for a in place)

    @cached_property
    def straight(self) -> bool:
        """Whether tensor and carrier hold their elements in the same order: a Reshape leads from one to the other."""
        return self.order == tuple(sorted(self.order))

    @cached_property
    def identity(self) -> bool:
        """Whether tensor and carrier are the same tensor."""
        return self.straight and self.shape == self.dims

    @property
    def batched(self) -> bool:
        """Whether the carrier's axis 0 is the tensor's axis 0, or 1."""
        return self.dims[0] == 1 or bool(self.places and self.places[0] == (0,))

    def place(self, axis: int, prefer: int = 1) -> int | None:
        """The one carrier axis of a tensor axis; for an axis of size 1 an axis of size 1, ``prefer`` first, never 0.

        None where the axis is spread over several carrier axes, or no carrier axis of size 1 is free.
        """
        place = self.places[axis]
        if len(place) == 1:
            return place[0]
        if place:
            return None
        return next((a for a in (prefer, 3, 2, 1) if self.dims[a] == 1), None)

    def permuted(self, perm: Sequence[int]) -> Layout:
        """The layout of the transposed tensor on the same carrier."""
        return Layout(self.dims, tuple(self.places[p] for p in perm))

    def regrouped(self, shape: Sequence[int]) -> Layout | None:
        """The layout of the reshaped tensor on the same carrier, or None where a carrier axis would have to be cut."""
        axes = list(self.order)
        places = []
        for size in shape:
            place: list[int] = []
            while math.prod(self.dims[a] for a in place) < size and axes:
                place.append(axes.pop(0))
            if math.prod(self.dims[a] for a in place) != size:
                return None
            places.append(tuple(place))
        return None if axes else Layout(self.dims, tuple(places))

    def resized(self, changes: dict[int, int]) -> Layout:
        """The layout after carrier axes took the sizes ``changes``; the tensor axis of each keeps it.

        An axis that came from or went to size 1 keeps its tensor axis only through :meth:`with_place`.
        """
        dims = list(self.dims)
        for axis, size in changes.items():
            dims[axis] = size
        places = tuple(tuple(a for a in place if dims[a] != 1) for place in self.places)
        return Layout(tuple(dims), places)

    def with_place(self, axis: int, carrier: int) -> Layout:
        """The same with tensor axis ``axis`` at carrier axis ``carrier`` (nowhere where that has size 1)."""
        place = (carrier,) if self.dims[carrier] != 1 else ()
        return Layout(self.dims, tuple(place if i == axis else p for i, p in enumerate(self.places)))

    def without(self, axes: Sequence[int]) -> Layout:
        """The same without tensor axes (of size 1)."""
        return Layout(self.dims, tuple(p for i, p in enumerate(self.places) if i not in axes))

    def relay(self, values: Array) -> Array:
        """Values that broadcast against the tensor, as values that broadcast the same way against the carrier."""
        full: Array = values.reshape((1,) * (len(self.places) - values.ndim) + values.shape)
        split: list[int] = []
        for size, place in zip(full.shape, self.places, strict=True):
            split.extend((1,) * len(place) if size == 1 else tuple(self.dims[a] for a in place))
        order = self.order
        ranked: Array = full.reshape(split).transpose([order.index(a) for a in sorted(order)])
        dims = iter(ranked.shape)
        whole: Array = ranked.reshape([next(dims) if a in order else 1 for a in range(len(self.dims))])
        return whole


def layout(dims: Sequence[int], places: Sequence[Sequence[int]]) -> Layout:
    """A layout from places that may name carrier axes of size 1."""
    return Layout(tuple(dims), tuple(tuple(a for a in place if dims[a] != 1) for place in places))


def natural(shape: Sequence[int], *, channels_last: bool = False) -> Layout | None:
    """The layout that a tensor of rank 1 to 4 has unless its surroundings say otherwise.

    NCHW, NCL, NC, or NHWC, NLC.
    """
    return _natural(tuple(shape), channels_last)


@cache
def _natural(shape: tuple[int, ...], channels_last: bool) -> Layout | None:
    if not 1 <= len(shape) <= 4:
        return None
    first = {1: (1,), 2: (0, 1), 3: (0, 1, 3), 4: (0, 1, 2, 3)}
    last = {1: (1,), 2: (0, 1), 3: (0, 3, 1), 4: (0, 2, 3, 1)}
    places = (last if channels_last else first)[len(shape)]
    dims = [1, 1, 1, 1]
    for size, axis in zip(shape, places, strict=True):
        dims[axis] = size
    return layout(dims, [(a,) for a in places])


def enter(edit: Editor, tensor: gs.Tensor, how: Layout) -> gs.Tensor:
    """The carrier of a tensor: Reshape, Transpose, Reshape, as far as they are needed."""
    if how.straight:
        return emit.reshape(edit, tensor, how.dims)
    sizes, axes = _four(how)
    split = emit.reshape(edit, tensor, sizes)
    return emit.reshape(edit, emit.transpose(edit, split, [axes.index(a) for a in range(4)]), how.dims)


def leave(edit: Editor, carrier: gs.Tensor, how: Layout) -> gs.Tensor:
    """The tensor that a carrier carries: Transpose and Reshape, as far as they are needed."""
    if how.straight:
        return emit.reshape(edit, carrier, how.shape)
    return emit.reshape(edit, emit.transpose(edit, carrier, _four(how)[1]), how.shape)


def crossing(how: Layout) -> int:
    """How many Reshapes and Transposes lead from the carrier to the tensor, or back."""
    if how.identity:
        return 0
    return 1 if how.straight else 1 + (tuple(_four(how)[0]) != how.shape)


def _four(how: Layout) -> tuple[list[int], list[int]]:
    """The tensor cut into four axes, and the carrier axis of each; rank 4 keeps its axes of size 1 where they are."""
    spare = [a for a in range(4) if how.dims[a] == 1]
    axes: list[int] = []
    if len(how.places) == 4 and all(len(p) <= 1 for p in how.places):
        for place in how.places:
            axes.append(place[0] if place else spare.pop(0))
    else:
        axes = ([spare.pop(0)] if spare and spare[0] == 0 else []) + list(how.order)
        axes += spare
    return [how.dims[a] for a in axes], axes

"""Cuts pooling windows into steps that the DLA's pooling unit has: pure arithmetic, one spatial axis at a time.

A step is a window of at most 8 elements at a stride of at most 16 with pads of at most 7 (POOL-WIN, POOL-STRIDE,
POOL-PAD). A plan is a tuple of steps, first to last; None says that no exact plan exists.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

WINDOW = 8
STRIDE = 16
PAD = 7


@dataclass(frozen=True)
class Step:
    """One pooling along one axis; ``begin`` and ``end`` are pads in elements."""

    kernel: int
    stride: int = 1
    begin: int = 0
    end: int = 0

    def length(self, size: int) -> int:
        """How many windows the step has over ``size`` elements."""
        return (size + self.begin + self.end - self.kernel) // self.stride + 1


Plan = tuple[Step, ...]


@dataclass(frozen=True)
class Axis:
    """A pooling window along one axis: ``count`` windows over ``size`` elements, ``begin`` pads in front.

    What lies behind the last window's end is never read, so end pads follow from ``count``.
    """

    size: int
    kernel: int
    stride: int
    begin: int
    count: int

    @property
    def end(self) -> int:
        """The end pads that ``count`` windows need at least."""
        return max(0, (self.count - 1) * self.stride + self.kernel - self.begin - self.size)

    @property
    def single(self) -> Plan | None:
        """The window as one step, where the limits allow it."""
        excess, stride = self.size + self.begin + self.end - self.kernel, self.stride
        if self.count == 1 and (stride > STRIDE or stride <= excess):
            # A lone window has no neighbour: any stride that leaves it alone does.
            stride = excess + 1
        if self.kernel > WINDOW or stride > STRIDE or max(self.begin, self.end) > PAD:
            return None
        return (Step(self.kernel, stride, self.begin, self.end),)


def factors(size: int) -> tuple[int, ...] | None:
    """The fewest factors of at most 8 whose product is ``size``, largest first; None for a prime factor above 7."""
    if size <= WINDOW:
        return (size,) if size > 1 else ()
    if all(size % prime for prime in (2, 3, 5, 7)):
        return None
    found: tuple[int, ...] | None = None
    for first in range(WINDOW, 1, -1):
        rest = factors(size // first) if size % first == 0 else None
        if rest is not None and (found is None or len(rest) + 1 < len(found)):
            found = tuple(sorted((first, *rest), reverse=True))
    return found


def tile_plan(size: int) -> Plan:
    """Steps of kernel = stride that leave one element of ``size``: equal tiles, else as few as zero pads make do."""
    exact = factors(size)
    if exact is not None:
        return tuple(Step(k, k) for k in exact)
    best: tuple[tuple[int, int, int], Plan] | None = None
    for tile in range(WINDOW, 1, -1):
        pads = -size % tile
        step = Step(tile, tile, pads // 2, pads - pads // 2)
        plan = (step, *tile_plan(step.length(size)))
        rank = (len(plan), sum(s.begin != s.end for s in plan), math.prod(s.kernel for s in plan))
        if best is None or rank < best[0]:
            best = (rank, plan)
    return best[1] if best is not None else ()


def average_plan(axis: Axis) -> Plan | None:
    """Steps whose averages (pads counted as zeros) compose to the window's: equal tiles, then a window over tiles."""
    if axis.kernel == 1 and axis.stride == 1:
        return ()
    if axis.single is not None:
        return axis.single
    best: Plan | None = None
    for tile in range(WINDOW, 1, -1):
        if axis.kernel % tile or (axis.count > 1 and axis.stride % tile):
            continue
        outer, begin = divmod(axis.begin, tile)
        stride = axis.stride // tile if axis.count > 1 else max(1, axis.kernel // tile)
        needed = (axis.count - 1) * stride - outer + axis.kernel // tile
        made = min(needed, -(-(axis.size + begin) // tile))
        step = Step(tile, tile, begin, max(0, made * tile - begin - axis.size))
        inner = Axis(step.length(axis.size), axis.kernel // tile, stride, outer, axis.count)
        rest = average_plan(inner)
        if rest is not None and (best is None or len(rest) + 1 < len(best)):
            best = (step, *rest)
    return best


def max_plan(axis: Axis) -> Plan | None:
    """Steps whose maxima compose to the window's; pads count as minus infinity and windows may overlap."""
    if axis.kernel == 1 and axis.stride == 1:
        return ()
    if axis.single is not None:
        return axis.single
    if axis.count == 1 and axis.begin >= 0 and axis.kernel - axis.begin >= axis.size:
        return whole_plan(axis.size)
    best = _thinning(axis)
    even = _even(axis)
    if even is not None and (best is None or len(even) < len(best)):
        best = even
    return best


def whole_plan(size: int) -> Plan:
    """Steps that take the maximum over the whole axis without pads, by windows that overlap where they must."""
    steps: list[Step] = []
    while size > 1:
        count = -(-size // WINDOW)
        while size - (count - 1) * (size // count) > WINDOW:
            count += 1
        stride = size // count
        steps.append(Step(size - (count - 1) * stride, stride))
        size = count
    return tuple(steps)


def _thinning(axis: Axis) -> Plan | None:
    """A first step at a divisor of the stride, so that later ones work on less; no window narrower than its stride."""
    best: Plan | None = None
    for stride in range(min(WINDOW, axis.stride), 1, -1):
        if axis.stride % stride:
            continue
        widths = [k for k in range(WINDOW, stride - 1, -1) if (axis.kernel - k) % stride == 0 and k < axis.kernel]
        outer, begin = divmod(axis.begin, stride)
        if not widths:
            continue
        kernel = (axis.kernel - widths[0]) // stride + 1
        if outer >= kernel:
            outer, begin = kernel - 1, axis.begin - stride * (kernel - 1)
        last = (axis.count - 1) * (axis.stride // stride) - outer + kernel - 1
        made = min(last, (axis.size - 1 + begin) // stride) + 1
        step = Step(widths[0], stride, begin, max(0, (made - 1) * stride + widths[0] - begin - axis.size))
        if max(step.begin, step.end) > min(PAD, step.kernel - 1):
            continue
        rest = max_plan(Axis(step.length(axis.size), kernel, axis.stride // stride, outer, axis.count))
        if rest is not None and (best is None or len(rest) + 1 < len(best)):
            best = (step, *rest)
    return best


def _even(axis: Axis) -> Plan | None:
    """Windows of stride 1, as equal as can be, the last at the whole stride; pads are shared out in proportion."""
    reach = axis.kernel - 1
    parts = -(-reach // (WINDOW - 1))
    if axis.stride > STRIDE or max(axis.begin, axis.end) > reach:
        return None
    cuts = [reach * i // parts for i in range(parts + 1)]
    steps = []
    for low, high in itertools.pairwise(cuts):
        begin, end = (pads * high // reach - pads * low // reach for pads in (axis.begin, axis.end))
        steps.append(Step(high - low + 1, axis.stride if high == reach else 1, begin, end))
    return tuple(steps) if _fits(steps, axis) else None


def _fits(steps: Sequence[Step], axis: Axis) -> bool:
    """Whether every step has a window at all (pads far wider than the data leave none), the last ``count``."""
    size = axis.size
    for step in steps:
        size = step.length(size)
        if size < 1:
            return False
    return size == axis.count


def align(plans: Sequence[Plan]) -> tuple[tuple[Step, ...], ...]:
    """Plans of several axes as one cascade: per stage one step for each axis, idle axes filled with windows of 1."""
    depth = max(map(len, plans), default=0)
    return tuple(tuple(p[i] if i < len(p) else Step(1) for p in plans) for i in range(depth))


def attributes(stage: Sequence[Step]) -> dict[str, object]:
    """The ONNX attributes of one stage."""
    return {
        "kernel_shape": [s.kernel for s in stage],
        "strides": [s.stride for s in stage],
        "pads": [s.begin for s in stage] + [s.end for s in stage],
    }

"""Clips whose bounds the DLA lacks are shifted and scaled to Clip(0, b), or made of Relu.

What it does: Clip(x, a, b), and Max and Min with one scalar (pairs of them, and a Relu before, taken as one Clip) ->
    Relu; Mul, Add, Clip(0, (b - a)/s), Mul, Add; or with one bound only Relu(x - a) + a, b - Relu(b - x).
Law: clipping commutes with shifting and with scaling by a positive factor; s is a power of two, so scaling is exact.
Numerics: ROUNDING - adding and taking away a bound that is not 0 rounds; with lower bound 0 nothing does.
Scales: tensors behind a scaling by s have the old scale divided by s; the last one has that of the old output.
Fires: on float tensors of any rank, constant bounds.
Refuses: bounds that are computed, integer tensors, bounds beyond 127 that would have to be added (small values would
    lose their digits in FP16).
Source: ONNX Clip, Max, Min; ACT-CLIP-LO, ACT-CLIP-HI, EW-CONST, EW-MIN?.
Example: Clip(x, -1, 1) -> Add(Clip(Add(x, 1), 0, 2), -1)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, emit, view

_LARGEST = 127.0
_OPS = ("Clip", "Max", "Min")


@dataclass(frozen=True)
class Bounds:
    """A clip of ``x``; infinite where there is no bound."""

    x: Tensor
    low: float
    high: float


@dataclass(frozen=True)
class ClipBounds(Pass[Bounds]):
    """Clip(a, b), Max and Min with a scalar -> Clip(0, b) or Relu."""

    name: ClassVar[str] = "clip-bounds"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = _OPS

    def match(self, node: Node, context: Context) -> Match[Bounds] | Refusal | None:
        if node.op == "Clip" and any(_computed(view.input_at(node, i)) for i in (1, 2)):
            return Refusal("its bounds are computed", (node,))
        bounds = _bounds(node)
        if bounds is None:
            return None
        nodes = [node]
        readers = view.consumers(node.outputs[0])
        if len(readers) == 1 and view.is_op(readers[0], *_OPS) and not context.model.is_pinned(node.outputs[0]):
            outer = _bounds(readers[0])
            if outer is not None and max(bounds.low, outer.low) < min(bounds.high, outer.high):
                return None
        while True:
            before = view.producer(bounds.x)
            inner = _bounds(before) if before is not None else None
            if before is None or inner is None or len(bounds.x.outputs) != 1 or context.model.is_pinned(bounds.x):
                break
            low, high = max(bounds.low, inner.low), min(bounds.high, inner.high)
            if low >= high:
                break
            bounds = Bounds(inner.x, low, high)
            nodes.append(before)
        if (math.isinf(bounds.low) and math.isinf(bounds.high)) or bounds.low >= bounds.high:
            return None
        shift = bounds.high if math.isinf(bounds.low) else bounds.low
        if abs(shift) > _LARGEST:
            return Refusal(f"adding its bound {shift:g} would cost small values their digits in FP16", tuple(nodes))
        return Match(tuple(nodes), bounds, f"[{bounds.low:g}, {bounds.high:g}]")

    def apply(self, match: Match[Bounds], edit: Editor) -> None:
        x, low, high = match.facts.x, match.facts.low, match.facts.high
        if math.isinf(high):
            y = _add(edit, edit.op("Relu", [_add(edit, x, -low)]), low)
        elif math.isinf(low):
            y = _add(edit, _times(edit, edit.op("Relu", [_add(edit, _times(edit, x, -1.0), high)]), -1.0), high)
        else:
            size = _power(high - low)
            inner = _add(edit, _times(edit, x, 1.0 / size), -low / size)
            clip = emit.clip(edit, inner, 0.0, (high - low) / size)
            y = _add(edit, _times(edit, clip, size), low)
        edit.replace_uses(match.nodes[0].outputs[0], y)


def _computed(tensor: Tensor | None) -> bool:
    return tensor is not None and not view.is_constant(tensor)


def _bounds(node: Node) -> Bounds | None:
    """What a node clips, or None where it clips nothing by constants."""
    x = view.input_at(node, 0)
    if x is None or not view.is_float(node.outputs[0]):
        return None
    if view.is_op(node, "Relu"):
        return Bounds(x, 0.0, math.inf)
    if view.is_op(node, "Max", "Min") and len(node.inputs) == 2:
        return _one_sided(node)
    if not view.is_op(node, "Clip"):
        return None
    low, high = (_scalar(view.input_at(node, i)) for i in (1, 2))
    if (low is None and view.input_at(node, 1) is not None) or (high is None and view.input_at(node, 2) is not None):
        return None
    low = float(view.attr(node, "min", -math.inf)) if low is None else low
    high = float(view.attr(node, "max", math.inf)) if high is None else high
    largest = 65504.0 if view.dtype(x) == np.float16 else 3e38
    return Bounds(x, -math.inf if low <= -largest else low, math.inf if high >= largest else high)


def _one_sided(node: Node) -> Bounds | None:
    for x, other in (node.inputs, node.inputs[::-1]):
        bound = _scalar(other)
        if bound is None or not math.isfinite(bound) or view.is_constant(x):
            continue
        if (view.rank(x) or 0) >= len(other.shape):
            return Bounds(x, bound, math.inf) if node.op == "Max" else Bounds(x, -math.inf, bound)
    return None


def _scalar(tensor: Tensor | None) -> float | None:
    value = view.constant_value(tensor)
    return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None


def _power(width: float) -> float:
    """The power of two nearest to 1 that takes ``width`` into [1, 127]."""
    if width < 1.0:
        return float(2.0 ** math.floor(math.log2(width)))
    return float(2.0 ** max(0, math.ceil(math.log2(width / _LARGEST))))


def _add(edit: Editor, x: Tensor, value: float) -> Tensor:
    return x if value == 0.0 else edit.op("Add", [x, emit.scalar(edit, value, x, "shift")])


def _times(edit: Editor, x: Tensor, value: float) -> Tensor:
    return x if value == 1.0 else edit.op("Mul", [x, emit.scalar(edit, value, x, "factor")])

"""Parallel convolutions of one tensor that are summed become one convolution.

What it does: Add (or Sum) of Convs with the same input, stride, dilation and groups, of the input itself, and of
BatchNormalizations of it -> one Conv whose kernel is the sum of the kernels, laid over one another.
Law: W1 * x + W2 * x = (W1 + W2) * x, with smaller kernels framed by zeros and x = I * x.
Numerics: ROUNDING - kernels are summed in float64, products are formed in another order.
Scales: the sum keeps its own; the scales of the branches go with them.
Fires: where the merged kernel costs no more multiplications than the branches did, on any target.
Refuses: a branch that is read elsewhere, weights that are not constant, geometries that do not line up, or a
kernel that would cost more than the branches.
Source: the re-parameterisation of RepVGG and ACNet; sums of linear maps.
Example: Add(Add(Conv3x3(x), Conv1x1(x)), x) -> Conv3x3(x)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Phase, Refusal, Tensor, linear, view


@dataclass(frozen=True)
class Branch:
    """One summand as a convolution: weight [M, C / groups, ...] and bias [M] in float64; ``node`` None: x itself."""

    node: Node | None
    weight: view.Array
    bias: view.Array
    window: view.Window | None = None


@dataclass(frozen=True)
class Merged:
    """The one convolution; ``like`` is the layer that lends its type."""

    source: Tensor
    weight: view.Array
    bias: view.Array
    window: view.Window
    like: Node


@dataclass(frozen=True)
class RepVggMerge(Pass[Merged]):
    """Sum of parallel Convs, identity and BatchNormalization -> one Conv."""

    name: ClassVar[str] = "repvgg-merge"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    phase: ClassVar[Phase] = Phase.CLEAN
    after: ClassVar[tuple[str, ...]] = ("freeze-shapes",)
    anchors: ClassVar[tuple[str, ...]] = ("Add", "Sum")

    def match(self, node: Node, context: Context) -> Match[Merged] | Refusal | None:
        source = _source(node)
        if source is None or context.opset < 7:
            return None
        convs = [view.producer(t) for t in node.inputs if t is not source]
        for tensor, maker in zip((t for t in node.inputs if t is not source), convs, strict=True):
            if maker is None or any(view.shape(t) != view.shape(node.outputs[0]) for t in node.inputs):
                return None
            if reason := linear.other_reader(context.model, tensor, node):
                return Refusal(reason, (node, maker))
        lead = next(m for m in convs if m is not None and m.op == "Conv")
        found = _merge(node, source, lead, context)
        makers = tuple({id(m): m for m in convs if m is not None}.values())
        if found is None or isinstance(found, str):
            return None if found is None else Refusal(found, (node, *makers))
        kernel = "x".join(map(str, found.window.kernel))
        return Match((node, *makers), found, f"{len(node.inputs)} branches -> Conv {kernel}")

    def apply(self, match: Match[Merged], edit: Editor) -> None:
        node, merged = match.nodes[0], match.facts
        kind, name = view.dtype(merged.like.inputs[1]), view.label(merged.like)
        attrs = {
            "kernel_shape": list(merged.window.kernel),
            "strides": list(merged.window.strides),
            "dilations": list(merged.window.dilations),
            "pads": list(merged.window.pads),
            "group": merged.window.group,
        }
        operands: list[Tensor | None] = [merged.source, edit.constant(merged.weight, f"{name}.weight", kind)]
        if np.any(merged.bias):
            operands.append(edit.constant(merged.bias, f"{name}.bias", kind))
        edit.reform(node, "Conv", operands, attrs, name=merged.like.name)
        edit.sweep(match.nodes[1:])


def _source(node: Node) -> Tensor | None:
    """The tensor that all summands are made of, if there are two summands or more and one of them is a Conv of it."""
    if len(node.inputs) < 2:
        return None
    first = next((m for m in map(view.producer, node.inputs) if m is not None and view.is_op(m, "Conv")), None)
    source = None if first is None else view.input_at(first, 0)
    if source is None:
        return None
    for tensor in node.inputs:
        maker = view.producer(tensor)
        if tensor is source:
            continue
        if maker is None or not view.is_op(maker, "Conv", "BatchNormalization") or maker.inputs[0] is not source:
            return None
    return source


def _merge(node: Node, source: Tensor, lead: Node, context: Context) -> Merged | str | None:
    made, read = view.shape(node.outputs[0]), view.shape(source)
    shape = view.window(lead)
    layer = linear.layer_of(lead)
    if made is None or read is None or shape is None or layer is None or isinstance(layer, str):
        return layer if isinstance(layer, str) else None
    branches: list[Branch] = []
    for tensor in node.inputs:
        branch = _branch(tensor, source, shape, read[1], context)
        if isinstance(branch, str):
            return branch
        branches.append(branch)
    window = _common(branches, shape, read[2:], made[2:])
    if isinstance(window, str):
        return window
    weight = np.zeros((*layer.weight.shape[:2], *window.kernel))
    for branch in branches:
        weight[_place(branch, window)] += branch.weight
    bias = sum((b.bias for b in branches), np.zeros(layer.outputs))
    before = sum(b.weight[0].size for b in branches if b.node is not None and b.node.op == "Conv")
    if weight[0].size > before:
        return f"the merged kernel takes {weight[0].size} multiplications an element, the branches {before}"
    if reason := linear.misfit(layer, weight, bias):
        return reason
    return Merged(source, weight, bias, window, lead)


def _branch(tensor: Tensor, source: Tensor, shape: view.Window, channels: int, context: Context) -> Branch | str:
    """A summand as a convolution with the stride, dilation and groups of ``shape``."""
    maker = None if tensor is source else view.producer(tensor)
    if maker is not None and maker.op == "Conv":
        layer, window = linear.layer_of(maker), view.window(maker)
        if layer is None or isinstance(layer, str) or window is None:
            return layer if isinstance(layer, str) else f"the geometry of {view.label(maker)} is not known"
        if (window.strides, window.group) != (shape.strides, shape.group):
            return f"{view.label(maker)} has strides {window.strides} and {window.group} groups, its sibling others"
        return Branch(maker, layer.weight, layer.bias, window)
    if any(s != 1 for s in shape.strides):
        return f"the stride {shape.strides} leaves no identity"
    affine: linear.Affine | str = linear.Affine(np.ones(channels), np.zeros(channels))
    if maker is not None:
        affine = linear.statistics(maker, context.opset, channels)
    if isinstance(affine, str):
        return affine
    each = channels // shape.group
    weight = np.zeros((channels, each, *(1,) * len(shape.kernel)))
    weight[np.arange(channels), np.arange(channels) % each] = affine.scale.reshape(-1, *(1,) * len(shape.kernel))
    return Branch(maker, weight, affine.shift)


def _common(
    branches: list[Branch], shape: view.Window, read: tuple[int, ...], made: tuple[int, ...]
) -> view.Window | str:
    """The smallest window that holds all kernels, lined up by their pads."""
    dilations = []
    for axis in range(len(read)):
        found = {b.window.dilations[axis] for b in branches if b.window and b.window.kernel[axis] > 1}
        if len(found) > 1:
            return f"the kernels have different dilations, {sorted(found)}"
        dilations.append(found.pop() if found else 1)
    kernel, begin, end = [], [], []
    for axis, dilation in enumerate(dilations):
        spans = [(b.window.begin[axis], b.window.kernel[axis]) if b.window else (0, 1) for b in branches]
        front = max(pad for pad, _ in spans)
        if any((front - pad) % dilation for pad, _ in spans):
            return f"pads {[pad for pad, _ in spans]} do not line up at dilation {dilation}"
        taps = max(k + (front - pad) // dilation for pad, k in spans)
        kernel.append(taps)
        begin.append(front)
        least = max((made[axis] - 1) * shape.strides[axis] + (taps - 1) * dilation + 1 - read[axis] - front, 0)
        # Rounding down may leave a choice; pads that are equal on both sides are the better documented ones.
        end.append(front if least <= front < least + shape.strides[axis] else least)
    return view.Window(tuple(kernel), shape.strides, tuple(dilations), tuple(begin), tuple(end), shape.group)


def _place(branch: Branch, window: view.Window) -> tuple[slice, ...]:
    """Where the branch's kernel lies in the common one."""
    cuts = [slice(None), slice(None)]
    for axis, dilation in enumerate(window.dilations):
        pad, size = (branch.window.begin[axis], branch.window.kernel[axis]) if branch.window else (0, 1)
        start = (window.begin[axis] - pad) // dilation
        cuts.append(slice(start, start + size))
    return tuple(cuts)

"""Per-channel constants multiplied or added beside a Conv become part of its weights.

What it does: Mul, Div, Add, Sub or Neg with one constant a channel (or one in all) after a Conv, ConvTranspose or
Gemm, or before it, goes into weight and bias.
Law: a (W x + c) + b = (a W) x + (a c + b); W (a x + b) + c = (W a) x + (W b + c), the shift b only where no zero
padding is read.
Numerics: ROUNDING - folded in float64 and rounded once to the layer's type; products are formed in another order.
Scales: the output of the last of the two nodes keeps its own; the tensor in between, and its scale, go.
Fires: on any target, also on input normalisation in front of the first Conv.
Refuses: when the tensor in between is read elsewhere, when a shift would meet padding, when the weights are not
constant, for a division by zero, or where a weight would leave its type. c / x is no scale and is left alone.
Source: R21; Scale layers, N86 (EW-CONST).
Example: Add(Mul(Conv(x, W), s), b) -> Conv(x, W', b')
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Phase, Refusal, Tensor, linear, view


@dataclass(frozen=True)
class Fold:
    """The layer, and what it becomes; ``weight`` None: as it was. ``before``: the arithmetic comes first."""

    layer: linear.Layer
    source: Tensor
    weight: view.Array | None
    bias: view.Array
    before: bool


@dataclass(frozen=True)
class FoldScaleBias(Pass[Fold]):
    """Conv, ConvTranspose or Gemm beside Mul, Div, Add, Sub by per-channel constants -> one layer."""

    name: ClassVar[str] = "fold-scale-bias"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    phase: ClassVar[Phase] = Phase.CLEAN
    after: ClassVar[tuple[str, ...]] = ("freeze-shapes",)
    anchors: ClassVar[tuple[str, ...]] = ("Mul", "Div", "Add", "Sub", "Neg")

    def match(self, node: Node, context: Context) -> Match[Fold] | Refusal | None:
        place = _data_place(node)
        if place is None or context.opset < 7:
            return None
        behind = _behind(node, node.inputs[place], context)
        if isinstance(behind, Match):
            return behind
        ahead = _ahead(node, node.inputs[place], context)
        return ahead if isinstance(ahead, Match) or behind is None else behind

    def apply(self, match: Match[Fold], edit: Editor) -> None:
        (node, layer), fold = match.nodes, match.facts
        if fold.before:
            linear.recast(edit, layer, layer, fold.layer, fold.source, fold.weight, fold.bias)
        else:
            linear.recast(edit, node, layer, fold.layer, fold.source, fold.weight, fold.bias)
            edit.sweep([layer])


def _data_place(node: Node) -> int | None:
    """Which input is the data; the other one is constant."""
    if node.op == "Neg":
        return 0
    constant = [view.is_constant(t) for t in node.inputs]
    if constant == [False, True]:
        return 0
    return 1 if constant == [True, False] and node.op != "Div" else None


def _behind(node: Node, data: Tensor, context: Context) -> Match[Fold] | Refusal | None:
    """The layer comes first."""
    maker = view.producer(data)
    if maker is None or maker.op not in linear.LAYERS:
        return None
    affine = _affine(node, data)
    layer = linear.layer_of(maker) if affine is not None else None
    if affine is None or layer is None:
        return None
    if reason := layer if isinstance(layer, str) else linear.other_reader(context.model, data, node):
        return Refusal(reason, (node, maker))
    if isinstance(affine, str) or isinstance(layer, str):
        return Refusal(str(affine), (node, maker))
    weight, bias = layer.followed_by(affine)
    if reason := linear.misfit(layer, weight, bias):
        return Refusal(reason, (node, maker))
    fold = Fold(layer, maker.inputs[0], weight if affine.scales else None, bias, before=False)
    return Match((node, maker), fold)


def _ahead(node: Node, data: Tensor, context: Context) -> Match[Fold] | Refusal | None:
    """The arithmetic comes first."""
    made = node.outputs[0]
    reader = next((n for n in view.consumers(made) if view.input_at(n, 0) is made), None)
    if reader is None or reader.op not in linear.LAYERS or (reader.op == "Gemm" and view.attr(reader, "transA", 0)):
        return None
    affine = _affine(node, data)
    layer = linear.layer_of(reader) if affine is not None else None
    if affine is None or layer is None:
        return None
    if reason := layer if isinstance(layer, str) else linear.other_reader(context.model, made, reader):
        return Refusal(reason, (node, reader))
    if isinstance(affine, str) or isinstance(layer, str):
        return Refusal(str(affine), (node, reader))
    if affine.shifts and (reader.op == "ConvTranspose" or linear.is_padded(reader)):
        return Refusal(f"{view.label(reader)} pads with zeros, which the shift would have to move", (node, reader))
    weight, bias = layer.preceded_by(affine)
    if reason := linear.misfit(layer, weight, bias):
        return Refusal(reason, (node, reader))
    return Match((node, reader), Fold(layer, data, weight if affine.scales else None, bias, before=True))


def _affine(node: Node, data: Tensor) -> linear.Affine | str | None:
    """The node as a scale and a shift for each channel of ``data``, or None where its constant varies otherwise."""
    rank = view.rank(data)
    if rank is None or view.rank(node.outputs[0]) != rank:
        return None
    if node.op == "Neg":
        channels = view.shape(data)
        return None if channels is None or rank < 2 else linear.Affine(-np.ones(channels[1]), np.zeros(channels[1]))
    swapped = data is node.inputs[1]
    values = linear.per_channel(node.inputs[0 if swapped else 1], data)
    if values is None:
        return None
    one, none = np.ones_like(values), np.zeros_like(values)
    if node.op == "Mul":
        return linear.Affine(values, none)
    if node.op == "Div":
        return linear.Affine(1.0 / values, none) if np.all(values) else "its divisor holds a zero"
    if node.op == "Add":
        return linear.Affine(one, values)
    return linear.Affine(-one, values) if swapped else linear.Affine(one, -values)

"""A BatchNormalization beside a Conv becomes part of its weights.

What it does: Conv, ConvTranspose or Gemm followed by BatchNormalization -> one layer; the same for a
BatchNormalization right before a Conv or Gemm that reads no padding.
Law: BN(y) = a y + b with a = scale / sqrt(var + eps), b = bias - mean a; a (W x + c) + b = (a W) x + (a c + b);
W (a x + b) + c = (W a) x + (W b + c).
Numerics: ROUNDING - folded in float64 and rounded once to the layer's type; products are formed in another order.
Scales: the output keeps the BatchNormalization's; the tensor in between, and its scale, go.
Fires: on any target, static or symbolic batch, float16, float32 and float64, grouped layers included.
Refuses: when the layer's result is read elsewhere, weights or statistics are not constant, in training mode, with
statistics per element (spatial = 0), when the shift would meet padding, or where a weight would leave its type.
A BatchNormalization on its own stays: it is a Scale layer.
Source: ONNX operator BatchNormalization (opsets 1 to 15); R21.
Example: BatchNormalization(Conv(x, W), s, b, m, v) -> Conv(x, W', b')
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Phase, Refusal, linear, view


@dataclass(frozen=True)
class Fold:
    """The layer, and what it becomes; ``before``: the normalisation comes first."""

    layer: linear.Layer
    weight: view.Array
    bias: view.Array
    before: bool


@dataclass(frozen=True)
class FoldBatchNorm(Pass[Fold]):
    """Conv, ConvTranspose or Gemm beside BatchNormalization -> one layer."""

    name: ClassVar[str] = "fold-batchnorm"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    phase: ClassVar[Phase] = Phase.CLEAN
    anchors: ClassVar[tuple[str, ...]] = ("BatchNormalization",)

    def match(self, node: Node, context: Context) -> Match[Fold] | Refusal | None:
        behind = self._behind(node, context)
        if isinstance(behind, Match):
            return behind
        ahead = self._ahead(node, context)
        return ahead if isinstance(ahead, Match) or behind is None else behind

    def _behind(self, node: Node, context: Context) -> Match[Fold] | Refusal | None:
        """The layer comes first."""
        source = view.input_at(node, 0)
        maker = view.producer(source)
        layer = linear.layer_of(maker)
        if layer is None or maker is None or source is None:
            return None
        if isinstance(layer, str):
            return Refusal(layer, (node, maker))
        if reason := linear.other_reader(context.model, source, node):
            return Refusal(reason, (node, maker))
        affine = linear.statistics(node, context.opset, layer.outputs)
        if isinstance(affine, str):
            return Refusal(affine, (node, maker))
        weight, bias = layer.followed_by(affine)
        if reason := linear.misfit(layer, weight, bias):
            return Refusal(reason, (node, maker))
        return Match((node, maker), Fold(layer, weight, bias, before=False))

    def _ahead(self, node: Node, context: Context) -> Match[Fold] | Refusal | None:
        """The normalisation comes first."""
        made = node.outputs[0]
        reader = next((n for n in view.consumers(made) if view.input_at(n, 0) is made), None)
        layer = linear.layer_of(reader)
        if layer is None or reader is None or (reader.op == "Gemm" and view.attr(reader, "transA", 0)):
            return None
        if isinstance(layer, str):
            return Refusal(layer, (node, reader))
        if reason := linear.other_reader(context.model, made, reader):
            return Refusal(reason, (node, reader))
        affine = linear.statistics(node, context.opset, layer.inputs)
        if isinstance(affine, str):
            return Refusal(affine, (node, reader))
        if affine.shifts and (reader.op == "ConvTranspose" or linear.is_padded(reader)):
            return Refusal(f"{view.label(reader)} pads with zeros, which the shift would have to move", (node, reader))
        weight, bias = layer.preceded_by(affine)
        if reason := linear.misfit(layer, weight, bias):
            return Refusal(reason, (node, reader))
        return Match((node, reader), Fold(layer, weight, bias, before=True))

    def apply(self, match: Match[Fold], edit: Editor) -> None:
        (norm, layer), fold = match.nodes, match.facts
        if fold.before:
            linear.recast(edit, layer, layer, fold.layer, norm.inputs[0], fold.weight, fold.bias)
        else:
            linear.recast(edit, norm, layer, fold.layer, layer.inputs[0], fold.weight, fold.bias)
            edit.sweep([layer])

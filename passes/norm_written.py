"""Normalizations that are written out, in whatever layout, become those of a channels-first tensor.

What it does: the mean of a tensor, its variance about it, the root of that with epsilon and what they make of the
    tensor (in rank 5 for groups, channels-last, with or without gain and bias, as (x - m) / s or x g r + (b - m g r))
    -> the same on [N, C, H, W], in pools, 1x1 Convs and Newton's iteration, as norm-explicit emits it; a Transpose
    behind it where the result is channels-last.
Law: values are followed as polynomials in x, its mean m and r = 1 / sqrt(variance + epsilon); a tensor that holds
    g x r - g m r + b, with g and b of a channel each, is gain times normalized x plus bias.
Numerics: ROUNDING - means in another order, gain and bias worked together, the root to below a float's own rounding.
Scales: the mean has that of the input; the last tensor that of the old output; all others run in FP16.
Fires: on floats of static shape in FP16, [N, C, H, W] or [N, C, L], where the statistics are those of the whole map,
    of groups of channels, or of each pixel over the channels.
Refuses: INT8, as the iteration does not survive 8 bits; an epsilon below 2^-20, whose reciprocal FP16 cannot hold;
    groups of single values; what differs within a channel. Leaves tokens, [N, T, C] over C, to inverse-root.
Source: NODLA, GEN-RANK, RED-AVG, UNARY-NO, EW-DIV; the normalization layers of Keras; re-expression R18.
Example: Reshape [1,16,16,8,4], ReduceMean (1 2 4), Sub, Mul, ReduceMean, Add, Sqrt, Reciprocal, Mul, Mul, Add, Reshape
    -> AveragePool x2, Conv, Resize, Sub, Mul, AveragePool x2, Conv ...
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, normalizing, norms, root, view


@dataclass(frozen=True)
class NormWritten(Pass[norms.Written]):
    """Means, Sub, Mul, Sqrt, Div ... -> AveragePool, Conv, Relu, Mul, Add."""

    name: ClassVar[str] = "norm-written"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Sqrt", "Pow")

    def match(self, node: Node, context: Context) -> Match[norms.Written] | Refusal | None:
        if not view.is_float(node.outputs[0]):
            return None
        found = norms.read(node, context.model)
        if found is None or found.norm.single(found.dims):
            return None
        if context.target.precision.value == "int8":
            return Refusal("its variance and the root of it do not survive 8 bits", (node,))
        if found.norm.epsilon < root.SMALLEST:
            epsilon = f"{found.norm.epsilon:g}"
            return Refusal(f"its epsilon of {epsilon} is below 2^-20, the least whose reciprocal FP16 holds", (node,))
        return Match(found.nodes, found, found.norm.text)

    def apply(self, match: Match[norms.Written], edit: Editor) -> None:
        found = match.facts
        form = view.shape(found.x) or ()
        scaled = normalizing.emit(edit, emit.reshape(edit, found.x, found.dims), found.norm)
        result = emit.transpose(edit, emit.reshape(edit, scaled, form), found.perm)
        edit.replace_uses(found.output, result)

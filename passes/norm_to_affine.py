"""Normalizations by their own statistics become a multiplication and an addition with statistics measured before.

What it does: InstanceNormalization, GroupNormalization and LayerNormalization -> x * a + b with a = scale /
    sqrt(variance + epsilon) and b = bias - mean * a, where mean and variance come from a file.
Law: the normalization of a tensor that has this very mean and variance.
Numerics: LOSSY - the statistics are those of the calibration data, not of the input at hand.
Scales: the product takes the scale of the result.
Fires: on any target, only where lossy rewrites are allowed and a file of statistics is given (option
    statistics=PATH.npz). It holds ``NAME.mean`` and ``NAME.variance`` for the normalization's output tensor NAME: one
    value, or one a channel or group, of the tensor that it reads, averaged over calibration data.
Refuses: a normalization that the file does not hold, statistics of another number of channels, negative variances,
    scale and bias that are not constant.
Source: ONNX InstanceNormalization, GroupNormalization, LayerNormalization; NODLA, EW-CONST.
Example: InstanceNormalization(x, s, b) -> Add(Mul(x, a), c)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from zipfile import BadZipFile

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Phase, Refusal, UsageError, view


@dataclass(frozen=True)
class Scale:
    """y = factor * x + shift, both of the input's rank and broadcast against it, float64."""

    factor: view.Array
    shift: view.Array


@dataclass(frozen=True)
class NormToAffine(Pass[Scale]):
    """InstanceNorm, GroupNorm, LayerNorm with measured statistics -> Mul, Add."""

    name: ClassVar[str] = "norm-to-affine"
    numerics: ClassVar[Numerics] = Numerics.LOSSY
    bound: ClassVar[str] = "no bound: as far off as the input's mean and variance are from those in the file"
    phase: ClassVar[Phase] = Phase.CLEAN
    anchors: ClassVar[tuple[str, ...]] = ("InstanceNormalization", "GroupNormalization", "LayerNormalization")
    statistics: str = ""

    def __post_init__(self) -> None:
        """Raises UsageError at once where the file cannot be read."""
        if self.statistics:
            _load(self.statistics)

    def match(self, node: Node, context: Context) -> Match[Scale] | Refusal | None:
        if not self.statistics:
            return Refusal("no statistics are given (option statistics=PATH.npz)", (node,))
        known = context.memo.get((self.name, self.statistics))
        if known is None:
            known = context.memo[self.name, self.statistics] = _load(self.statistics)
        found = _scale(node, known)
        return Refusal(found, (node,)) if isinstance(found, str) else Match((node,), found)

    def apply(self, match: Match[Scale], edit: Editor) -> None:
        node, scale = match.nodes[0], match.facts
        x = node.inputs[0]
        kind = view.dtype(x)
        scaled = edit.op("Mul", [x, edit.constant(scale.factor, "factor", kind)])
        edit.replace_uses(node.outputs[0], edit.op("Add", [scaled, edit.constant(scale.shift, "shift", kind)]))


def _load(path: str) -> Mapping[str, view.Array]:
    try:
        with np.load(Path(path), allow_pickle=False) as held:
            return {name: np.asarray(held[name]) for name in held.files}
    except (OSError, ValueError, BadZipFile, AttributeError, TypeError) as error:
        hint = "an archive of NAME.mean and NAME.variance, as numpy.savez writes it"
        raise UsageError(f"norm-to-affine cannot read the statistics {path!r}: {error}", hint=hint) from error


def _scale(node: Node, known: Mapping[str, view.Array]) -> Scale | str:
    """The affine form of a normalization, or why it has none."""
    x, form = node.inputs[0], view.shape(node.inputs[0])
    gain, bias = view.constant_value(view.input_at(node, 1)), view.constant_value(view.input_at(node, 2))
    if form is None or len(form) < 2 or not view.is_float(x):
        return "the shape of its input is not static"
    if any(not view.is_constant(t) for t in node.inputs[1:] if t.name) or gain is None:
        return "its scale or bias is not constant"
    if any(t.name and (t.outputs or i) for i, t in enumerate(node.outputs) if i):
        return "its mean or deviation is an output too"
    name = str(node.outputs[0].name)
    mean, variance = (known.get(f"{name}.{part}") for part in ("mean", "variance"))
    if mean is None or variance is None:
        return f"the statistics hold no {name}.mean and {name}.variance"
    axis = view.axis(int(view.attr(node, "axis", -1)), len(form)) if node.op == "LayerNormalization" else 1
    channels = int(gain.size) if node.op == "LayerNormalization" else form[1]
    wide = [_spread(v, channels) for v in (mean, variance, gain, np.zeros(1) if bias is None else bias)]
    short = next((v.size for v, w in zip((mean, variance), wide, strict=False) if w is None), None)
    if short is not None or any(w is None for w in wide):
        return f"the statistics of {name} have {short} values for {channels} channels"
    mu, var, by, plus = (np.asarray(w, dtype=np.float64) for w in wide)
    if not np.all(np.isfinite(mu)) or not np.all(var >= 0) or not np.all(np.isfinite(var)):
        return f"the statistics of {name} hold a negative variance or a number that is not finite"
    factor = by / np.sqrt(var + float(view.attr(node, "epsilon", 1e-5)))
    if not np.all(np.isfinite(factor)):
        return f"the variance of {name} is zero and so is epsilon"
    dims = form[axis:] if node.op == "LayerNormalization" else (1, channels, *(1,) * (len(form) - 2))
    dims = tuple(gain.shape) if node.op == "LayerNormalization" else dims
    return Scale(factor.reshape(dims), (plus - mu * factor).reshape(dims))


def _spread(values: view.Array, channels: int) -> view.Array | None:
    """One value a channel from one in all, one a group or one a channel; None for any other number."""
    flat = values.reshape(-1)
    if flat.size == 0 or channels % flat.size:
        return None
    return np.repeat(flat, channels // flat.size)

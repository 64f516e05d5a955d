"""Scale and shift by constants, batch normalization."""

from __future__ import annotations

import functools

from dlarewrite.target.facts import ScaleFacts
from dlarewrite.target.limits import AtLeast, Must
from dlarewrite.target.rule import MATRIX_LIMIT, ORIN, Rule, Scope
from dlarewrite.target.rules.shared import rank
from dlarewrite.target.verdict import Evidence


def _statistics(facts: ScaleFacts) -> tuple[str, ...]:
    return ("" if facts.constant else "computed at run time",)


def _size(facts: ScaleFacts) -> tuple[str, ...]:
    return ("a full tensor",) if facts.mode == "elementwise" else ()


_D = Evidence.DOCUMENTED
_scale = functools.partial(Rule, layer="Scale", ops=("BatchNormalization", "Add", "Sub", "Mul", "Sum"))

RULES = (
    _scale(
        id="SCALE-MODE",
        title="Scale modes of the DLA: uniform, per channel, element-wise",
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        sources=("N86",),
        scope=Scope.MATRIX,
    ),
    _scale(
        id="SCALE-POW",
        title="A Scale has no power",
        quantity=("power",),
        limit=Must("1"),
        evidence=_D,
        sources=("N86",),
        scope=Scope.COVERED,
        explanation="No ONNX operator makes TensorRT's parser set another power.",
    ),
    _scale(
        id="SCALE-2D",
        title="Scale has two spatial dimensions",
        quantity=("number of dimensions",),
        limit=AtLeast(4),
        measure=rank,
        evidence=_D,
        sources=("LAT",),
        cure="lift-to-4d",
    ),
    _scale(
        id="SCALE-STATS",
        title="Batch normalization has constant statistics",
        ops=("BatchNormalization",),
        quantity=("statistics",),
        limit=Must("build-time constants"),
        measure=_statistics,
        evidence=Evidence.INFERRED,
        effect="uncertain",
        sources=("OT", "here"),
    ),
    _scale(
        id="SCALE-SIZE-O",
        title="Element-wise constants inflate an Orin loadable",
        quantity=("constant",),
        limit=Must("[1] or [1, C, 1, 1] to stay small (4 bytes an element, channels padded to 16 or 32)"),
        measure=_size,
        evidence=_D,
        effect="note",
        sources=("N86",),
        profiles=ORIN,
        explanation="Orin stores weights that are not a convolution's as FP19 in 4-byte cells.",
    ),
)

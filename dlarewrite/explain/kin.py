"""Sentences that nobody has quoted, but that TensorRT's other ones make likely: a refused parameter by its name."""

from __future__ import annotations

import re

from dlarewrite.explain.pattern import Pattern, Role
from dlarewrite.target import Evidence

_REFUSES = r"\b(?:only supports?|does not support|do not support|requires?|must be|not supported|exceeds?)\b"
_PARAMETERS = (
    (
        "padding",
        ("CONV-PAD", "CONV-PAD-LT", "DECONV-PAD", "POOL-PAD"),
        "/up/ConvTranspose: DLA only supports zero padding.",
    ),
    ("kernel", ("CONV-KERNEL", "DECONV-KERNEL", "DECONV-SQ23"), "/conv/Conv: DLA does not support this kernel size."),
    ("window", ("POOL-WIN", "LRN-WIN"), "/pool/MaxPool: DLA only supports window sizes up to 8."),
    (
        "stride",
        ("CONV-STRIDE", "DECONV-STRIDE", "DECONV-K=S", "POOL-STRIDE", "SLICE-STRIDE"),
        "/c: DLA requires stride 1.",
    ),
    ("dilation", ("CONV-DIL", "DECONV-DIL", "POOL-DIL"), "/up/ConvTranspose: DLA does not support dilation."),
    ("group", ("CONV-GROUPS", "DECONV-GROUP"), "/up/ConvTranspose: DLA does not support group deconvolution."),
    ("axis", ("SMAX-AXIS", "CAT-AXIS", "RED-AXES"), "/softmax/Softmax: DLA does not support softmax over this axis."),
    ("slope", ("ACT-NEGSLOPE", "PRELU-CONST", "PRELU-SHAPE"), "/act/PRelu: DLA requires constant slopes."),
)
KIN = tuple(
    Pattern(
        role=Role.REASON,
        id=f"parameter-{word}",
        literal="DLA",
        regex=re.compile(rf"^(?P<layer>\S.{{0,300}}?): (?=DLA )(?=.{{0,200}}?{_REFUSES}).{{0,200}}?\b{word}"),
        example=example,
        meaning=f"the DLA refuses the layer's {word}",
        rules=rules,
        evidence=Evidence.INFERRED,
        sources=("N86", "here"),
    )
    for word, rules, example in _PARAMETERS
)

"""INT8: scales and what explicit quantization does."""

from __future__ import annotations

import functools

from dlarewrite.target.limits import Must
from dlarewrite.target.rule import ALL, BOTH, INT8_ONLY, Rule, Scope
from dlarewrite.target.verdict import Evidence

_D = Evidence.DOCUMENTED
_IMPLICIT = ALL - {"O114"}
_q = functools.partial(
    Rule, layer="*", ops=(), evidence=_D, precisions=INT8_ONLY, profiles=_IMPLICIT, scope=Scope.CAVEAT
)

RULES = (
    _q(
        id="Q-SCALE-MISSING",
        title="A layer without scales runs in FP16",
        quantity=("scales of input and output",),
        limit=Must("known"),
        sources=("DLASW", "MO1661"),
    ),
    _q(
        id="Q-REGION",
        title="Scales are present throughout a region",
        quantity=("scales",),
        limit=Must("known for every tensor of a region to keep it INT8"),
        sources=("MO1661",),
    ),
    _q(
        id="Q-CALIBRATOR",
        title="The calibrator is EntropyCalibrator2",
        quantity=("calibrator",),
        limit=Must("EntropyCalibrator2"),
        sources=("HDR",),
    ),
    _q(
        id="Q-ROUND",
        title="The DLA rounds half away from zero",
        quantity=("rounding",),
        limit=Must("expected to differ from the GPU's (half to even)"),
        sources=("#2222",),
    ),
    _q(
        id="Q-SYM",
        title="Quantization is symmetric",
        quantity=("zero points",),
        limit=Must("0, per tensor for activations, per channel for weights"),
        sources=("DLASW",),
    ),
    _q(
        id="Q-AUTOFP16",
        title="Layers that leave INT8",
        quantity=("precision",),
        limit=Must("FP16 for Sigmoid, TanH, LRN, Softmax and Slice"),
        sources=("N86",),
        explanation="ACT-INT8-UP, LRN-FP16, SMAX-FP16 and SLICE-FP16 say it layer by layer.",
    ),
    _q(
        id="Q-EQ",
        title="Equal scales",
        quantity=("scales",),
        limit=Must("equal: pooling in and out, all of a concatenation, both inputs of an element-wise layer"),
        sources=("N86", "HDR"),
        explanation="POOL-INT8-SCALE, CAT-INT8 and EW-INT8-RANGE say it layer by layer.",
    ),
    _q(
        id="Q-SIGMOID",
        title="Scale of a sigmoid's output",
        quantity=("scale",),
        limit=Must("1/127"),
        sources=("DLASW",),
    ),
    _q(
        id="Q-PROP",
        title="Scales may be copied",
        quantity=("scales",),
        limit=Must("copied across MaxPool, Relu, Pad, Transpose, Reshape, Squeeze, Flatten and Sigmoid only"),
        sources=("DLASW",),
    ),
    _q(
        id="Q-CONVADD",
        title="Conv and Add are fused with scale 1.0 between them",
        quantity=("scale between a Conv and its Add",),
        limit=Must("1.0 to be fused in INT8"),
        sources=("DLASW",),
        profiles=_IMPLICIT - {"X82", "X85", "O85"},
    ),
    _q(
        id="Q-HYBRID",
        title="FP16 and INT8 may be mixed",
        quantity=("layer precision",),
        limit=Must("set per layer, with FP16 allowed"),
        sources=("DLASW", "HDR"),
    ),
    _q(
        id="Q-FP16-SLOW",
        title="FP16 is slow on Orin's DLA",
        quantity=("precision",),
        limit=Must("INT8 where speed matters"),
        sources=("DLASW", "KR"),
        precisions=BOTH,
        profiles=_IMPLICIT - {"X82", "X85"},
        explanation="ResNet-50 in FP16 was measured 13.87 times slower than in INT8.",
    ),
    _q(
        id="Q-QDQ-NAIVE",
        title="Q/DQ models leave quantizer layers on the GPU",
        quantity=("Q/DQ nodes",),
        limit=Must("translated into scales before"),
        evidence=Evidence.LOG,
        sources=("cudla#19", "CN84"),
        precisions=BOTH,
        scope=Scope.GRAPH,
        explanation="DLA takes implicit quantization only up to 10.10.",
    ),
    _q(
        id="Q-TYPED-INT8",
        title="INT8 on a strongly typed DLA network is not documented",
        quantity=("precision",),
        limit=Must("FP16 to be sure"),
        evidence=_D,
        effect="uncertain",
        sources=("ST", "PF", "ORTEP"),
        profiles=frozenset({"O114"}),
        scope=Scope.NOTE,
        explanation="The documented migration to 11.4.1 is FP16; UINT8 asymmetric Q/DQ is shown to compile, "
        "symmetric INT8 is not mentioned.",
    ),
    _q(
        id="Q-TYPED-FP16",
        title="A strongly typed network says FP16 itself",
        quantity=("FP32 tensors",),
        limit=Must("cast to FP16 explicitly at the borders of DLA regions"),
        effect="note",
        sources=("ST",),
        precisions=BOTH,
        profiles=frozenset({"O114"}),
        scope=Scope.GRAPH,
    ),
)

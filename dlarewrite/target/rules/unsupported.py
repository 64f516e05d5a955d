"""Layers that the DLA does not have, or of which no source says that it has."""

from __future__ import annotations

import functools

from dlarewrite.target.limits import Must
from dlarewrite.target.lowering.table import without_layer
from dlarewrite.target.rule import MATRIX_LIMIT, Rule, Scope
from dlarewrite.target.verdict import Evidence

_D = Evidence.DOCUMENTED
_WITHOUT = """
DepthToSpace SpaceToDepth Tile Expand Gather GatherElements GatherND Scatter ScatterElements ScatterND Where TopK
NonMaxSuppression CumSum ArgMax ArgMin GridSample RoiAlign InstanceNormalization LayerNormalization
GroupNormalization MeanVarianceNormalization LpNormalization RMSNormalization LSTM GRU RNN Loop If Scan Shrink
Hardmax OneHot NonZero Trilu ReverseSequence EyeLike Range RandomNormal RandomNormalLike RandomUniform
RandomUniformLike ConstantOfShape Shape Size Constant
"""
_none = functools.partial(Rule, quantity=("layer",), limit=MATRIX_LIMIT, evidence=_D, scope=Scope.MATRIX)

RULES = (
    _none(
        id="NODLA",
        title="Layers without a DLA form",
        layer="Gather, Scatter, Select, TopK, NMS, Cumulative, GridSample, ROIAlign, OneHot, NonZero, ReverseSequence, "
        "Fill, Shape, Constant, Normalization, Recurrence, Loop, Conditional, Shuffle.BLOCKS, Slice.TILE, Slice.EXPAND",
        ops=tuple(_WITHOUT.split()),
        sources=("HDR", "OPS"),
        cure="depth-to-space space-to-depth tile-expand channel-select slice-split-hw gather-elements scatter-const "
        "where-const cumsum leaky-forms",
        explanation="The Gather header says so; the other layers' pages and headers have no DLA statement. "
        "DepthToSpace and SpaceToDepth pass a 6-D intermediate.",
    ),
    _none(
        id="NOLAYER",
        title="Operators without a TensorRT layer",
        layer="NoLayer",
        ops=tuple(sorted(without_layer())),
        sources=("OT",),
        cure="swish-mish",
        explanation="The parser refuses the model, or makes a plugin of the node, unless it is folded, replaced or "
        "cut off.",
    ),
    _none(
        id="IDENT",
        title="Identity and Dropout are not supported through TensorRT",
        layer="Identity",
        ops=("Identity", "Dropout"),
        sources=("DLASW",),
        cure="drop-noops",
        explanation="The node is to be removed.",
    ),
    _none(
        id="CAST",
        title="Cast runs on the GPU, unless right behind a comparison",
        layer="Cast",
        ops=("Cast", "CastLike"),
        sources=("LAT", "YXN"),
        cure="narrow-types",
    ),
    _none(
        id="QDQ",
        title="Q/DQ nodes run on the GPU",
        layer="Quantize, Dequantize",
        ops=("QuantizeLinear", "DequantizeLinear"),
        sources=("CN84", "cudla#19", "PF"),
        explanation="Up to 10.10 the DLA takes implicit quantization only; from 10.11 on a parser flag lets UINT8 "
        "asymmetric Q/DQ through.",
    ),
    _none(
        id="GEN-PLUGIN",
        title="No plugins on the DLA",
        layer="Plugin",
        ops=(),
        sources=("HDR",),
    ),
    Rule(
        id="NORULE",
        title="An operator of another domain has no rule",
        layer="Unknown",
        ops=(),
        quantity=("operator",),
        limit=Must("one of ONNX's default domain to be judged"),
        evidence=Evidence.INFERRED,
        sources=("here",),
        scope=Scope.MATRIX,
        explanation="If TensorRT runs it as a plugin, it runs on the GPU.",
    ),
)

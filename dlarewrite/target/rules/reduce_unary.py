"""Reductions and unary operations."""

from __future__ import annotations

import functools

from dlarewrite.target.facts import ReduceFacts
from dlarewrite.target.limits import AtLeast, Equals, Must
from dlarewrite.target.rule import MATRIX_LIMIT, SINCE_84, SINCE_8612, Rule, Scope
from dlarewrite.target.rules.shared import rank
from dlarewrite.target.verdict import Evidence


def _reduce_axes(facts: ReduceFacts) -> tuple[str, ...]:
    if facts.axes is None:
        return ("computed at run time",)
    return (f"{list(facts.axes)} with the batch" if 0 in facts.axes else "",)


def _kept(facts: ReduceFacts) -> tuple[str, ...]:
    return ("" if facts.keepdims else "keepdims = 0",)


_D = Evidence.DOCUMENTED
_REDUCTIONS = """
ReduceMax GlobalMaxPool ReduceSum ReduceMin ReduceL1 ReduceL2 ReduceProd ReduceLogSum ReduceLogSumExp ReduceSumSquare
"""
_REFUSED = """
Neg Exp Log Sqrt Reciprocal Erf Floor Ceil Round Sign Not Tan Sinh Cosh Asin Acos Asinh Acosh IsInf IsNaN LogSoftmax
"""
_max = functools.partial(Rule, layer="Reduce.MAX", ops=("ReduceMax", "GlobalMaxPool"), profiles=SINCE_8612)
_unary = functools.partial(Rule, layer="Unary", ops=("Abs",))

RULES = (
    _max(
        id="RED-MAX",
        title="The only reduction of the DLA is MAX",
        layer="Reduce",
        ops=tuple(_REDUCTIONS.split()),
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        sources=("OPS", "DLASW"),
        cure="global-max-pool reduce-sum reduce-channel",
        scope=Scope.MATRIX,
        explanation="On Orin from 8.6.12 and 10.x on, over any of C, H and W.",
    ),
    _max(
        id="RED-4D",
        title="A reduced tensor has four dimensions",
        quantity=("number of dimensions",),
        limit=Equals(4),
        measure=rank,
        evidence=_D,
        sources=("OPS",),
        cure="lift-to-4d",
        explanation="Part of RED-MAX.",
    ),
    _max(
        id="RED-AXES",
        title="A reduction leaves the batch alone",
        quantity=("axes",),
        limit=Must("constant and without the batch"),
        measure=_reduce_axes,
        evidence=_D,
        sources=("OPS",),
        explanation="Part of RED-MAX.",
    ),
    _max(
        id="RED-KEEP",
        title="A reduction keeps its dimensions",
        quantity=("output rank",),
        limit=Must("kept (keepdims = 1)"),
        measure=_kept,
        evidence=Evidence.INFERRED,
        effect="uncertain",
        sources=("here", "ult#23488"),
        cure="keepdims",
        explanation="keepdims = 0 gives less than four dimensions (GEN-RANK).",
    ),
    Rule(
        id="RED-AVG",
        title="Averages over axes run on the GPU",
        layer="Reduce.AVG",
        ops=("ReduceMean", "GlobalAveragePool"),
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=Evidence.LOG,
        sources=("KR",),
        cure="global-average-pool reduce-channel",
        scope=Scope.MATRIX,
        explanation="The build log reads: DLA cores do not support AVG Reduce operation.",
    ),
    _unary(
        id="UNARY-ABS",
        title="Abs from TensorRT 8.4 on",
        layer="Unary.ABS",
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        sources=("HDR", "N86"),
        profiles=SINCE_84,
        scope=Scope.MATRIX,
    ),
    _unary(
        id="UNARY-4D",
        title="Unary operations work on four dimensions",
        layer="Unary.ABS, Unary.SIN, Unary.COS",
        ops=("Abs", "Sin", "Cos"),
        quantity=("number of dimensions",),
        limit=AtLeast(4),
        measure=rank,
        evidence=Evidence.LOG,
        sources=("ult#23488",),
        cure="lift-to-4d",
        explanation="GEN-RANK for unary operations.",
    ),
    _unary(
        id="UNARY-OPS",
        title="Sin, Cos and one arc tangent",
        layer="Unary.SIN, Unary.COS, Unary.ATAN, Unary.ATANH",
        ops=("Sin", "Cos", "Atan", "Atanh"),
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        sources=("DLASW", "guide"),
        profiles=SINCE_8612,
        scope=Scope.MATRIX,
        explanation="NVIDIA's operator table reads Atanh where its row Atan is a request for enhancement; the guide"
        " is remembered to list ATAN, and INT8 input.",
    ),
    _unary(
        id="UNARY-NO",
        title="All other unary operations run on the GPU",
        ops=tuple(_REFUSED.split()),
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        sources=("#4486", "HDR"),
        cure="logic reciprocal gelu",
        scope=Scope.MATRIX,
    ),
)

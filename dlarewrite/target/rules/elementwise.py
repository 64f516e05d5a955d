"""Element-wise arithmetic and comparisons."""

from __future__ import annotations

import functools

from dlarewrite.target.facts import PairFacts
from dlarewrite.target.limits import AtLeast, Must
from dlarewrite.target.lowering.elementwise import scale_mode
from dlarewrite.target.rule import (
    FP16_ONLY,
    INT8_ONLY,
    MATRIX_LIMIT,
    SINCE_10,
    SINCE_8612,
    XAVIER,
    Rule,
    Scope,
)
from dlarewrite.target.verdict import Evidence

_ARITHMETIC = ", ".join(f"ElementWise.{op}" for op in ("SUM", "SUB", "PROD", "MAX", "MIN", "DIV", "POW"))
_COMPARISONS = "ElementWise.EQUAL, ElementWise.GREATER, ElementWise.LESS"


def _rank(facts: PairFacts) -> tuple[int, ...]:
    """The smallest rank of the operands that are activations."""
    a, b = facts.ranks
    return (b if facts.a_constant else a if facts.b_constant else min(a, b),)


def _broadcast(facts: PairFacts) -> tuple[str, ...]:
    if facts.a == facts.b or facts.a_constant or facts.b_constant or len(facts.out) < 4:
        return ()
    return (f"{list(facts.a)} and {list(facts.b)}",)


def _constant_operand(facts: PairFacts) -> tuple[str, ...]:
    """A constant that no Scale takes; subtracting from a full constant is an element-wise layer like any other."""
    if not (facts.a_constant or facts.b_constant) or len(facts.out) < 4:
        return ()
    constant, data = (facts.a, facts.b) if facts.a_constant else (facts.b, facts.a)
    own_layer = facts.op in ("DIV", "POW") or (facts.op == "SUB" and facts.a_constant)
    if own_layer and data == facts.out and scale_mode(constant, data):
        return ()
    return (f"{list(constant)} beside {list(data)}",)


def _minuend(facts: PairFacts) -> tuple[str, ...]:
    return ("constant",) if facts.a_constant and facts.op == "SUB" else ()


def _divisor(facts: PairFacts) -> tuple[str, ...]:
    return ("" if facts.b_constant else "an FP16 activation",)


def _exponent(facts: PairFacts) -> tuple[str, ...]:
    if not facts.b_constant:
        return ("computed at run time",)
    return ("" if all(n == 1 for n in facts.b) else f"of shape {list(facts.b)}",)


def _for_constant(facts: PairFacts) -> str:
    if facts.op in ("MAX", "MIN"):
        return "clip-bounds" if all(n == 1 for n in (facts.b if facts.b_constant else facts.a)) else ""
    if facts.op in ("DIV", "POW"):
        return "div-pow-by-const" if facts.b_constant else ""
    return "const-operand"


_D, _I = Evidence.DOCUMENTED, Evidence.INFERRED
_LIST = ("Add", "Sub", "Mul", "Max", "Sum")
_ew = functools.partial(Rule, layer=_ARITHMETIC, ops=(*_LIST, "Min", "Div", "Pow", "Mean"))

RULES = (
    _ew(
        id="EW-LIST",
        title="Element-wise operations of the DLA: SUM, SUB, PROD, MAX, MIN",
        ops=(*_LIST, "Mean", "And", "Or", "Xor", "Mod"),
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        sources=("HDR", "LAT"),
        cure="logic div-pow-by-const",
        scope=Scope.MATRIX,
    ),
    _ew(
        id="EW-MIN?",
        title="Whether the DLA takes Min is disputed",
        layer="ElementWise.MIN",
        ops=("Min",),
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        effect="uncertain",
        sources=("DLASW", "LAT"),
        cure="min-max",
        scope=Scope.MATRIX,
        explanation="Header and guide list MIN, NVIDIA's operator table calls ONNX Min a request for enhancement.",
    ),
    _ew(
        id="EW-SUB-X",
        title="On Xavier SUB is realised as a Scale and a sum",
        layer="ElementWise.SUB",
        ops=("Sub",),
        quantity=("layer",),
        limit=Must("a Scale and a sum"),
        evidence=_D,
        effect="note",
        sources=("CN84",),
        profiles=XAVIER,
        scope=Scope.NOTE,
    ),
    _ew(
        id="EW-SUB-CONST",
        title="Subtraction from a constant",
        layer="ElementWise.SUB",
        ops=("Sub",),
        quantity=("first operand",),
        limit=Must("an activation to be a Scale"),
        measure=_minuend,
        evidence=_I,
        effect="note",
        sources=("LAT", "here"),
        cure="const-operand",
        explanation="c - x is an element-wise SUB; as x * (-1) + c it is a Scale.",
    ),
    _ew(
        id="EW-DIV",
        title="Division",
        layer="ElementWise.DIV",
        ops=("Div",),
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        sources=("OPS", "DLASW"),
        cure="div-pow-by-const",
        scope=Scope.MATRIX,
        explanation="On Orin from 8.6.12 and 10.x on, at most one operand constant; JetPack 6.0 (8.6.2) refuses it.",
    ),
    _ew(
        id="EW-DIV-TYPES",
        title="Divisor types",
        layer="ElementWise.DIV",
        ops=("Div",),
        quantity=("divisor",),
        limit=Must("INT8 or an FP32 constant"),
        measure=_divisor,
        evidence=Evidence.REMEMBERED,
        effect="uncertain",
        sources=("guide",),
        profiles=SINCE_10,
        precisions=FP16_ONLY,
    ),
    _ew(
        id="EW-POW",
        title="Power",
        layer="ElementWise.POW",
        ops=("Pow",),
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        sources=("OPS", "DLASW"),
        cure="div-pow-by-const",
        scope=Scope.MATRIX,
        explanation="On Orin from 10.x on; for 8.6.12 the row of NVIDIA's operator table is overwritten.",
    ),
    _ew(
        id="EW-POW-CONST",
        title="Power has one constant operand",
        layer="ElementWise.POW",
        ops=("Pow",),
        quantity=("exponent",),
        limit=Must("a constant with one element"),
        measure=_exponent,
        evidence=_D,
        sources=("OPS",),
        profiles=SINCE_8612,
        explanation="Part of EW-POW.",
    ),
    _ew(
        id="EW-2D",
        title="Element-wise operands have two spatial dimensions",
        layer=f"{_ARITHMETIC}, {_COMPARISONS}",
        quantity=("number of dimensions of an operand",),
        limit=AtLeast(4),
        measure=_rank,
        evidence=_D,
        sources=("LAT",),
        cure="lift-to-4d",
    ),
    _ew(
        id="EW-INT8-RANGE",
        title="INT8 element-wise operands share one dynamic range",
        layer=_ARITHMETIC,
        quantity=("dynamic ranges of both inputs",),
        limit=Must("equal"),
        evidence=_D,
        effect="note",
        sources=("HDR",),
        precisions=INT8_ONLY,
        scope=Scope.NOTE,
        explanation="With a calibrator TensorRT uses the larger one.",
    ),
    _ew(
        id="EW-BCAST",
        title="Element-wise operands have equal shapes",
        quantity=("operand shapes",),
        limit=Must("equal to be sure"),
        measure=_broadcast,
        evidence=_I,
        effect="uncertain",
        sources=("OPS", "here"),
        cure="broadcast-explicit",
        explanation="Broadcasting NC11 and N111 is documented for comparisons only.",
    ),
    _ew(
        id="EW-CONST",
        title="A constant operand becomes a Scale",
        quantity=("constant operand",),
        limit=Must("[1], [1, C, 1, 1] or [1, C, H, W] beside Add, Sub or Mul to be folded into a Scale"),
        measure=_constant_operand,
        evidence=_I,
        effect="uncertain",
        sources=("N86", "LAT", "here"),
        cure="const-operand clip-bounds div-pow-by-const",
        choose=_for_constant,
        explanation="A constant that stays a layer of its own is not supported on the DLA (GEN-CONST).",
    ),
)

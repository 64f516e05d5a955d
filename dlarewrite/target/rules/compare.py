"""Comparisons."""

from __future__ import annotations

import functools

from dlarewrite.ir.view import consumers, is_op
from dlarewrite.target.facts import PairFacts
from dlarewrite.target.limits import Must
from dlarewrite.target.rule import FP16_ONLY, INT8_ONLY, MATRIX_LIMIT, ORIN, SINCE_10, Rule, Scope
from dlarewrite.target.verdict import Evidence

_COMPARISONS = "ElementWise.EQUAL, ElementWise.GREATER, ElementWise.LESS"


def _goes_to_cast(facts: PairFacts) -> tuple[str, ...]:
    out = facts.view.y
    readers = consumers(out) if out is not None else ()
    if readers and all(is_op(reader, "Cast") for reader in readers):
        return ("",)
    return (", ".join(reader.op for reader in readers) or "a graph output",)


def _comparison_shapes(facts: PairFacts) -> tuple[str, ...]:
    a, b = facts.a, facts.b
    if a == b or len(facts.out) != 4:
        return ("",)
    for small, large in ((a, b), (b, a)):
        if large == facts.out and small[2:] == (1, 1) and small[0] == large[0] and small[1] in (1, large[1]):
            return ("",)
        if all(n == 1 for n in small) and large == facts.out:
            return ("",)
    return (f"{list(a)} and {list(b)}",)


_D = Evidence.DOCUMENTED
_cmp = functools.partial(
    Rule, layer=_COMPARISONS, ops=("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"), profiles=ORIN
)

RULES = (
    _cmp(
        id="CMP-LIST",
        title="Comparisons of the DLA",
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        sources=("DLASW", "OPS"),
        scope=Scope.MATRIX,
        explanation="EQUAL from 8.5 on; GREATER and LESS from 8.6.12 and 10.x on; the OrEqual forms only where a "
        "GREATER or LESS and an EQUAL share their inputs.",
    ),
    _cmp(
        id="CMP-PREC",
        title="Comparisons run in INT8 only",
        quantity=("precision",),
        limit=Must("INT8"),
        measure=lambda facts: ("FP16",),
        evidence=_D,
        sources=("LAT",),
        precisions=FP16_ONLY,
    ),
    _cmp(
        id="CMP-CAST",
        title="A comparison goes straight into a Cast",
        quantity=("reader of the result",),
        limit=Must("a Cast to FP16 or INT8"),
        measure=_goes_to_cast,
        evidence=_D,
        sources=("LAT",),
    ),
    _cmp(
        id="CMP-CONST",
        title="At most one operand of a comparison is constant",
        quantity=("constant operands",),
        limit=Must("at most one"),
        evidence=_D,
        sources=("OPS",),
        profiles=SINCE_10,
        scope=Scope.COVERED,
        explanation="A comparison of two constants is folded before it is judged.",
    ),
    _cmp(
        id="CMP-BCAST",
        title="Operand shapes of a comparison",
        quantity=("operand shapes",),
        limit=Must("equal, or one of them NC11 or N111"),
        measure=_comparison_shapes,
        evidence=_D,
        sources=("OPS",),
        profiles=SINCE_10,
    ),
    _cmp(
        id="CMP-EXPLICIT",
        title="Comparison and Cast are set to DLA and INT8 explicitly",
        quantity=("device type and precision",),
        limit=Must("set on both layers"),
        evidence=Evidence.REMEMBERED,
        sources=("guide",),
        precisions=INT8_ONLY,
        scope=Scope.CAVEAT,
    ),
)

"""Concatenation."""

from __future__ import annotations

import functools

from dlarewrite.target.facts import ConcatFacts
from dlarewrite.target.limits import AtLeast, Equals, Must
from dlarewrite.target.rule import ALL, INT8_ONLY, Rule, Scope
from dlarewrite.target.rules.shared import rank
from dlarewrite.target.verdict import Evidence


def _cat_axis(facts: ConcatFacts) -> tuple[int, ...]:
    return (facts.axis,)


def _cat_count(facts: ConcatFacts) -> tuple[int, ...]:
    return (facts.inputs,)


def _cat_spatial(facts: ConcatFacts) -> tuple[str, ...]:
    return ("" if len(set(facts.spatial)) < 2 else " and ".join(str(list(s)) for s in facts.spatial),)


def _cat_constants(facts: ConcatFacts) -> tuple[str, ...]:
    return (f"{facts.constants} constants",) if facts.constants else ()


_D = Evidence.DOCUMENTED
_cat = functools.partial(Rule, layer="Concatenation", ops=("Concat",))

RULES = (
    _cat(
        id="CAT-AXIS",
        title="Concatenation is along the channels",
        quantity=("axis counted from the end",),
        limit=Equals(-3),
        measure=_cat_axis,
        evidence=_D,
        sources=("HDR", "LAT"),
        cure="concat-axis",
    ),
    _cat(
        id="CAT-N",
        title="Concatenation has at least two inputs",
        quantity=("number of inputs",),
        limit=AtLeast(2),
        measure=_cat_count,
        evidence=_D,
        sources=("LAT", "N86"),
        cure="concat-pairs",
    ),
    _cat(
        id="CAT-HW",
        title="Concatenated tensors have the same height and width",
        quantity=("spatial dimensions",),
        limit=Must("equal on all inputs"),
        measure=_cat_spatial,
        evidence=_D,
        sources=("LAT",),
    ),
    _cat(
        id="CAT-4D",
        title="Concatenated tensors have four dimensions",
        quantity=("number of dimensions",),
        limit=AtLeast(4),
        measure=rank,
        evidence=Evidence.LOG,
        sources=("ult#23488",),
        cure="lift-to-4d",
        explanation="GEN-RANK for Concat.",
    ),
    _cat(
        id="CAT-CONST",
        title="Concatenated tensors are activations",
        quantity=("inputs",),
        limit=Must("activations to be sure"),
        measure=_cat_constants,
        evidence=_D,
        effect="uncertain",
        sources=("DLASW", "YXN"),
        cure="concat-pairs",
        explanation="GEN-CONST: a Constant layer is not supported on the DLA unless it is folded into its reader.",
    ),
    _cat(
        id="CAT-INT8",
        title="INT8 concatenation has one dynamic range",
        quantity=("dynamic ranges of all inputs and the output",),
        limit=Must("equal"),
        evidence=_D,
        effect="note",
        sources=("N86", "CN84"),
        profiles=ALL - {"O114"},
        precisions=INT8_ONLY,
        scope=Scope.NOTE,
    ),
)

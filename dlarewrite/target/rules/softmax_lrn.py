"""Softmax and local response normalization."""

from __future__ import annotations

import functools

from dlarewrite.target.facts import LrnFacts, SoftmaxFacts
from dlarewrite.target.limits import AtLeast, AtMost, Must, OneOf
from dlarewrite.target.rule import FP16_ONLY, INT8_ONLY, MATRIX_LIMIT, ORIN, Rule, Scope
from dlarewrite.target.rules.shared import int8, rank
from dlarewrite.target.verdict import Evidence


def _axis(facts: SoftmaxFacts) -> tuple[str, ...]:
    return ("the batch",) if facts.axis < facts.rank - 3 or facts.axis == 0 else ("",)


def _accurate(facts: SoftmaxFacts) -> tuple[int, ...]:
    return (facts.size,) if facts.others == 1 else ()


def _approximate(facts: SoftmaxFacts) -> tuple[int, ...]:
    return (facts.size,) if facts.others != 1 else ()


def _error(facts: SoftmaxFacts) -> tuple[str, ...]:
    return ("approximate",) if facts.others != 1 and facts.size <= 1024 else ()


def _size(facts: LrnFacts) -> tuple[int, ...]:
    return (facts.size,)


_D = Evidence.DOCUMENTED
_softmax = functools.partial(Rule, layer="Softmax", ops=("Softmax", "LogSoftmax"), profiles=ORIN)
_lrn = functools.partial(Rule, layer="LRN", ops=("LRN",))

RULES = (
    _softmax(
        id="SMAX-ORIN",
        title="Softmax runs on Orin only",
        ops=("Softmax",),
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        sources=("N86", "HDR"),
        scope=Scope.MATRIX,
    ),
    _softmax(
        id="SMAX-FP16",
        title="Softmax runs in FP16 only",
        quantity=("precision",),
        limit=Must("FP16 (the layer is a precision border in an INT8 build)"),
        measure=int8,
        evidence=_D,
        effect="uncertain",
        sources=("N86",),
        precisions=INT8_ONLY,
    ),
    _softmax(
        id="SMAX-4D",
        title="Softmax works on four dimensions",
        quantity=("number of dimensions",),
        limit=AtLeast(4),
        measure=rank,
        evidence=Evidence.LOG,
        sources=("ult#23488",),
        cure="lift-to-4d",
        explanation="GEN-RANK for Softmax.",
    ),
    _softmax(
        id="SMAX-AXIS",
        title="Softmax runs over C, H or W",
        quantity=("axis",),
        limit=Must("C, H or W"),
        measure=_axis,
        evidence=_D,
        sources=("HDR",),
    ),
    _softmax(
        id="SMAX-ACC",
        title="Softmax over the only dimension larger than one",
        quantity=("size of the axis",),
        limit=AtMost(8192),
        measure=_accurate,
        evidence=_D,
        sources=("HDR", "N86"),
        explanation="Accurate mode: every other dimension but the batch is 1.",
    ),
    _softmax(
        id="SMAX-OPT",
        title="Softmax beside other dimensions",
        quantity=("size of the axis",),
        limit=AtMost(1024),
        measure=_approximate,
        evidence=_D,
        sources=("HDR", "N86"),
        explanation="Optimised mode: approximate, the error grows toward 1024.",
    ),
    _softmax(
        id="SMAX-OPT-ERROR",
        title="Softmax beside other dimensions is approximate",
        quantity=("mode",),
        limit=Must("accurate where every digit counts (all other dimensions 1)"),
        measure=_error,
        evidence=_D,
        effect="note",
        sources=("HDR", "N86"),
    ),
    _softmax(
        id="SMAX-84",
        title="Softmax of the first 8.4 guide: batch 1, all other dimensions 1",
        quantity=("other dimensions",),
        limit=Must("1"),
        evidence=_D,
        sources=("CN84",),
        profiles=frozenset(),
        scope=Scope.COVERED,
        precisions=FP16_ONLY,
        explanation="TensorRT 8.4.0, for which there is no profile.",
    ),
    _lrn(
        id="LRN-WIN",
        title="LRN window",
        quantity=("window",),
        limit=OneOf((3, 5, 7, 9)),
        measure=_size,
        evidence=_D,
        sources=("HDR", "N86"),
    ),
    _lrn(
        id="LRN-4D",
        title="LRN works on four dimensions",
        quantity=("number of dimensions",),
        limit=AtLeast(4),
        measure=rank,
        evidence=Evidence.LOG,
        sources=("ult#23488",),
        cure="lift-to-4d",
        explanation="GEN-RANK for LRN.",
    ),
    _lrn(
        id="LRN-REG",
        title="LRN runs across channels",
        quantity=("region",),
        limit=Must("ACROSS_CHANNELS"),
        evidence=_D,
        sources=("N86",),
        scope=Scope.COVERED,
        explanation="ONNX knows no other region.",
    ),
    _lrn(
        id="LRN-FP16",
        title="LRN is computed in FP16 in an INT8 build",
        quantity=("precision",),
        limit=Must("FP16"),
        evidence=_D,
        effect="note",
        sources=("N86",),
        precisions=INT8_ONLY,
        scope=Scope.NOTE,
    ),
)

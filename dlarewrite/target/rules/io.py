"""Formats of network inputs and outputs; they are chosen at build time and checked there."""

from __future__ import annotations

import functools

from dlarewrite.target.limits import Must
from dlarewrite.target.rule import Rule, Scope
from dlarewrite.target.verdict import Evidence

_io = functools.partial(
    Rule, layer="*", ops=(), quantity=("formats",), evidence=Evidence.DOCUMENTED, scope=Scope.CAVEAT
)

RULES = (
    _io(
        id="IO-IN",
        title="Input formats",
        limit=Must("kDLA_LINEAR, kDLA_HWC4, kCHW16 (FP16) or kCHW32 (INT8)"),
        sources=("HDR", "RTCFG", "N86"),
    ),
    _io(
        id="IO-OUT",
        title="Output formats",
        limit=Must("kDLA_LINEAR, kCHW16 (FP16) or kCHW32 (INT8)"),
        sources=("HDR", "RTCFG", "N86"),
    ),
    _io(
        id="IO-HWC4-CONV",
        title="The first reader of an HWC4 input is a Conv of the same precision",
        limit=Must("HWC4 only before a Conv of the input's precision with at most 4 groups and 1, 3 or 4 channels"),
        sources=("DLASW", "N86"),
    ),
    _io(
        id="IO-REFORMAT",
        title="Other formats cost GPU reformat kernels around every DLA node",
        limit=Must("DLA formats to avoid reformats"),
        sources=("DLASW", "F219770"),
    ),
    _io(
        id="IO-SA",
        title="Formats of DLA standalone",
        limit=Must("fp16/int8:dla_linear, fp16/int8:dla_hwc4 (input only), fp16:chw16 or int8:chw32"),
        sources=("HDR",),
        explanation="And no GPU fallback.",
    ),
)

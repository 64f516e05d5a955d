"""Formats of network inputs and outputs; they are chosen at build time and checked there."""

from __future__ import annotations

import functools

from dlarewrite.target.limits import Must
from dlarewrite.target.rule import Rule, Scope
from dlarewrite.target.verdict import Evidence

_io = functools.partial(
    Rule, layer="*", ops=(), quantity=("formats",), evidence=Evidence.DOCUMENTED, scope=Scope.CAVEAT
)

_layout = functools.partial(_io, scope=Scope.OPTION, effect="note")

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
    _layout(
        id="IO-CHW16/32",
        title="Channels in blocks of 16 (FP16) or 32 (INT8)",
        limit=Must("kCHW16 for FP16 and kCHW32 for INT8 where the GPU shares the tensor"),
        sources=("HDR", "DLASW"),
        explanation="Channels are padded up to the block; both formats exist on the GPU too, so no reformat is needed.",
    ),
    _layout(
        id="IO-LINEAR",
        title="Rows of kDLA_LINEAR are aligned",
        limit=Must("[N][C][H][W rounded up to 64 bytes]"),
        sources=("HDR",),
    ),
    _layout(
        id="IO-HWC4",
        title="kDLA_HWC4 holds 1, 3 or 4 channels",
        limit=Must("of 1 channel, or of 3 or 4 stored as 4, with rows of 32 (Xavier) or 64 (Orin) bytes"),
        sources=("HDR",),
        explanation="The headers name 64 bytes on Orin, a docstring 32; ask for the strides at run time.",
    ),
    _layout(
        id="IO-ALIAS",
        title="kCHW4 as a DLA input is the older name of kDLA_HWC4",
        limit=Must("written as kDLA_HWC4"),
        sources=("HDR",),
    ),
    _layout(
        id="IO-PAD0",
        title="The padding channel holds zeros",
        limit=Must("zero in the padding channel"),
        sources=("HDR",),
    ),
    _layout(
        id="IO-STRIDE",
        title="Buffers are sized by stride, not by volume",
        limit=Must("asked for with get_tensor_strides"),
        sources=("HDR", "CN84"),
    ),
    _layout(
        id="IO-DIRECT",
        title="DIRECT_IO forbids reformats at the borders",
        limit=Must("DLA formats, or the build fails"),
        sources=("HDR",),
        explanation="Deprecated from 10.7; trtexec sets it with a DLA core and no --allowGPUFallback (to 10.16).",
    ),
)

"""Deconvolution (ConvTranspose)."""

from __future__ import annotations

import functools
import operator

from dlarewrite.target.facts import WindowFacts
from dlarewrite.target.limits import Between, Equals, Must, NotSquareBetween, WindowPair
from dlarewrite.target.rule import SINCE_84, Rule, Scope
from dlarewrite.target.rules.shared import PADS, group, spatial
from dlarewrite.target.verdict import Evidence

_LONG = (64, 96, 128)


def _effective_pads(facts: WindowFacts) -> tuple[int, ...]:
    """The pads that are left after the parser has taken output_padding off the end ones, none below 0."""
    if not facts.extra:
        return facts.begin + facts.end
    return facts.begin + tuple(max(end - extra, 0) for end, extra in zip(facts.end, facts.extra, strict=True))


def _absorbed(facts: WindowFacts) -> tuple[str, ...]:
    if not any(facts.extra):
        return ()
    short = any(end < extra for end, extra in zip(facts.end, facts.extra, strict=True))
    return (f"{facts.extra} with end pads {facts.end}" + (", which it exceeds" if short else ""),)


def _kernel_pair(facts: WindowFacts) -> tuple[tuple[int, ...], ...]:
    return (facts.kernel,) if len(facts.kernel) == 2 else ()


def _stride_pair(facts: WindowFacts) -> tuple[tuple[int, ...], ...]:
    return (facts.strides,) if len(facts.kernel) == 2 else ()


def _both_pairs(facts: WindowFacts) -> tuple[tuple[int, ...], ...]:
    return (facts.kernel, facts.strides) if len(facts.kernel) == 2 else ()


def _channels(facts: WindowFacts) -> tuple[int, ...]:
    return (facts.channels, facts.maps) if facts.maps >= 0 else ()


def _overlap(facts: WindowFacts) -> tuple[int, ...]:
    """Kernel less stride of each axis: positive where windows overlap, negative where they leave gaps."""
    return tuple(k - s for k, s in zip(facts.kernel, facts.strides, strict=True))


_D = Evidence.DOCUMENTED
_deconv = functools.partial(Rule, layer="Deconvolution", ops=("ConvTranspose",))

RULES = (
    _deconv(
        id="DECONV-2D",
        title="Deconvolution has two spatial dimensions",
        quantity=("spatial dimensions",),
        limit=Equals(2),
        measure=spatial,
        evidence=_D,
        sources=("LAT", "N86"),
        cure="lift-to-4d",
        explanation="GEN-2D for deconvolutions.",
    ),
    _deconv(
        id="DECONV-PAD",
        title="Deconvolution padding is zero",
        quantity=PADS,
        limit=Equals(0),
        measure=_effective_pads,
        evidence=_D,
        sources=("HDR", "LAT", "N86"),
        cure="deconv-pads",
        explanation="Headers from 10.3 on keep the remark on the Nd setter only; the guide is unchanged.",
    ),
    _deconv(
        id="DECONV-GROUP",
        title="Deconvolution has one group",
        quantity=("groups",),
        limit=Equals(1),
        measure=group,
        evidence=_D,
        sources=("HDR", "N86"),
        cure="deconv-groups",
    ),
    _deconv(
        id="DECONV-DIL",
        title="Deconvolution dilation is one",
        quantity=("dilation height", "dilation width"),
        limit=Equals(1),
        measure=operator.attrgetter("dilations"),
        evidence=_D,
        sources=("N86", "LAT"),
        cure="deconv-dilation",
    ),
    _deconv(
        id="DECONV-KERNEL",
        title="Deconvolution kernel size",
        quantity=("kernel",),
        limit=WindowPair(32, _LONG),
        measure=_kernel_pair,
        evidence=_D,
        sources=("HDR", "N86"),
    ),
    _deconv(
        id="DECONV-STRIDE",
        title="Deconvolution stride",
        quantity=("stride",),
        limit=WindowPair(32, _LONG),
        measure=_stride_pair,
        evidence=_D,
        sources=("HDR",),
    ),
    _deconv(
        id="DECONV-SQ23",
        title="Square deconvolution kernels and strides of 23 to 32 are switched off",
        quantity=("kernel", "stride"),
        limit=NotSquareBetween(23, 32),
        measure=_both_pairs,
        evidence=_D,
        sources=("N86", "CN84"),
        profiles=SINCE_84,
        cure="deconv-square-23",
        explanation="NVIDIA switched them off because they take too long to compile.",
    ),
    _deconv(
        id="DECONV-K=S",
        title="Deconvolution stride equals the kernel",
        quantity=("kernel height less stride", "kernel width less stride"),
        limit=Equals(0),
        measure=_overlap,
        evidence=_D,
        sources=("HDR@8.2.1",),
        profiles=frozenset({"X82"}),
        cure="deconv-overlap deconv-stride-one",
        explanation="Dropped with TensorRT 8.4.",
    ),
    _deconv(
        id="DECONV-CH",
        title="Deconvolution channels",
        quantity=("input channels", "output channels"),
        limit=Between(1, 8192),
        measure=_channels,
        evidence=_D,
        sources=("N86", "HDR"),
    ),
    _deconv(
        id="DECONV-OUTPAD",
        title="Deconvolution output padding",
        quantity=("output_padding",),
        limit=Must("0 to be sure (the parser takes it off the end pads, or adds a Slice and a bias)"),
        measure=_absorbed,
        evidence=Evidence.INFERRED,
        effect="uncertain",
        sources=("OT", "here"),
        cure="deconv-pads",
    ),
    _deconv(
        id="DECONV-XNUM",
        title="Deconvolution gave other numbers on a Xavier DLA",
        quantity=("numbers",),
        limit=Must("compared on the device"),
        evidence=Evidence.LOG,
        effect="note",
        sources=("#1700",),
        profiles=frozenset({"X82"}),
        scope=Scope.CAVEAT,
        explanation="One report for TensorRT 7.1.3.",
    ),
)

"""Convolution and matrix products that become one."""

from __future__ import annotations

import functools
import operator

from dlarewrite.target.facts import WindowFacts
from dlarewrite.target.limits import AtMost, Below, Between, Equals, MultipleOf, Must
from dlarewrite.target.rule import ALL, INT8_ONLY, Rule, Scope
from dlarewrite.target.rules.shared import PADS, group, pads, spatial
from dlarewrite.target.verdict import Evidence

_BANKS, _ENTRIES_PER_BANK, _BANK_BYTES = 16, 256, 32768


def _pads_against_reach(facts: WindowFacts) -> tuple[tuple[int, int], ...]:
    """Each pad with the kernel's extent, dilation counted: beyond it no reading of the rule allows a pad."""
    if not any(facts.begin) and not any(facts.end):
        return ()
    reach = tuple((k - 1) * d + 1 for k, d in zip(facts.kernel, facts.dilations, strict=True))
    return tuple(zip(facts.begin + facts.end, reach * 2, strict=True))


def _pads_against_kernel(facts: WindowFacts) -> tuple[tuple[int, int], ...]:
    """Each pad with the kernel as written, for dilated kernels only."""
    if all(d == 1 for d in facts.dilations):
        return ()
    reach = tuple((k - 1) * d + 1 for k, d in zip(facts.kernel, facts.dilations, strict=True)) * 2
    pairs = zip(facts.begin + facts.end, facts.kernel * 2, reach, strict=True)
    return tuple((pad, kernel) if pad < whole else (0, kernel) for pad, kernel, whole in pairs)


def _uneven(facts: WindowFacts) -> tuple[str, ...]:
    if facts.begin == facts.end:
        return ()
    return (f"{facts.begin} before and {facts.end} after",)


def _maps(facts: WindowFacts) -> tuple[int, ...]:
    return (facts.maps,) if facts.maps >= 0 else ()


def _channels_per_group(facts: WindowFacts) -> tuple[int, ...]:
    if facts.group == 1 or facts.group == facts.channels:
        return ()
    return (facts.channels // facts.group, facts.maps // facts.group)


def _weights(facts: WindowFacts) -> tuple[str, ...]:
    return ("" if facts.constant else "computed at run time",)


def _banks(facts: WindowFacts) -> tuple[int, ...]:
    """Banks of the convolution buffer that one kernel and the input rows it spans take; empty where unknown."""
    if len(facts.kernel) != 2 or facts.channels <= 0 or not facts.width:
        return ()
    channel_bytes = facts.channels // facts.group * facts.view.element_bytes
    rows, columns = facts.kernel
    weight_bytes = -(-channel_bytes * rows * columns // 128) * 128
    entries = -(-(-(-channel_bytes // 32) * facts.width) // 4)
    reach = (rows - 1) * facts.dilations[0] + 1
    return (-(-weight_bytes // _BANK_BYTES) - (-entries * reach // _ENTRIES_PER_BANK),)


def _doubtful_banks(facts: WindowFacts) -> tuple[int, ...]:
    """The banks where the formula allows them: the refusal beyond is CONV-CBUF's."""
    count = _banks(facts)
    return count if count and count[0] <= _BANKS else ()


def _for_spatial(facts: WindowFacts) -> str:
    return "conv1d" if len(facts.kernel) == 1 else ""


_D, _I, _L = Evidence.DOCUMENTED, Evidence.INFERRED, Evidence.LOG
_CBUF_TEXT = (
    "wtBanks = ceil(roundUp(C*kh*kw*B, 128) / 32768); entries = ceil(ceil(C*B/32) * W / 4); dataBanks = "
    "ceil(entries * ((kh-1)*dilation_h + 1) / 256). C: input channels per group, W: input width, B: bytes of an "
    "element (FP16 2, INT8 1). The buffer has 16 banks of 256 entries of 128 bytes."
)

_conv = functools.partial(Rule, layer="Convolution", ops=("Conv",))

RULES = (
    _conv(
        id="CONV-2D",
        title="Convolution has two spatial dimensions",
        quantity=("spatial dimensions",),
        limit=Equals(2),
        measure=spatial,
        evidence=_D,
        sources=("LAT", "N86"),
        cure="conv1d",
        choose=_for_spatial,
        explanation="A 1-D convolution is wrapped in Shuffles by TensorRT's parser, which run on the GPU.",
    ),
    _conv(
        id="CONV-KERNEL",
        title="Convolution kernel size",
        quantity=("kernel height", "kernel width"),
        limit=Between(1, 32),
        measure=operator.attrgetter("kernel"),
        evidence=_D,
        sources=("LAT", "HDR"),
        cure="conv-kernel",
    ),
    _conv(
        id="CONV-STRIDE",
        title="Convolution stride",
        quantity=("stride height", "stride width"),
        limit=Between(1, 8),
        measure=operator.attrgetter("strides"),
        evidence=_D,
        sources=("LAT", "HDR"),
        cure="conv-stride",
    ),
    _conv(
        id="CONV-PAD",
        title="Convolution padding",
        quantity=PADS,
        limit=Between(0, 31),
        measure=pads,
        evidence=_D,
        sources=("HDR", "N86"),
        cure="conv-pads",
        explanation="Each side by itself; the padding has to be smaller than the kernel as well (CONV-PAD-LT).",
    ),
    _conv(
        id="CONV-PAD-LT",
        title="Convolution padding is smaller than the kernel",
        quantity=PADS,
        limit=Below("kernel of its axis"),
        measure=_pads_against_reach,
        evidence=_D,
        sources=("HDR", "N86"),
        cure="conv-pads",
        explanation="The second half of CONV-PAD, held against the dilated kernel: beyond that no reading allows it.",
    ),
    _conv(
        id="CONV-PAD-KDIL",
        title="Padding of a dilated convolution is smaller than the undilated kernel",
        quantity=PADS,
        limit=Below("undilated kernel of its axis"),
        measure=_pads_against_kernel,
        evidence=_I,
        effect="uncertain",
        sources=("HDR", "here"),
        cure="conv-pads",
        explanation="Whether 'kernel' in CONV-PAD means the dilated one is not said.",
    ),
    _conv(
        id="CONV-PAD-EVEN",
        title="Convolution padding differs before and after",
        quantity=("padding",),
        limit=Must("the same before and after to be sure (each side has a documented setter of its own)"),
        measure=_uneven,
        evidence=_I,
        effect="note",
        sources=("HDR", "here"),
    ),
    _conv(
        id="CONV-DIL",
        title="Convolution dilation",
        quantity=("dilation height", "dilation width"),
        limit=Between(1, 32),
        measure=operator.attrgetter("dilations"),
        evidence=_D,
        sources=("HDR", "N86"),
        cure="conv-dilation",
    ),
    _conv(
        id="CONV-OUTMAPS",
        title="Convolution output channels",
        quantity=("output channels",),
        limit=Between(1, 8192),
        measure=_maps,
        evidence=_D,
        sources=("HDR",),
        cure="conv-maps",
        explanation="Input channels are held to the same bound by GEN-DIM.",
    ),
    _conv(
        id="CONV-GROUPS",
        title="Convolution groups",
        quantity=("groups",),
        limit=Between(1, 8192),
        measure=group,
        evidence=_D,
        sources=("N86", "CN84", "HDR"),
        cure="conv-groups-dense",
        explanation="A convolution that reads a network input in the format kDLA_HWC4 takes at most 4 groups.",
    ),
    _conv(
        id="CONV-GROUP-INT8",
        title="Channels per group of an INT8 grouped convolution",
        quantity=("input channels per group", "output channels per group"),
        limit=MultipleOf(4),
        measure=_channels_per_group,
        evidence=_I,
        effect="uncertain",
        sources=("HDR", "DLASW"),
        precisions=INT8_ONLY,
        cure="conv-groups-dense",
        explanation="A general note of TensorRT's header, not the DLA's; depthwise ones are known to run on the DLA.",
    ),
    _conv(
        id="CONV-CONSTW",
        title="Convolution weights are constant",
        layer="Convolution, Deconvolution",
        ops=("Conv", "ConvTranspose"),
        quantity=("weights and bias",),
        limit=Must("build-time constants"),
        measure=_weights,
        evidence=_I,
        effect="uncertain",
        sources=("OT", "here"),
        cure="conv-dynamic-weight",
    ),
    _conv(
        id="CONV-CBUF",
        title="Convolution fits the convolution buffer",
        quantity=("convolution-buffer banks",),
        limit=AtMost(_BANKS),
        measure=_banks,
        evidence=_D,
        sources=("CN84", "DLASW"),
        cure="conv-cbuf",
        explanation=_CBUF_TEXT,
    ),
    _conv(
        id="CONV-CBUF-WARN",
        title="Convolution leaves the convolution buffer half empty",
        quantity=("convolution-buffer banks",),
        limit=AtMost(8),
        measure=_doubtful_banks,
        evidence=_I,
        effect="uncertain",
        sources=("CN84", "#3499", "#3211"),
        cure="conv-cbuf",
        explanation="Orin's compiler (8.5.2) refused a convolution that the published formula gives 9 banks in INT8"
        " and 16 in FP16; the formula is too optimistic there. " + _CBUF_TEXT,
    ),
    _conv(
        id="CONV-HWC4-PREC",
        title="A convolution that reads an HWC4 input computes in the input's precision",
        quantity=("precision",),
        limit=Must("the input's where the input format is kDLA_HWC4"),
        evidence=_D,
        sources=("DLASW",),
        scope=Scope.CAVEAT,
        explanation="FP16 input with an INT8 convolution, or the reverse, is not supported (8.6 era).",
    ),
    _conv(
        id="CONV-INT8-SCALES",
        title="An INT8 convolution needs scales on its input and output",
        quantity=("scales",),
        limit=Must("known for input and output, or the layer runs in FP16"),
        evidence=_D,
        sources=("DLASW",),
        profiles=ALL - {"O114"},
        precisions=INT8_ONLY,
        scope=Scope.CAVEAT,
    ),
)

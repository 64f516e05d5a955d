"""Slice, Split and Pad."""

from __future__ import annotations

import functools

from dlarewrite.target.facts import SliceFacts
from dlarewrite.target.limits import Equals, Must
from dlarewrite.target.rule import INT8_ONLY, MATRIX_LIMIT, SINCE_84, Rule, Scope
from dlarewrite.target.rules.shared import int8, rank
from dlarewrite.target.verdict import Evidence


def _slice_batch(facts: SliceFacts) -> tuple[str, ...]:
    return ("the first dimension",) if 0 in facts.axes else ()


def _slice_steps(facts: SliceFacts) -> tuple[int, ...]:
    return tuple(s for s in facts.steps if s != 1) or (1,)


def _slice_known(facts: SliceFacts) -> tuple[str, ...]:
    return ("" if facts.known else "computed at run time",)


def _fill(facts: SliceFacts) -> tuple[str, ...]:
    return ("" if facts.fill in ("0", "-0") else facts.fill,)


def _for_slice(facts: SliceFacts) -> str:
    return "channel-select" if facts.axes == (1,) and facts.rank == 4 else ""


_D = Evidence.DOCUMENTED
_slice = functools.partial(
    Rule, layer="Slice.STRICT_BOUNDS, Slice.FILL", ops=("Slice", "Split", "Pad"), profiles=SINCE_84
)

RULES = (
    _slice(
        id="SLICE-FP16",
        title="Slices run in FP16 only",
        quantity=("precision",),
        limit=Must("FP16 (the layer is a precision border in an INT8 build)"),
        measure=int8,
        evidence=_D,
        effect="uncertain",
        sources=("N86", "OPS"),
        precisions=INT8_ONLY,
        cure="channel-select",
        choose=_for_slice,
        explanation="In an INT8 build that allows FP16 the layer stays on the DLA in FP16, with conversions around it.",
    ),
    _slice(
        id="SLICE-4D",
        title="Sliced tensors have four dimensions",
        quantity=("number of dimensions",),
        limit=Equals(4),
        measure=rank,
        evidence=_D,
        sources=("HDR",),
        cure="lift-to-4d",
    ),
    _slice(
        id="SLICE-NOTN",
        title="The batch is not sliced",
        quantity=("sliced dimension",),
        limit=Must("C, H or W"),
        measure=_slice_batch,
        evidence=_D,
        sources=("HDR",),
    ),
    _slice(
        id="SLICE-STRIDE",
        title="Slice steps are one",
        quantity=("step",),
        limit=Equals(1),
        measure=_slice_steps,
        evidence=_D,
        sources=("HDR",),
        cure="slice-steps",
    ),
    _slice(
        id="SLICE-STATIC",
        title="Slice bounds are constant",
        quantity=("start, size, step and axes",),
        limit=Must("build-time constants"),
        measure=_slice_known,
        evidence=_D,
        sources=("HDR",),
        cure="fold-constants",
        choose=lambda facts: "",
    ),
    _slice(
        id="SLICE-MODE",
        title="Slice modes",
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        sources=("HDR",),
        cure="pad-explicit",
        scope=Scope.MATRIX,
        explanation="8.4 to 8.6: DEFAULT; 10.0 to 10.3: STRICT_BOUNDS; from 10.4 on DEFAULT, WRAP and FILL.",
    ),
    _slice(
        id="SLICE-FILL",
        title="A Pad fills with a constant zero",
        layer="Slice.FILL",
        ops=("Pad",),
        quantity=("fill value",),
        limit=Must("0 in a scalar constant of its own"),
        measure=_fill,
        evidence=_D,
        sources=("HDR@v10.4.0",),
        profiles=frozenset({"O114"}),
        cure="fold-pad pad-explicit",
        explanation="Headers from 10.4 on allow it; before, a Pad that stands alone runs on the GPU.",
    ),
    _slice(
        id="SLICE-NONE",
        title="No Slice at all before TensorRT 8.4",
        ops=("Slice", "Split"),
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        sources=("#1529", "HDR@8.2.1"),
        profiles=frozenset({"X82"}),
        cure="channel-select slice-steps",
        scope=Scope.MATRIX,
    ),
)

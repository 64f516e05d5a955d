"""Concat, Slice, Split, Pad, Reshape, Transpose."""

from __future__ import annotations

import functools

from dlarewrite.target.facts import ConcatFacts, ShuffleFacts, SliceFacts
from dlarewrite.target.limits import AtLeast, Equals, Must
from dlarewrite.target.rule import (
    ALL,
    FP16_ONLY,
    INT8_ONLY,
    MATRIX_LIMIT,
    ORIN,
    SINCE_10,
    SINCE_84,
    Rule,
    Scope,
)
from dlarewrite.target.verdict import Evidence

_SLICES = frozenset({"Slice", "Split"})


def cat_axis(facts: ConcatFacts) -> tuple[int, ...]:
    return (facts.axis,)


def cat_count(facts: ConcatFacts) -> tuple[int, ...]:
    return (facts.count,)


def cat_spatial(facts: ConcatFacts) -> tuple[str, ...]:
    return ("" if len(set(facts.spatial)) < 2 else " and ".join(str(list(s)) for s in facts.spatial),)


def cat_constants(facts: ConcatFacts) -> tuple[str, ...]:
    return (f"{facts.constants} constants",) if facts.constants else ()


def cat_rank(facts: ConcatFacts) -> tuple[int, ...]:
    return (facts.rank,)


def slice_rank(facts: SliceFacts) -> tuple[int, ...]:
    return (facts.rank,)


def slice_batch(facts: SliceFacts) -> tuple[str, ...]:
    return ("the first dimension",) if 0 in facts.axes else ()


def slice_steps(facts: SliceFacts) -> tuple[int, ...]:
    return tuple(s for s in facts.steps if s != 1) or (1,)


def slice_known(facts: SliceFacts) -> tuple[str, ...]:
    return ("" if facts.known else "computed at run time",)


def fill(facts: SliceFacts) -> tuple[str, ...]:
    return ("" if facts.mode in ("0", "-0") else facts.mode,)


def in_int8(facts: object) -> tuple[str, ...]:
    return ("INT8",)


def for_slice(facts: SliceFacts) -> str:
    return "channel-select" if facts.axes == (1,) and facts.rank == 4 else ""


def shuffle_ranks(facts: ShuffleFacts) -> tuple[int, ...]:
    return (len(facts.before), len(facts.after))


def shuffle_batch(facts: ShuffleFacts) -> tuple[str, ...]:
    if facts.perm:
        return ("" if facts.perm[0] == 0 else f"moved (perm {list(facts.perm)})",)
    same = bool(facts.before) and bool(facts.after) and facts.before[0] == facts.after[0]
    return ("" if same else f"{facts.before[:1]} before and {facts.after[:1]} after",)


def beside_slice(facts: ShuffleFacts) -> tuple[str, ...]:
    if facts.perm:
        return ()
    near = [op for op in facts.neighbours if op in _SLICES or op == "Concat"]
    return (near[0],) if near else ()


def for_reshape(facts: ShuffleFacts) -> str:
    ranks = (len(facts.before), len(facts.after))
    if 5 in ranks and (facts.perm or "Transpose" in facts.neighbours):
        return "channel-shuffle"
    if facts.perm:
        return "transpose-sink" if ranks == (4, 4) else "lift-to-4d"
    if ranks[1] == 2 and any(op in ("Gemm", "MatMul") for op in facts.neighbours):
        return "gemm-to-conv"
    return "" if ranks == (4, 4) else "lift-to-4d"


_D, _M = Evidence.DOCUMENTED, Evidence.REMEMBERED
_cat = functools.partial(Rule, layer="Concatenation", ops=("Concat",))
_slice = functools.partial(Rule, layer="Slice, Slice.FILL", ops=("Slice", "Split", "Pad"), profiles=SINCE_84)
_shuf = functools.partial(
    Rule, layer="Shuffle.RESHAPE, Shuffle.TRANSPOSE", ops=("Reshape", "Transpose"), profiles=ORIN, effect="uncertain"
)

RULES = (
    _cat(
        id="CAT-AXIS",
        title="Concatenation is along the channels",
        quantity=("axis counted from the end",),
        limit=Equals(-3),
        measure=cat_axis,
        evidence=_D,
        sources=("HDR", "LAT"),
        cure="concat-axis",
    ),
    _cat(
        id="CAT-N",
        title="Concatenation has at least two inputs",
        quantity=("number of inputs",),
        limit=AtLeast(2),
        measure=cat_count,
        evidence=_D,
        sources=("LAT", "N86"),
        cure="concat-pairs",
    ),
    _cat(
        id="CAT-HW",
        title="Concatenated tensors have the same height and width",
        quantity=("spatial dimensions",),
        limit=Must("equal on all inputs"),
        measure=cat_spatial,
        evidence=_D,
        sources=("LAT",),
    ),
    _cat(
        id="CAT-4D",
        title="Concatenated tensors have four dimensions",
        quantity=("number of dimensions",),
        limit=AtLeast(4),
        measure=cat_rank,
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
        measure=cat_constants,
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
    _slice(
        id="SLICE-FP16",
        title="Slices run in FP16 only",
        quantity=("precision",),
        limit=Must("FP16 (the layer is a precision border in an INT8 build)"),
        measure=in_int8,
        evidence=_D,
        effect="uncertain",
        sources=("N86", "OPS"),
        precisions=INT8_ONLY,
        cure="channel-select",
        choose=for_slice,
        explanation="In an INT8 build that allows FP16 the layer stays on the DLA in FP16, with conversions around it.",
    ),
    _slice(
        id="SLICE-4D",
        title="Sliced tensors have four dimensions",
        quantity=("number of dimensions",),
        limit=Equals(4),
        measure=slice_rank,
        evidence=_D,
        sources=("HDR",),
        cure="lift-to-4d",
    ),
    _slice(
        id="SLICE-NOTN",
        title="The batch is not sliced",
        quantity=("sliced dimension",),
        limit=Must("C, H or W"),
        measure=slice_batch,
        evidence=_D,
        sources=("HDR",),
    ),
    _slice(
        id="SLICE-STRIDE",
        title="Slice steps are one",
        quantity=("step",),
        limit=Equals(1),
        measure=slice_steps,
        evidence=_D,
        sources=("HDR",),
        cure="slice-steps",
    ),
    _slice(
        id="SLICE-STATIC",
        title="Slice bounds are constant",
        quantity=("start, size, step and axes",),
        limit=Must("build-time constants"),
        measure=slice_known,
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
        explanation="8.4 to 8.6: DEFAULT; 10.0 to 10.3: STRICT_BOUNDS; from the 10.4 headers on DEFAULT, WRAP and FILL.",
    ),
    _slice(
        id="SLICE-FILL",
        title="A Pad fills with a constant zero",
        layer="Slice.FILL",
        ops=("Pad",),
        quantity=("fill value",),
        limit=Must("0 in a scalar constant of its own"),
        measure=fill,
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
    _shuf(
        id="SHUF-EXIST",
        title="Reshape and Transpose exist on Orin from 8.5 on",
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        sources=("CN84", "DLASW"),
        cure="channel-shuffle transpose-sink gemm-to-conv lift-to-4d",
        scope=Scope.MATRIX,
        explanation="The 8.4 guide has no Shuffle section, NVIDIA's operator table lists both as native from 8.5.",
    ),
    _shuf(
        id="SHUF-LOG-X82",
        title="Reshape and Transpose are refused on Xavier with TensorRT 8.2",
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=Evidence.LOG,
        sources=("tf2onnx#1632",),
        profiles=frozenset({"X82"}),
        scope=Scope.MATRIX,
    ),
    _shuf(
        id="SHUF-4D",
        title="Reshape and Transpose have four dimensions before and after",
        quantity=("number of dimensions before", "number of dimensions after"),
        limit=Equals(4),
        measure=shuffle_ranks,
        evidence=_M,
        effect="gpu",
        sources=("guide", "KR", "TUT"),
        cure="lift-to-4d channel-shuffle gemm-to-conv",
        choose=for_reshape,
        explanation="Remembered, and consistent with logs in which every 2-D shuffle runs on the GPU.",
    ),
    _shuf(
        id="SHUF-BATCH",
        title="Reshape and Transpose leave the batch alone",
        quantity=("batch dimension",),
        limit=Must("kept"),
        measure=shuffle_batch,
        evidence=_M,
        sources=("guide",),
        cure="transpose-sink",
        choose=for_reshape,
    ),
    _shuf(
        id="SHUF-DIM",
        title="Shuffled dimensions",
        quantity=("non-batch dimensions",),
        limit=Must("in [1, 8192]"),
        evidence=_M,
        sources=("guide",),
        scope=Scope.CAVEAT,
        explanation="GEN-DIM checks it for every layer.",
    ),
    _shuf(
        id="SHUF-DECOMP",
        title="Transpose, reshape and transpose in one layer are cut into single steps",
        quantity=("every step",),
        limit=Must("legal by itself"),
        evidence=_M,
        sources=("guide",),
        scope=Scope.CAVEAT,
    ),
    _shuf(
        id="SHUF-NEIGH",
        title="A reshape directly beside Slice or Concat is refused",
        layer="Shuffle.RESHAPE",
        ops=("Reshape",),
        quantity=("neighbours",),
        limit=Must("neither Slice nor Concat"),
        measure=beside_slice,
        evidence=Evidence.LOG,
        effect="gpu",
        sources=("ult#18012",),
        profiles=SINCE_10,
        cure="channel-shuffle",
        choose=for_reshape,
    ),
    _shuf(
        id="SHUF-FLAT",
        title="Flatten, Squeeze and Unsqueeze run on the GPU",
        layer="Shuffle.FLATTEN",
        ops=("Flatten", "Squeeze", "Unsqueeze"),
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        effect="gpu",
        sources=("DLASW", "KR"),
        profiles=ALL,
        cure="lift-to-4d gemm-to-conv conv1d softmax-axis",
        scope=Scope.MATRIX,
    ),
)

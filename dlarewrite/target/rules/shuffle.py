"""Concat, Slice, Split, Pad, Reshape, Transpose."""

from __future__ import annotations

import functools

from dlarewrite.target.facts import ShuffleFacts
from dlarewrite.target.limits import AtLeast, AtMost, Must
from dlarewrite.target.rule import (
    ALL,
    MATRIX_LIMIT,
    ORIN,
    SINCE_10,
    SINCE_84,
    Rule,
    Scope,
)
from dlarewrite.target.verdict import Evidence

_SLICES = frozenset({"Slice", "Split"})


def _shuffle_ranks(facts: ShuffleFacts) -> tuple[int, ...]:
    return (len(facts.before), len(facts.after))


def _shuffle_batch(facts: ShuffleFacts) -> tuple[str, ...]:
    if facts.perm:
        return ("" if facts.perm[0] == 0 else f"moved (perm {list(facts.perm)})",)
    same = bool(facts.before) and bool(facts.after) and facts.before[0] == facts.after[0]
    return ("" if same else f"{facts.before[:1]} before and {facts.after[:1]} after",)


def _beside_slice(facts: ShuffleFacts) -> tuple[str, ...]:
    if facts.perm:
        return ()
    near = [op for op in facts.neighbours if op in _SLICES or op == "Concat"]
    return (near[0],) if near else ()


def for_reshape(facts: ShuffleFacts) -> str:
    """The pass for a shuffle by its ranks and its neighbours, or ""."""
    ranks = (len(facts.before), len(facts.after))
    if 5 in ranks and (facts.perm or "Transpose" in facts.neighbours):
        return "channel-shuffle"
    if facts.perm:
        return "transpose-sink" if ranks == (4, 4) else "lift-to-4d"
    if ranks[1] == 2 and any(op in ("Gemm", "MatMul") for op in facts.neighbours):
        return "gemm-to-conv"
    return "" if ranks == (4, 4) else "lift-to-4d"


_D, _M = Evidence.DOCUMENTED, Evidence.REMEMBERED
_shuf = functools.partial(
    Rule, layer="Shuffle.RESHAPE, Shuffle.TRANSPOSE", ops=("Reshape", "Transpose"), profiles=ORIN, effect="uncertain"
)

RULES = (
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
        title="Reshape and Transpose have at least four dimensions before and after",
        quantity=("number of dimensions before", "number of dimensions after"),
        limit=AtLeast(4),
        measure=_shuffle_ranks,
        evidence=Evidence.LOG,
        effect="gpu",
        sources=("KR", "TUT", "guide"),
        profiles=SINCE_84,
        cure="lift-to-4d channel-shuffle gemm-to-conv",
        choose=for_reshape,
        explanation="The rule is remembered from the guide; logs show every 2-D shuffle on the GPU.",
    ),
    _shuf(
        id="SHUF-4D-OVER",
        title="Reshape and Transpose have at most four dimensions before and after",
        quantity=("number of dimensions before", "number of dimensions after"),
        limit=AtMost(4),
        measure=_shuffle_ranks,
        evidence=_M,
        sources=("guide",),
        profiles=SINCE_84,
        cure="channel-shuffle lift-to-4d",
        choose=for_reshape,
        explanation="SHUF-4D for five and more dimensions, of which no log is known.",
    ),
    _shuf(
        id="SHUF-BATCH",
        title="Reshape and Transpose leave the batch alone",
        quantity=("batch dimension",),
        limit=Must("kept"),
        measure=_shuffle_batch,
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
        scope=Scope.COVERED,
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
        measure=_beside_slice,
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
        cure="lift-to-4d gemm-to-conv conv1d upgrade-legacy",
        scope=Scope.MATRIX,
    ),
)

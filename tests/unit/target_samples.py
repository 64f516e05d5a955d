"""The rule book's own sample nodes, and the judge's answers to them."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from dlarewrite.target import Judge, NodeVerdict, Precision, load_target
from dlarewrite.target.probes import CASES, EDGES
from dlarewrite.target.samples import (
    DATA,
    batchnorm,
    cast_behind_comparison,
    clip,
    compare,
    concat,
    const,
    conv,
    deconv,
    gemm,
    ints,
    matmul,
    node,
    nothing,
    of_rank,
    ones,
    pad,
    pair,
    pool,
    reduce,
    reshape,
    resize,
    sized,
    slice_,
    softmax,
    then,
    transpose,
    unary,
    var,
    with_indices,
)

__all__ = [
    "CASES",
    "COLUMN_TARGETS",
    "DATA",
    "EDGES",
    "batchnorm",
    "cast_behind_comparison",
    "clip",
    "compare",
    "concat",
    "const",
    "conv",
    "deconv",
    "gemm",
    "ints",
    "judge",
    "matmul",
    "node",
    "nothing",
    "of_rank",
    "ones",
    "pad",
    "pair",
    "pool",
    "reduce",
    "reshape",
    "resize",
    "rules_of",
    "sized",
    "slice_",
    "softmax",
    "then",
    "transpose",
    "unary",
    "var",
    "with_indices",
]

COLUMN_TARGETS = {
    "X82": "xavier-jp4",
    "X85": "xavier-jp5",
    "O85": "orin-jp5",
    "O86": "orin-jp6.0",
    "D86": "drive-orin-6.0.9",
    "O10": "orin-jp6",
    "O114": "agx-orin-jp7",
}


def judge(
    made: gs.Node, target: str = "orin-jp6", precision: Precision = Precision.FP16, opset: int = 17
) -> NodeVerdict:
    return Judge(load_target(target, precision), opset).node(made)


def rules_of(verdict: NodeVerdict) -> set[str]:
    return {finding.rule for finding in verdict.findings}

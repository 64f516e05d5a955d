"""The support matrix of the fact base, transcribed, against the data file and against the judge's verdicts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_graphsurgeon as gs
import pytest
from target_samples import COLUMN_TARGETS, judge

from dlarewrite.target import Precision, Verdict, support_matrix
from dlarewrite.target.rule import COLUMNS
from dlarewrite.target.samples import (
    batchnorm,
    cast_behind_comparison,
    compare,
    concat,
    const,
    conv,
    deconv,
    gemm,
    matmul,
    node,
    ones,
    pad,
    pair,
    pool,
    reduce,
    reshape,
    resize,
    slice_,
    softmax,
    transpose,
    unary,
    var,
)

# Row id -> the seven cells, without evidence letters.
TABLE = """
conv               Y  Y  Y  Y  Y  Y  Y
deconv             Y* Y  Y  Y  Y  Y  Y
fully-connected    Y  Y  Y  Y  Y  Y  Y
matmul-activations N  N  N  N  N  N  N
pool               Y  Y  Y  Y  Y  Y  Y
pool-exclusive     N  N  Y  Y  Y  Y  Y
reduce-average     N  N  N  N  N  N  N
reduce-max         N  N  N  N  Y  Y  Y
reduce-other       N  N  N  N  N  N  N
activation         Y  Y  Y  Y  Y  Y  Y
prelu              N  Y  Y  Y  Y  Y  Y
activation-other   N  N  N  N  N  N  N
elementwise        Y  Y  Y  Y  Y  Y  Y
min                ?  ?  ?  ?  ?  ?  ?
div                N  N  N  N  Y* Y* Y*
pow                N  N  N  N  ?  Y* Y*
equal              N  ?  Y* Y* Y* Y* Y*
compare            N  N  N  N  Y* Y* Y*
scale              Y  Y  Y  Y  Y  Y  Y
concat             Y  Y  Y  Y  Y  Y  Y
concat-other       N  N  N  N  N  N  N
resize-nearest     Y  Y  Y  Y  Y  Y  Y
resize-linear      N  Y  Y  Y  Y  Y  Y
lrn                Y  Y  Y  Y  Y  Y  Y
softmax            N  N  Y  Y  Y  Y  Y
log-softmax        N  N  N  N  N  N  N
slice              N  Y  Y  Y  Y  Y  Y
pad                N  N  N  N  N  N  ?
shuffle            N  ?  Y* Y* Y* Y* Y*
flatten            N  N  N  N  N  N  N
no-dla             N  N  N  N  N  N  N
abs                N  Y  Y  Y  Y  Y  Y
sin-cos            N  N  N  N  Y* Y* Y*
unary-other        N  N  N  N  N  N  N
normalization      N  N  N  N  N  N  N
recurrence         N  N  N  N  N  N  N
identity           ?  ?  N  N  N  N  N
cast               N  N  N  N  Y* Y* Y*
quantize           N  N  N  N  N  N  Y*
"""
CELLS = {line.split()[0]: line.split()[1:] for line in TABLE.strip().splitlines()}

WITHOUT_DLA = """
DepthToSpace SpaceToDepth Gather GatherElements GatherND ScatterElements ScatterND Where TopK NonMaxSuppression CumSum
ArgMax GridSample RoiAlign
"""
# Row id -> nodes that keep every other rule of the row, so that the cell alone decides.
NODES: dict[str, tuple[Callable[[], gs.Node], ...]] = {
    "conv": (conv, lambda: conv(group=16)),
    "deconv": (deconv,),
    "fully-connected": (gemm, lambda: matmul((4, 64), (64, 10))),
    "matmul-activations": (
        lambda: matmul((1, 4, 8, 8), (1, 4, 8, 8), constant=False),
        lambda: node("Einsum", [var(), var()], equation="bchw,bchw->bchw"),
        lambda: unary("Attention"),
    ),
    "pool": (pool, lambda: pool("AveragePool", count_include_pad=1)),
    "pool-exclusive": (lambda: pool("AveragePool", pads=[1, 1, 1, 1]),),
    "reduce-average": (lambda: reduce("ReduceMean"), lambda: unary("GlobalAveragePool")),
    "reduce-max": (reduce, lambda: unary("GlobalMaxPool")),
    "reduce-other": tuple(
        (lambda op=op: reduce(op))
        for op in (
            "ReduceSum",
            "ReduceMin",
            "ReduceL1",
            "ReduceL2",
            "ReduceProd",
            "ReduceLogSum",
            "ReduceLogSumExp",
            "ReduceSumSquare",
        )
    ),
    "activation": (
        *((lambda op=op: unary(op)) for op in ("Relu", "Sigmoid", "Tanh", "LeakyRelu")),
        lambda: node("Clip", [var(), const(0.0), const(6.0)]),
    ),
    "prelu": (lambda: node("PRelu", [var(), ones(1, 16, 1, 1)]),),
    "activation-other": tuple(
        (lambda op=op: unary(op))
        for op in (
            "Elu",
            "Selu",
            "Celu",
            "HardSigmoid",
            "HardSwish",
            "Softplus",
            "Softsign",
            "ThresholdedRelu",
            "Gelu",
            "Mish",
        )
    ),
    "elementwise": tuple(
        (lambda op=op: pair(op, var(name="a"), var(name="b"))) for op in ("Add", "Sub", "Mul", "Max", "Sum")
    ),
    "min": (lambda: pair("Min", var(name="a"), var(name="b")),),
    "div": (lambda: pair("Div", var(), const(2.0)), lambda: pair("Div", var(name="a"), var(name="b"))),
    "pow": (lambda: pair("Pow", var(), const(2.0)),),
    "equal": (lambda: compare("Equal"),),
    "compare": tuple((lambda op=op: compare(op)) for op in ("Greater", "Less", "GreaterOrEqual", "LessOrEqual")),
    "scale": (batchnorm, lambda: pair("Mul", var(), ones(1, 16, 1, 1)), lambda: pair("Add", var(), const(1.0))),
    "concat": (concat,),
    "concat-other": (lambda: concat(axis=2), lambda: concat(axis=3), lambda: concat(axis=0)),
    "resize-nearest": (resize,),
    "resize-linear": (lambda: resize(mode="linear"),),
    "lrn": (lambda: unary("LRN", size=5),),
    "softmax": (softmax,),
    "log-softmax": (lambda: unary("LogSoftmax", axis=1),),
    "slice": (
        slice_,
        lambda: gs.Node("Split", "s", {"axis": 1}, [var()], [var((1, 8, 8, 8), name="a"), var((1, 8, 8, 8), name="b")]),
    ),
    "pad": (pad,),
    "shuffle": (reshape, transpose),
    "flatten": (
        lambda: node("Flatten", [var()], (1, 1024)),
        lambda: node("Squeeze", [var((1, 16, 1, 1))], (1, 16)),
        lambda: node("Unsqueeze", [var()], (1, 1, 16, 8, 8)),
    ),
    "no-dla": (
        *((lambda op=op: node(op, [var(), var(name="b")])) for op in WITHOUT_DLA.split()),
        lambda: node("Tile", [var(), var((4,), np.int64)], (1, 32, 8, 8)),
        lambda: node("Expand", [var(), var((4,), np.int64)], (2, 16, 8, 8)),
    ),
    "abs": (lambda: unary("Abs"),),
    "sin-cos": (lambda: unary("Sin"), lambda: unary("Cos")),
    "unary-other": tuple(
        (lambda op=op: unary(op))
        for op in ("Neg", "Exp", "Log", "Sqrt", "Reciprocal", "Erf", "Floor", "Ceil", "Round", "Sign", "Not")
    ),
    "normalization": tuple(
        (lambda op=op: unary(op))
        for op in (
            "InstanceNormalization",
            "LayerNormalization",
            "GroupNormalization",
            "MeanVarianceNormalization",
            "LpNormalization",
        )
    ),
    "recurrence": tuple((lambda op=op: unary(op)) for op in ("LSTM", "GRU", "RNN", "Loop", "If", "Scan")),
    "identity": (lambda: unary("Identity"), lambda: unary("Dropout")),
    "cast": (cast_behind_comparison,),
    "quantize": (
        lambda: node("QuantizeLinear", [var(), const(0.1)], dtype=np.int8),
        lambda: node("DequantizeLinear", [var(dtype=np.int8), const(0.1)]),
    ),
}
# Rows whose layers exist in INT8 only.
IN_INT8 = frozenset({"equal", "compare"})
# A yes whose rules leave a doubt of their own: Gemm and MatMul have Shuffles beside them (FC-RESHAPE).
DOUBTED = frozenset({"fully-connected"})


def test_the_data_file_holds_the_fact_bases_cells() -> None:
    rows = {row.id: row for row in support_matrix() if not row.extra}
    assert set(rows) == set(CELLS)
    for row_id, cells in CELLS.items():
        assert [rows[row_id].cells[column].mark for column in COLUMNS] == cells, row_id


def test_the_letters_of_the_fact_base_are_kept() -> None:
    rows = {row.id: row for row in support_matrix()}
    assert str(rows["pool-exclusive"].cells["O10"]) == "Y [inferred]"
    assert str(rows["reduce-average"].cells["O10"]) == "N [log]"
    assert str(rows["div"].cells["O86"]) == str(rows["pow"].cells["O86"]) == "N [log]"


def test_every_row_has_nodes() -> None:
    assert set(NODES) == set(CELLS)


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("row_id", CELLS)
def test_the_judge_reproduces_the_cell(row_id: str, column: str) -> None:
    row = next(row for row in support_matrix() if row.id == row_id)
    cell = row.cells[column]
    precision = Precision.INT8 if row_id in IN_INT8 else Precision.FP16
    for build in NODES[row_id]:
        made = build()
        if row_id == "resize-nearest":
            made.attrs["nearest_mode"] = "floor"
        found = judge(made, COLUMN_TARGETS[column], precision)
        if cell.mark == "N":
            assert found.verdict is Verdict.GPU, made.op
            assert row.rule_for(column) in {f.rule for f in found.findings}, made.op
        elif cell.mark == "?" or row_id in DOUBTED or not cell.evidence.firm or (cell.mark == "Y*" and row.doubt):
            assert found.verdict is Verdict.UNCERTAIN, (made.op, found)
        else:
            assert found.verdict is Verdict.DLA, (made.op, found)


@pytest.mark.parametrize("row_id", [row_id for row_id, cells in CELLS.items() if "?" in cells])
def test_a_disputed_cell_names_both_sources(row_id: str) -> None:
    column = COLUMNS[CELLS[row_id].index("?")]
    precision = Precision.INT8 if row_id in IN_INT8 else Precision.FP16
    found = judge(NODES[row_id][0](), COLUMN_TARGETS[column], precision)
    finding = found.findings[0]
    assert "is not settled: " in finding.message
    assert len(finding.source.split("; ")) >= 2 or row_id == "identity"

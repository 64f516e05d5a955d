"""Single nodes to be judged: small builders, one legal and one illegal case per rule, and nodes at the rules' edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.target import Judge, NodeVerdict, Precision, load_target

COLUMN_TARGETS = {
    "X82": "xavier-jp4",
    "X85": "xavier-jp5",
    "O85": "orin-jp5",
    "O86": "orin-jp6.0",
    "D86": "drive-orin-6.0.9",
    "O10": "orin-jp6",
    "O114": "agx-orin-jp7",
}
DATA = (1, 16, 8, 8)


def var(shape: Sequence[Any] | None = DATA, dtype: Any = np.float32, name: str = "x") -> gs.Variable:
    return gs.Variable(name, dtype, None if shape is None else list(shape))


def const(values: Any, dtype: Any = np.float32, name: str = "c") -> gs.Constant:
    return gs.Constant(name, np.asarray(values, dtype=dtype))


def ones(*shape: int, name: str = "w") -> gs.Constant:
    return gs.Constant(name, np.ones(shape, np.float32))


def ints(*values: int) -> gs.Constant:
    return const(values, np.int64, "i")


def nothing() -> gs.Variable:
    return gs.Variable.empty()


def node(
    op: str, inputs: Sequence[gs.Tensor], out: Sequence[Any] | None = DATA, dtype: Any = np.float32, **attrs: Any
) -> gs.Node:
    return gs.Node(op, op.lower(), attrs, list(inputs), [var(out, dtype, "y")])


def judge(
    made: gs.Node, target: str = "orin-jp6", precision: Precision = Precision.FP16, opset: int = 17
) -> NodeVerdict:
    return Judge(load_target(target, precision), opset).node(made)


def rules_of(verdict: NodeVerdict) -> set[str]:
    return {finding.rule for finding in verdict.findings}


def conv(
    kernel: Sequence[int] = (3, 3), *, channels: int = 16, maps: int = 16, group: int = 1, width: int = 8, **attrs: Any
) -> gs.Node:
    spatial = len(kernel)
    data = (1, channels, *(8,) * (spatial - 1), width)
    weights = gs.Constant("w", np.broadcast_to(np.float32(1), (maps, channels // max(group, 1), *kernel)))
    out = (1, max(maps, 1), *(8,) * spatial)
    return node("Conv", [var(data), weights], out, kernel_shape=list(kernel), group=group, **attrs)


def deconv(
    kernel: Sequence[int] = (2, 2),
    strides: Sequence[int] = (2, 2),
    *,
    channels: int = 16,
    maps: int = 16,
    group: int = 1,
    **attrs: Any,
) -> gs.Node:
    weights = gs.Constant("w", np.broadcast_to(np.float32(1), (channels, maps, *kernel)))
    data = (1, max(channels, 1), *(8,) * len(kernel))
    return node(
        "ConvTranspose", [var(data), weights], (1, 16, *(8,) * len(kernel)), strides=list(strides), group=group, **attrs
    )


def pool(op: str = "MaxPool", kernel: Sequence[int] = (2, 2), **attrs: Any) -> gs.Node:
    data = (1, 16, *(8,) * len(kernel))
    return node(op, [var(data)], data, kernel_shape=list(kernel), **attrs)


def unary(op: str, shape: Sequence[Any] = DATA, **attrs: Any) -> gs.Node:
    return node(op, [var(shape)], shape, **attrs)


def of_rank(op: str, rank: int, **attrs: Any) -> gs.Node:
    return unary(op, (1, 4, 4, 4, 4, 4)[:rank], **attrs)


def pair(op: str, a: gs.Tensor, b: gs.Tensor, out: Sequence[int] = DATA, dtype: Any = np.float32) -> gs.Node:
    return node(op, [a, b], out, dtype)


def clip(low: float | None, high: float | None) -> gs.Node:
    bounds = [nothing() if value is None else const(value) for value in (low, high)]
    return node("Clip", [var(), *bounds])


def concat(count: int = 2, axis: int = 1, shape: Sequence[int] = DATA, **attrs: Any) -> gs.Node:
    out = list(shape)
    out[axis] *= count
    return node("Concat", [var(shape, name=f"x{i}") for i in range(count)], out, axis=axis, **attrs)


def slice_(axis: int = 1, start: int = 0, end: int = 8, step: int = 1, shape: Sequence[int] = DATA) -> gs.Node:
    out = list(shape)
    out[axis] = max(1, (end - start) // (step or 1))
    return node("Slice", [var(shape), ints(start), ints(end), ints(axis), ints(step)], out)


def resize(scales: Sequence[float] = (1, 1, 2, 2), mode: str = "nearest", **attrs: Any) -> gs.Node:
    attrs.setdefault("coordinate_transformation_mode", "asymmetric" if mode == "nearest" else "half_pixel")
    attrs.setdefault("nearest_mode", "floor")
    out = [int(n * s) or 1 for n, s in zip(DATA, scales, strict=False)]
    return node("Resize", [var(), nothing(), const(scales)], out, mode=mode, **attrs)


def sized(height: int, width: int, mode: str = "nearest") -> gs.Node:
    sizes = ints(1, 16, height, width)
    return node(
        "Resize",
        [var(), nothing(), nothing(), sizes],
        (1, 16, height, width),
        mode=mode,
        coordinate_transformation_mode="half_pixel",
    )


def reshape(before: Sequence[int] = DATA, after: Sequence[int] = (1, 8, 16, 8)) -> gs.Node:
    return node("Reshape", [var(before), ints(*after)], after)


def transpose(perm: Sequence[int] = (0, 2, 3, 1), before: Sequence[int] = (1, 4, 5, 6, 7)) -> gs.Node:
    before = before[: len(perm)]
    return node("Transpose", [var(before)], [before[p] for p in perm], perm=list(perm))


def then(made: gs.Node, op: str, dtype: Any = np.float32) -> gs.Node:
    """``made`` with a reader behind it."""
    out = made.outputs[0]
    gs.Node(op, "reader", {}, [out], [gs.Variable("z", dtype, out.shape)])
    return made


def compare(
    op: str = "Greater", reader: str = "Cast", a: gs.Tensor | None = None, b: gs.Tensor | None = None
) -> gs.Node:
    left, right = a or var(name="a"), b or var(name="b")
    return then(pair(op, left, right, dtype=np.bool_), reader)


def cast_behind_comparison() -> gs.Node:
    made: gs.Node = compare().outputs[0].outputs[0]
    return made


def gemm(features: int = 64, maps: int = 10, constant: bool = True, **attrs: Any) -> gs.Node:
    weights = (
        gs.Constant("w", np.broadcast_to(np.float32(1), (features, maps)))
        if constant
        else var((features, maps), name="w")
    )
    return node("Gemm", [var((1, max(features, 1))), weights], (1, max(maps, 1)), **attrs)


def matmul(a: Sequence[int], b: Sequence[int], constant: bool = True) -> gs.Node:
    second = ones(*b) if constant else var(b, name="w")
    return node("MatMul", [var(a), second], (*a[:-1], b[-1]))


def reduce(
    op: str = "ReduceMax", axes: Sequence[int] = (2, 3), shape: Sequence[int] = DATA, keepdims: int = 1
) -> gs.Node:
    kept = [1 if i in axes else n for i, n in enumerate(shape)]
    out = kept if keepdims else [n for i, n in enumerate(shape) if i not in axes]
    return node(op, [var(shape)], out, axes=list(axes), keepdims=keepdims)


def softmax(shape: Sequence[int] = DATA, axis: int = 1) -> gs.Node:
    return node("Softmax", [var(shape)], shape, axis=axis)


def batchnorm(constant: bool = True, shape: Sequence[int] = DATA) -> gs.Node:
    stats = [ones(16) if constant else var((16,), name=f"s{i}") for i in range(4)]
    return node("BatchNormalization", [var(shape), *stats], shape)


def pad(value: float = 0.0, mode: str = "constant", pads: Sequence[int] = (0, 0, 1, 1, 0, 0, 1, 1)) -> gs.Node:
    out = [n + a + b for n, a, b in zip(DATA, pads[:4], pads[4:], strict=True)]
    return node("Pad", [var(), ints(*pads), const(value)], out, mode=mode)


# Nodes at the edges: rule -> a node whose measured value is the one given.
EDGES: dict[str, Callable[[Any], gs.Node]] = {
    "CONV-2D": lambda n: conv((1,) * n),
    "CONV-KERNEL": lambda n: conv((n, 1)),
    "CONV-STRIDE": lambda n: conv(strides=[n, 1]),
    "CONV-PAD": lambda n: conv((32, 32), pads=[n, 0, 0, 0]),
    "CONV-PAD-LT": lambda v: conv((v[1], v[1]), pads=[v[0], 0, 0, 0]),
    "CONV-PAD-KDIL": lambda v: conv((v[1], v[1]), pads=[v[0]] * 4, dilations=[2, 2]),
    "CONV-DIL": lambda n: conv(dilations=[n, 1]),
    "CONV-OUTMAPS": lambda n: conv((1, 1), maps=n),
    "CONV-GROUPS": lambda n: conv((1, 1), channels=n, maps=n, group=n),
    "CONV-GROUP-INT8": lambda n: conv(channels=2 * n, maps=8, group=2),
    "CONV-CBUF": lambda n: conv((1, 1), channels=64, width=256 * (n - 1)),
    "CONV-CBUF-WARN": lambda n: conv((1, 1), channels=64, width=256 * (n - 1)),
    "FC-FEATURES": lambda n: gemm(features=n),
    "DECONV-2D": lambda n: deconv((2,) * n, (2,) * n),
    "DECONV-PAD": lambda n: deconv(pads=[n, 0, 0, 0]),
    "DECONV-GROUP": lambda n: deconv(group=n),
    "DECONV-DIL": lambda n: deconv(dilations=[n, 1]),
    "DECONV-KERNEL": lambda v: deconv(v),
    "DECONV-STRIDE": lambda v: deconv((2, 2), v),
    "DECONV-SQ23": lambda v: deconv(v, (1, 2)),
    "DECONV-K=S": lambda n: deconv((2 + n, 2), (2, 2)),
    "DECONV-CH": lambda n: deconv(channels=n),
    "POOL-2D": lambda n: pool(kernel=(2,) * n),
    "POOL-WIN": lambda n: pool(kernel=(n, 2)),
    "POOL-PAD": lambda n: pool(kernel=(8, 8), pads=[n, 0, 0, 0]),
    "POOL-STRIDE": lambda n: pool(strides=[n, 1]),
    "POOL-DIL": lambda n: pool(dilations=[n, 1]),
    "ACT-2D": lambda n: of_rank("Relu", n),
    "ACT-CLIP-LO": lambda n: clip(n, 6),
    "ACT-CLIP-HI": lambda n: clip(0, n),
    "ACT-NEGSLOPE": lambda n: unary("LeakyRelu", alpha=float(n)),
    "PRELU-2D": lambda n: node("PRelu", [var(DATA[:n]), ones(*(1,) * n)], DATA[:n]),
    "EW-2D": lambda n: pair("Add", var(DATA[:n], name="a"), var(DATA[:n], name="b"), DATA[:n]),
    "SCALE-2D": lambda n: pair("Mul", var(DATA[:n]), const(2.0), DATA[:n]),
    "CAT-AXIS": lambda n: concat(axis=4 + n),
    "CAT-N": lambda n: concat(n),
    "CAT-4D": lambda n: concat(shape=DATA[:n]),
    "SLICE-4D": lambda n: slice_(shape=(1, 16, 8, 8, 8)[:n]),
    "SLICE-STRIDE": lambda n: slice_(step=n),
    "SHUF-4D": lambda n: reshape(after=(1, 8, 16, 8)[4 - n :]),
    "SHUF-4D-OVER": lambda n: reshape(after=(1, 8, 16, 2, 4)[:n]),
    "RSZ-4": lambda n: resize((1, 1, 2, 2, 2)[:n]),
    "RSZ-NC": lambda n: resize((1, n, 2, 2)),
    "RSZ-NEAR": lambda n: resize((1, 1, n, 2)),
    "RSZ-LIN": lambda n: resize((1, 1, n, 2), "linear"),
    "RSZ-LIN-MODE": lambda word: resize(mode="linear", coordinate_transformation_mode=word),
    "RED-4D": lambda n: reduce(axes=(1,), shape=(1, 4, 4, 4, 4)[:n]),
    "UNARY-4D": lambda n: of_rank("Abs", n),
    "SMAX-4D": lambda n: softmax((1, 16, 8, 8)[:n], axis=1),
    "SMAX-ACC": lambda n: softmax((1, n, 1, 1)),
    "SMAX-OPT": lambda n: softmax((1, n, 2, 1)),
    "LRN-WIN": lambda n: unary("LRN", size=n),
    "LRN-4D": lambda n: of_rank("LRN", n, size=5),
    "GEN-DIM": lambda n: unary("Relu", (1, n, 4, 4)),
    "GEN-BATCH": lambda n: unary("Relu", (n, 1, 1, 1)),
    "GEN-BATCH-OLD": lambda n: unary("Relu", (n, 1, 1, 1)),
    "GEN-RANK-OVER": lambda n: unary("Relu", (1, 2, 2, 2, 2)[:n]),
}

_HALF: dict[str, Any] = {"coordinate_transformation_mode": "half_pixel"}

# Rules in words: rule -> a node that keeps it and a node that breaks it, made anew for each use.
CASES: dict[str, tuple[Callable[[], gs.Node], Callable[[], gs.Node]]] = {
    "CONV-PAD-EVEN": (lambda: conv(pads=[1, 1, 1, 1]), lambda: conv(pads=[0, 0, 1, 1])),
    "CONV-CONSTW": (conv, lambda: node("Conv", [var(), var((16, 16, 3, 3), name="w")])),
    "FC-CONST": (gemm, lambda: gemm(transA=1)),
    "FC-RESHAPE": (conv, gemm),
    "MM-ACT": (gemm, lambda: gemm(constant=False)),
    "DECONV-OUTPAD": (deconv, lambda: deconv((3, 3), pads=[0, 0, 1, 1], output_padding=[1, 1])),
    "POOL-TYPE": (pool, lambda: pool("LpPool")),
    "POOL-INDICES": (pool, lambda: _with_indices()),
    "POOL-EXCL-82": (lambda: pool("AveragePool", count_include_pad=1), lambda: pool("AveragePool")),
    "POOL-EXCL-X": (lambda: pool("AveragePool", count_include_pad=1), lambda: pool("AveragePool")),
    "POOL-EXCL-O": (lambda: pool("AveragePool", count_include_pad=1), lambda: pool("AveragePool")),
    "POOL-CEIL": (pool, lambda: pool(ceil_mode=1)),
    "POOL-INT8-SCALE": (lambda: unary("Relu"), pool),
    "ACT-LIST": (lambda: unary("Relu"), lambda: unary("Elu")),
    "ACT-INT8-UP": (lambda: unary("Relu"), lambda: unary("Tanh")),
    "ACT-OTHER": (lambda: unary("Relu"), lambda: unary("HardSwish")),
    "PRELU-CONST": (
        lambda: node("PRelu", [var(), ones(1, 16, 1, 1)]),
        lambda: node("PRelu", [var(), var((1, 16, 1, 1), name="s")]),
    ),
    "PRELU-RANK": (
        lambda: node("PRelu", [var(), ones(1, 16, 1, 1)]),
        lambda: node("PRelu", [var(), ones(16, 1, 1)]),
    ),
    "PRELU-SHAPE": (
        lambda: node("PRelu", [var(), ones(1, 16, 8, 1)]),
        lambda: node("PRelu", [var(), ones(1, 4, 1, 1)]),
    ),
    "EW-LIST": (lambda: pair("Max", var(name="a"), var(name="b")), lambda: pair("Mod", var(name="a"), var(name="b"))),
    "EW-MIN?": (lambda: pair("Max", var(name="a"), var(name="b")), lambda: pair("Min", var(name="a"), var(name="b"))),
    "EW-SUB-X": (
        lambda: pair("Add", var(name="a"), var(name="b")),
        lambda: pair("Sub", var(name="a"), var(name="b")),
    ),
    "EW-SUB-CONST": (lambda: pair("Sub", var(), const(1.0)), lambda: pair("Sub", const(1.0), var())),
    "EW-DIV": (lambda: pair("Mul", var(), const(2.0)), lambda: pair("Div", var(), const(2.0))),
    "EW-DIV-TYPES": (lambda: pair("Div", var(), const(2.0)), lambda: pair("Div", var(name="a"), var(name="b"))),
    "EW-POW": (lambda: pair("Mul", var(), const(2.0)), lambda: pair("Pow", var(), const(2.0))),
    "EW-POW-CONST": (lambda: pair("Pow", var(), const(2.0)), lambda: pair("Pow", var(), ones(1, 16, 1, 1))),
    "EW-INT8-RANGE": (lambda: unary("Relu"), lambda: pair("Add", var(name="a"), var(name="b"))),
    "EW-BCAST": (
        lambda: pair("Mul", var(name="a"), var(name="b")),
        lambda: pair("Mul", var(name="a"), var((1, 16, 1, 1), name="b")),
    ),
    "EW-CONST": (lambda: pair("Add", var(), ones(1, 16, 1, 1)), lambda: pair("Add", var(), ones(8))),
    "CMP-LIST": (lambda: unary("Relu"), compare),
    "CMP-PREC": (lambda: unary("Relu"), lambda: compare("Equal")),
    "CMP-CAST": (lambda: compare("Equal"), lambda: compare("Equal", "Not")),
    "CMP-BCAST": (
        lambda: compare(b=var((1, 16, 1, 1), name="b")),
        lambda: compare(b=var((1, 1, 8, 8), name="b")),
    ),
    "SCALE-MODE": (batchnorm, lambda: node("Mean", [var(name="a"), var(name="b")])),
    "SCALE-STATS": (batchnorm, lambda: batchnorm(constant=False)),
    "SCALE-SIZE-O": (
        lambda: pair("Add", var(), ones(1, 16, 1, 1)),
        lambda: pair("Add", var(), ones(1, 16, 8, 8)),
    ),
    "CAT-HW": (
        concat,
        lambda: node("Concat", [var(name="a"), var((1, 16, 4, 8), name="b")], (1, 32, 8, 8), axis=1),
    ),
    "CAT-CONST": (concat, lambda: node("Concat", [var(), ones(*DATA)], (1, 32, 8, 8), axis=1)),
    "CAT-INT8": (lambda: unary("Relu"), concat),
    "SLICE-FP16": (lambda: unary("Relu"), slice_),
    "SLICE-NOTN": (slice_, lambda: slice_(0, shape=(16, 16, 8, 8))),
    "SLICE-STATIC": (
        slice_,
        lambda: node("Slice", [var(), var((1,), np.int64, "s"), ints(8), ints(1)], (1, 8, 8, 8)),
    ),
    "SLICE-MODE": (slice_, lambda: pad(mode="reflect")),
    "SLICE-FILL": (lambda: pad(0.0), lambda: pad(1.0)),
    "SLICE-NONE": (lambda: unary("Relu"), slice_),
    "SHUF-EXIST": (lambda: unary("Relu"), reshape),
    "SHUF-LOG-X82": (lambda: unary("Relu"), reshape),
    "SHUF-BATCH": (transpose, lambda: transpose((1, 0, 2, 3))),
    "SHUF-NEIGH": (lambda: then(reshape(), "Relu"), lambda: then(reshape(), "Concat")),
    "SHUF-FLAT": (lambda: unary("Relu"), lambda: node("Flatten", [var()], (1, 1024))),
    "RSZ-MODE": (resize, lambda: resize(mode="cubic")),
    "RSZ-SCALES": (resize, lambda: sized(16, 16)),
    "RSZ-NEAR-MODE": (
        lambda: resize(**_HALF, nearest_mode="round_prefer_ceil"),
        lambda: resize(**_HALF, nearest_mode="ceil"),
    ),
    "RSZ-NEAR-82": (resize, lambda: resize(**_HALF, nearest_mode="round_prefer_floor")),
    "RSZ-ANTIALIAS": (resize, lambda: resize(antialias=1)),
    "SMAX-ORIN": (lambda: unary("Relu"), softmax),
    "SMAX-FP16": (lambda: unary("Relu"), softmax),
    "SMAX-AXIS": (softmax, lambda: softmax(axis=0)),
    "SMAX-OPT-ERROR": (lambda: softmax((1, 16, 1, 1)), softmax),
    "LRN-FP16": (lambda: unary("Relu"), lambda: unary("LRN", size=5)),
    "RED-MAX": (reduce, lambda: reduce("ReduceMin")),
    "RED-AXES": (reduce, lambda: reduce(axes=(0, 1))),
    "RED-KEEP": (reduce, lambda: reduce(keepdims=0)),
    "RED-AVG": (reduce, lambda: reduce("ReduceMean")),
    "UNARY-ABS": (lambda: unary("Abs"), lambda: unary("Abs")),
    "UNARY-OPS": (lambda: unary("Abs"), lambda: unary("Sin")),
    "UNARY-NO": (lambda: unary("Abs"), lambda: unary("Ceil")),
    "NODLA": (lambda: unary("Relu"), lambda: unary("SpaceToDepth", blocksize=2)),
    "NOLAYER": (lambda: unary("Relu"), lambda: unary("Swish")),
    "IDENT": (lambda: unary("Relu"), lambda: unary("Identity")),
    "CAST": (lambda: node("Cast", [var()], to=1), lambda: node("Cast", [var(dtype=np.float16)], to=1)),
    "QDQ": (lambda: unary("Relu"), lambda: node("QuantizeLinear", [var(), const(0.1)], dtype=np.int8)),
    "GEN-PLUGIN": (lambda: unary("Relu"), lambda: unary("EfficientNMS_TRT")),
    "NORULE": (lambda: unary("Relu"), lambda: unary("NobodyKnows")),
    "GEN-STATIC": (lambda: unary("Relu"), lambda: unary("Relu", ("n", 16, 8, 8))),
    "Q-TYPED-INT8": (lambda: unary("Identity"), lambda: unary("Relu")),
}


def _with_indices() -> gs.Node:
    made = pool()
    made.outputs.append(gs.Variable("indices", np.int64, list(DATA)))
    return made

"""Reductions, softmax, local response normalization, matrix products."""

from __future__ import annotations

import math

from dlarewrite.ir.view import axis, shape
from dlarewrite.target.constness import value
from dlarewrite.target.facts import Layer, LrnFacts, MatrixFacts, NodeView, PlainFacts, ReduceFacts, SoftmaxFacts

_OPERATION = {"ReduceMax": "MAX", "GlobalMaxPool": "MAX", "ReduceMean": "AVG", "GlobalAveragePool": "AVG"}
# ReduceSum takes its axes as an input from opset 13 on, the others from 18 on; an attribute, where present, rules.


def reduce(view: NodeView) -> tuple[Layer, ...]:
    """ReduceX is a Reduce over constant axes."""
    op = _OPERATION.get(view.op) or view.op.removeprefix("Reduce").upper()
    return (Layer(f"Reduce.{op}", _reduce(view, op)),)


def _reduce(view: NodeView, op: str) -> ReduceFacts | None:
    if view.xs is None:
        return None
    rank = len(view.xs)
    given = view.attr("axes")
    tensor = view.input(1)
    axes: tuple[int, ...] | None
    if given is not None:
        axes = tuple(axis(int(a), rank) for a in given)
    elif tensor is not None:
        held = value(tensor)
        axes = None if held is None else tuple(axis(int(a), rank) for a in held.reshape(-1))
    else:
        axes = ()
    if axes == () and not view.attr("noop_with_empty_axes", 0):
        axes = tuple(range(rank))
    return ReduceFacts(view, op, rank, axes, bool(view.attr("keepdims", 1)))


def global_pool(view: NodeView) -> tuple[Layer, ...]:
    """GlobalAveragePool and GlobalMaxPool are a Reduce over the spatial axes, never a Pooling."""
    op = _OPERATION[view.op]
    if view.xs is None:
        return (Layer(f"Reduce.{op}", None),)
    rank = len(view.xs)
    return (Layer(f"Reduce.{op}", ReduceFacts(view, op, rank, tuple(range(2, rank)), True)),)


def softmax(view: NodeView) -> tuple[Layer, ...]:
    """Softmax is a Softmax; before opset 13 it is flattened to two dimensions by Shuffles around it."""
    log = (Layer("Unary.LOG", PlainFacts(view, 4)),) if view.op == "LogSoftmax" else ()
    flat = (Layer("Shuffle.FLATTEN", None),) if view.opset < 13 else ()
    if view.xs is None:
        return (Layer("Softmax", None), *flat, *log)
    rank = len(view.xs)
    where = axis(int(view.attr("axis", -1 if view.opset >= 13 else 1)), rank)
    size = view.xs[where] if rank else 1
    others = math.prod(n for i, n in enumerate(view.xs) if i not in (0, where))
    return (Layer("Softmax", SoftmaxFacts(view, rank, where, size, others)), *flat, *log)


def lrn(view: NodeView) -> tuple[Layer, ...]:
    """LRN is an LRN."""
    rank = len(view.xs) if view.xs is not None else 4
    return (Layer("LRN", LrnFacts(view, rank, int(view.attr("size", 0)))),)


def gemm(view: NodeView) -> tuple[Layer, ...]:
    """Gemm is a matrix product, which the DLA takes as a 1x1 convolution where the second operand is constant."""
    form = shape(view.input(1))
    if not view.const.tensor(view.input(1)):
        return (Layer("MatrixMultiply.ACTIVATIONS", None),)
    if form is None or len(form) != 2:
        return (Layer("MatrixMultiply.CONSTANT", None),)
    features, maps = (form[1], form[0]) if view.attr("transB", 0) else (form[0], form[1])
    return (
        Layer("MatrixMultiply.CONSTANT", MatrixFacts(view, 2, features, maps, bool(view.attr("transA", 0)), False)),
    )


def matmul(view: NodeView) -> tuple[Layer, ...]:
    """MatMul as Gemm; a constant of more than two dimensions is a batch of matrices, no convolution."""
    if not view.const.tensor(view.input(1)):
        return (Layer("MatrixMultiply.ACTIVATIONS", None),)
    form = shape(view.input(1))
    if view.xs is None or form is None:
        return (Layer("MatrixMultiply.CONSTANT", None),)
    features, maps = (form[-2], form[-1]) if len(form) > 1 else (form[0], 1)
    batched = any(n != 1 for n in form[:-2])
    return (Layer("MatrixMultiply.CONSTANT", MatrixFacts(view, len(view.xs), features, maps, False, batched)),)

"""Layers of two models that are one layer: those with the same weights, in whatever layout, order and rank.

A layer that is carried to another rank or has its channels reordered keeps its numbers; one that something was folded
into does not. So equal numbers mean that the result, too, holds the same values as before.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.operand import value_of
from dlarewrite.ir.view import is_op, shape

_LEAST = 8
"""Weights below which two layers may be equal by chance."""


def same_layers(before: Iterable[gs.Node], after: Iterable[gs.Node]) -> Iterator[tuple[gs.Node, gs.Node]]:
    """Pairs (before, after) of Conv, ConvTranspose, Gemm and MatMul whose weights no other layer of either side has."""
    ours, theirs = _by_numbers(before), _by_numbers(after)
    for key, nodes in ours.items():
        others = theirs.get(key, [])
        if len(nodes) == len(others) == 1 and size(nodes[0].outputs[0]) == size(others[0].outputs[0]) is not None:
            yield nodes[0], others[0]


def size(tensor: gs.Tensor) -> int | None:
    """Elements of a tensor of static shape."""
    dims = shape(tensor)
    return None if dims is None else math.prod(dims)


def _by_numbers(nodes: Iterable[gs.Node]) -> dict[str, list[gs.Node]]:
    found: dict[str, list[gs.Node]] = {}
    for node in nodes:
        key = _numbers(node) if is_op(node, "Conv", "ConvTranspose", "Gemm", "MatMul") else None
        if key is not None:
            found.setdefault(key, []).append(node)
    return found


def _numbers(node: gs.Node) -> str | None:
    """A digest of the sorted weights and of the sorted bias."""
    values = [value_of(t) for t in node.inputs[1:] if t.name]
    if not values or any(v is None or v.dtype.kind != "f" for v in values):
        return None
    arrays = [np.sort(v, axis=None) for v in values if v is not None]
    if arrays[0].size < _LEAST or arrays[0][0] == arrays[0][-1] or not np.isfinite(arrays[0]).all():
        return None
    # A bias of zeros is none.
    held = [a.astype(np.float32).tobytes() for a in arrays if a.any()]
    return hashlib.sha256(b"|".join(held)).hexdigest()

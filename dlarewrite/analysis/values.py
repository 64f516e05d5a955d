"""Small values known before anything runs: constants, dims of static shapes, and arithmetic on them.

A value may be known in part: ``Shape`` of ``[N, 3, 8]`` is an object array ``[None, 3, 8]``, and a Gather of its
second entry is known in full.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.analysis import kernels
from dlarewrite.analysis.movement import MOVES
from dlarewrite.ir.infer import is_shown
from dlarewrite.ir.view import Array, attr, shape

SMALL = 4096
"""Elements up to which values are followed."""

_INTEGER_MATHS: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {"Add": operator.add, "Sub": operator.sub, "Mul": operator.mul, "Min": min, "Max": max}
)
_GROWS = frozenset(("ConstantOfShape", "Expand", "Range", "Tile"))


class Values:
    """What is known of the values of tensors, by identity; ``full`` holds the completely known ones."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.full: dict[int, Array] = {}
        self._part: dict[int, Array] = {}
        self._alive: list[gs.Tensor] = []

    def of(self, tensor: gs.Tensor) -> Array | None:
        """The tensor's value where it is known in full and small."""
        known = self.full.get(id(tensor))
        if known is not None or not isinstance(tensor, gs.Constant):
            return known
        if not is_shown(tensor.dtype, math.prod(tensor.shape)):
            return None
        return np.asarray(tensor.values)

    def partial(self, tensor: gs.Tensor) -> Array | None:
        """The value, in part (dtype object, None where unknown) or in full."""
        known = self._part.get(id(tensor))
        return known if known is not None else self.of(tensor)

    def learn(self, tensor: gs.Tensor, value: Array) -> None:
        """Note a value; an object array without None counts as known in full (int64, as shapes are)."""
        if value.dtype != object and not is_shown(value.dtype, value.size):
            return
        self._alive.append(tensor)
        if value.dtype == object:
            if any(v is None for v in value.reshape(-1)):
                self._part[id(tensor)] = value
                return
            value = value.astype(tensor.dtype if tensor.dtype is not None else np.int64)
        self.full[id(tensor)] = value

    def visit(self, node: gs.Node) -> None:
        """Learn what the node's outputs are, if its inputs tell; shapes have to be inferred already."""
        if node.op in ("Shape", "Size") and node.inputs:
            self._visit_shape(node)
            return
        if node.op not in kernels.KERNELS or not all(_is_small(t, node.op) for t in node.outputs):
            return
        inputs = [self.of(t) if t.name else None for t in node.inputs]
        if all(value is not None or not t.name for t, value in zip(node.inputs, inputs, strict=True)):
            made = _try(node, inputs, self.opset)
        else:
            made = self._in_part(node)
        for tensor, value in zip(node.outputs, made or (), strict=False):
            if tensor.name:
                self.learn(tensor, value)

    def _visit_shape(self, node: gs.Node) -> None:
        dims = node.inputs[0].shape
        if dims is None:
            return
        known = [d if isinstance(d, int) and d >= 0 else None for d in dims]
        if node.op == "Size":
            if None not in known:
                self.learn(node.outputs[0], np.asarray(math.prod(d for d in known if d is not None), dtype=np.int64))
            return
        chosen = known[slice(attr(node, "start", 0), attr(node, "end"))]
        self.learn(node.outputs[0], _objects(chosen, (len(chosen),)))

    def _in_part(self, node: gs.Node) -> tuple[Array, ...] | None:
        inputs = [self.partial(t) if t.name else None for t in node.inputs]
        if any(v is None and t.name for t, v in zip(node.inputs, inputs, strict=True)):
            return None
        arrays = [v for v in inputs if v is not None]
        if node.op in MOVES and node.op not in _GROWS:
            data = arrays if node.op == "Concat" else arrays[:1]
            if any(v.dtype == object for v in arrays[len(data) :]) or any(v.dtype.kind not in "iuO" for v in data):
                return None
            moved: list[Array | None] = [v.astype(object) for v in data]
            return _try(node, moved + inputs[len(data) :], self.opset)
        if node.op == "Cast" and arrays and arrays[0].dtype == object and attr(node, "to") in (6, 7):
            return (arrays[0],)
        maths = _INTEGER_MATHS.get(node.op)
        if maths is None or len(arrays) != 2 or any(v.dtype.kind not in "iuO" for v in arrays):
            return None
        left, right = np.broadcast_arrays(arrays[0].astype(object), arrays[1].astype(object))
        pairs = zip(left.reshape(-1), right.reshape(-1), strict=True)
        return (_objects([None if a is None or b is None else maths(a, b) for a, b in pairs], left.shape),)


def _is_small(tensor: gs.Tensor, op: str) -> bool:
    """Whether the value is worth following; what may grow beyond its inputs has to have a static shape."""
    dims = shape(tensor)
    if dims is None:
        return op not in _GROWS
    return math.prod(dims) <= SMALL


def _objects(values: list[Any], dims: tuple[int, ...]) -> Array:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made.reshape(dims)


def _try(node: gs.Node, inputs: list[Array | None], opset: int) -> tuple[Array, ...] | None:
    try:
        return kernels.evaluate(node, inputs, opset)
    except (ValueError, IndexError, TypeError):
        return None

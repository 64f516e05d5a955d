"""Where the maps of a product are read as the pixels of an image: behind the first matrix of a decoder or generator."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import Array, consumers, ints, is_constant, is_op, shape
from dlarewrite.rewrite.carry_plain import broadcasting, prelu, unary
from dlarewrite.rewrite.carry_rules import EXACT_RULES
from dlarewrite.rewrite.layout import Dims, Layout, layout

_PLACES: Mapping[tuple[int, ...], tuple[int, ...]] = MappingProxyType(
    {(0, 1, 2, 3): (1, 2, 3), (0, 3, 1, 2): (2, 3, 1), (0, 1, 2): (1, 3), (0, 2, 1): (3, 1)}
)
"""Which carrier axes the axes behind the first are, by the order in which a convolution reads them."""
_MOST = 16
"""Nodes between the product and the image."""
_LARGEST_KERNEL = 32
"""DECONV-KERNEL."""
_MOST_CHANNELS = 8192
"""DECONV-CH."""


@dataclass(frozen=True)
class Spread:
    """``dims``: [N, C, h, w] of the image; ``order``: its axes C, h, w in the order in which the maps run through."""

    dims: Dims
    order: tuple[int, ...]

    @property
    def layout(self) -> Layout:
        """Of the product's [N, M] result, the image its carrier."""
        return layout(self.dims, [(0,), self.order])

    def relaid(self, values: Array) -> Array:
        """[..., M] values as [..., C, h, w]."""
        split = values.reshape(*values.shape[:-1], *(self.dims[a] for a in self.order))
        lead = values.ndim - 1
        turned: Array = split.transpose(*range(lead), *(lead + self.order.index(a) for a in (1, 2, 3)))
        return turned

    def emit(self, edit: Editor, x: gs.Tensor, matrix: Array, bias: Array | None, hint: str) -> gs.Tensor:
        """The product of [N, K, 1, 1] and [K, M] as a ConvTranspose whose kernel is the image, and its bias of M."""
        kernel = list(self.dims[2:])
        weights = edit.constant(np.ascontiguousarray(self.relaid(matrix)), "weights")
        attrs = {"kernel_shape": kernel, "strides": kernel}
        if bias is None:
            return edit.ops("ConvTranspose", [x, weights], attrs, hint=hint)[0]
        offset = self.relaid(bias)
        if (offset == offset[:, :1, :1]).all():
            return edit.ops("ConvTranspose", [x, weights, edit.constant(offset[:, 0, 0], "bias")], attrs, hint=hint)[0]
        made = edit.ops("ConvTranspose", [x, weights], attrs, hint=hint)[0]
        return edit.op("Add", [made, edit.constant(np.ascontiguousarray(offset[None]), "bias")])


def spread(node: gs.Node) -> Spread | None:
    """The image that a product's [N, M] result becomes by a Reshape, element-wise operators between; else None."""
    x, form = node.outputs[0], shape(node.outputs[0])
    if form is None or len(form) != 2:
        return None
    for _ in range(_MOST):
        readers = consumers(x)
        if len(readers) != 1:
            return None
        reader = readers[0]
        if is_op(reader, "Reshape"):
            image = shape(reader.outputs[0])
            return _image(reader.outputs[0], image) if image is not None and image[:1] == form[:1] else None
        if not _pointwise(reader):
            return None
        x = reader.outputs[0]
    return None


def _image(tensor: gs.Tensor, form: Dims) -> Spread | None:
    """How the tensor of rank 3 or 4 is an image: as what reads it wants it."""
    places = _PLACES.get(_turned(tensor, tuple(range(len(form)))) or ())
    if places is None or sum(size > 1 for size in form[1:]) < 2:
        return None
    dims = [form[0], 1, 1, 1]
    for place, size in zip(places, form[1:], strict=True):
        dims[place] = size
    if math.prod(dims[2:]) == 1 or max(dims[2:]) > _LARGEST_KERNEL or dims[1] > _MOST_CHANNELS:
        return None
    return Spread(tuple(dims), (*places, *(a for a in (1, 2, 3) if a not in places)))


def _turned(tensor: gs.Tensor, perm: tuple[int, ...]) -> tuple[int, ...] | None:
    """The order of axes in which the first operator that is not element-wise reads the tensor; None without one."""
    for _ in range(_MOST):
        readers = consumers(tensor)
        if not readers or is_op(readers[0], "Reshape", "Flatten", "Squeeze", "Unsqueeze"):
            return None
        if is_op(readers[0], "Transpose") and len(ints(readers[0], "perm")) == len(perm):
            perm = tuple(perm[p] for p in ints(readers[0], "perm"))
        elif not _pointwise(readers[0]):
            return perm
        tensor = readers[0].outputs[0]
    return None


def _pointwise(node: gs.Node) -> bool:
    """Whether a node works element by element on one tensor, constants beside it."""
    known: Sequence[object] = (unary, broadcasting, prelu)
    data = [t for t in node.inputs if t.name and not is_constant(t)]
    return len(data) == 1 and is_op(node, *EXACT_RULES) and any(EXACT_RULES[node.op] is rule for rule in known)

"""Typed read-only access to nodes and tensors: what passes and rules ask of a graph, in one place.

Shapes are tuples of int; ``None`` stands for "not static". Nothing here changes a node or loads a weight
that was not asked for by :func:`constant_value`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_graphsurgeon as gs

Array = npt.NDArray[Any]
Node = gs.Node
Tensor = gs.Tensor
Variable = gs.Variable
Constant = gs.Constant

_MISSING_INPUT = ""


def is_op(node: gs.Node, *ops: str) -> bool:
    """Whether ``node`` is one of the standard-domain operators ``ops``."""
    return node.op in ops and (node.domain or "") in ("", "ai.onnx")


def label(node: gs.Node) -> str:
    """The node's name, or its first named output where the name is empty."""
    if node.name:
        return str(node.name)
    return next((str(t.name) for t in node.outputs if t.name), f"<{node.op}>")


def attr(node: gs.Node, name: str, default: Any = None) -> Any:
    """The attribute's value (int, float, str, list, Tensor), or ``default``."""
    return node.attrs.get(name, default)


def ints(node: gs.Node, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
    """An integer-list attribute as a tuple."""
    value = node.attrs.get(name)
    return default if value is None else tuple(int(v) for v in value)


def input_at(node: gs.Node, index: int) -> gs.Tensor | None:
    """Input ``index``, or None where it is absent or an omitted optional input."""
    if index >= len(node.inputs) or node.inputs[index].name == _MISSING_INPUT:
        return None
    return node.inputs[index]


def output_at(node: gs.Node, index: int) -> gs.Tensor | None:
    """Output ``index``, or None where it is absent or omitted."""
    if index >= len(node.outputs) or node.outputs[index].name == _MISSING_INPUT:
        return None
    return node.outputs[index]


def shape(tensor: gs.Tensor | None) -> tuple[int, ...] | None:
    """The static shape, or None where a dimension or the rank is unknown."""
    known = None if tensor is None else tensor.shape
    if known is None:
        return None
    # A plain loop: this is the most called function of all.
    dims: list[int] = []
    for d in known:
        if type(d) is not int and (d is None or isinstance(d, str)):
            return None
        if d < 0:
            return None
        dims.append(int(d))
    return tuple(dims)


def rank(tensor: gs.Tensor | None) -> int | None:
    """The number of dimensions, static or not, or None where it is unknown."""
    if tensor is None or tensor.shape is None:
        return None
    return len(tensor.shape)


def dtype(tensor: gs.Tensor | None) -> np.dtype[Any] | None:
    """The numpy element type, or None where it is unknown or numpy has none (then graphsurgeon keeps ONNX's int)."""
    if tensor is None or tensor.dtype is None or isinstance(tensor.dtype, int):
        return None
    found: np.dtype[Any] = np.dtype(tensor.dtype)
    return found


def is_float(tensor: gs.Tensor | None) -> bool:
    """Whether the tensor holds floating-point numbers, bfloat16 included."""
    kind = dtype(tensor)
    return kind is not None and (kind.kind == "f" or kind.name == "bfloat16")


def is_constant(tensor: gs.Tensor | None) -> bool:
    """Whether the tensor is a build-time constant (an initializer)."""
    return isinstance(tensor, gs.Constant)


def constant_value(tensor: gs.Tensor | None) -> Array | None:
    """The constant's values, loaded now (treat as read-only), or None where the tensor is not constant."""
    if not isinstance(tensor, gs.Constant):
        return None
    return np.asarray(tensor.values)


def producer(tensor: gs.Tensor | None) -> gs.Node | None:
    """The node that makes the tensor, or None for graph inputs, constants and omitted inputs."""
    if tensor is None or not tensor.inputs:
        return None
    return tensor.inputs[0]


def consumers(tensor: gs.Tensor) -> tuple[gs.Node, ...]:
    """The nodes that read the tensor, each once, in edge order."""
    seen: dict[int, gs.Node] = {}
    for node in tensor.outputs:
        seen.setdefault(id(node), node)
    return tuple(seen.values())


def axis(value: int, rank_: int) -> int:
    """A possibly negative axis as its non-negative equal."""
    return value + rank_ if value < 0 else value


@dataclass(frozen=True)
class Window:
    """The sliding window of a Conv, ConvTranspose or pool, spatial axes only, ``auto_pad`` resolved.

    ``begin`` and ``end`` are the pads before and after each spatial axis, in elements.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]
    group: int = 1
    ceil_mode: bool = False
    output_padding: tuple[int, ...] = ()

    @property
    def pads(self) -> tuple[int, ...]:
        """ONNX order: all begins, then all ends."""
        return self.begin + self.end

    @property
    def padded(self) -> bool:
        return any(self.pads)


def window(node: gs.Node) -> Window | None:
    """The window of a Conv, ConvTranspose, MaxPool, AveragePool or LpPool; None where shapes are not static enough."""
    data = shape(input_at(node, 0))
    transposed = node.op == "ConvTranspose"
    if node.op in ("Conv", "ConvTranspose"):
        weight = shape(input_at(node, 1))
        kernel = ints(node, "kernel_shape") or (weight[2:] if weight else ())
    else:
        kernel = ints(node, "kernel_shape")
    spatial = len(kernel)
    if not spatial:
        return None
    strides = ints(node, "strides", (1,) * spatial)
    dilations = ints(node, "dilations", (1,) * spatial)
    extra = ints(node, "output_padding", (0,) * spatial) if transposed else ()
    pads = ints(node, "pads", (0,) * (2 * spatial))
    mode = attr(node, "auto_pad", "NOTSET") or "NOTSET"
    explicit_output = ints(node, "output_shape") if transposed else ()
    if mode == "VALID":
        pads = (0,) * (2 * spatial)
    elif mode in ("SAME_UPPER", "SAME_LOWER") or explicit_output:
        if data is None or len(data) != spatial + 2:
            return None
        pads = _automatic_pads(mode, data[2:], kernel, strides, dilations, transposed, explicit_output, extra)
    return Window(
        kernel=kernel,
        strides=strides,
        dilations=dilations,
        begin=pads[:spatial],
        end=pads[spatial:],
        group=int(attr(node, "group", 1)),
        ceil_mode=bool(attr(node, "ceil_mode", 0)),
        output_padding=extra,
    )


def _automatic_pads(
    mode: str,
    data: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    transposed: bool,
    output: tuple[int, ...],
    extra: tuple[int, ...],
) -> tuple[int, ...]:
    """ONNX's formulas for SAME_UPPER / SAME_LOWER and for ConvTranspose's ``output_shape``."""
    begin, end = [], []
    for i, size in enumerate(data):
        reach = (kernel[i] - 1) * dilations[i] + 1
        if transposed:
            wanted = output[-len(data) :][i] if output else size * strides[i]
            total = strides[i] * (size - 1) + extra[i] + reach - wanted
        else:
            total = max((-(-size // strides[i]) - 1) * strides[i] + reach - size, 0)
        # ONNX puts the odd element at the end for SAME_UPPER and at the begin otherwise, ConvTranspose included.
        small, large = total // 2, total - total // 2
        upper = mode == "SAME_UPPER"
        begin.append(small if upper else large)
        end.append(large if upper else small)
    return tuple(begin) + tuple(end)

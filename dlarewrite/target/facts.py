"""What rules measure: small typed views of the TensorRT layers that a node becomes."""

from __future__ import annotations

from typing import Any, NamedTuple

import onnx_graphsurgeon as gs

from dlarewrite.ir.view import shape
from dlarewrite.target.constness import LOCAL, Constness

Shape = tuple[int, ...]


class NodeView:
    """One ONNX node with what every layer asks: first input and output, their static shapes (None where unknown).

    ``element_bytes`` is the size of an activation's element on the DLA: 2 for FP16, 1 for INT8.
    """

    __slots__ = ("const", "element_bytes", "node", "op", "opset", "x", "xs", "y", "ys")

    def __init__(self, node: gs.Node, opset: int, const: Constness = LOCAL, element_bytes: int = 2) -> None:
        self.node = node
        self.element_bytes = element_bytes
        self.op: str = node.op
        self.opset = opset
        self.const = const
        self.x: gs.Tensor | None = node.inputs[0] if node.inputs else None
        self.y: gs.Tensor | None = node.outputs[0] if node.outputs else None
        self.xs: Shape | None = shape(self.x)
        self.ys: Shape | None = shape(self.y)

    def input(self, index: int) -> gs.Tensor | None:
        """Input ``index``, or None where it is left out."""
        inputs = self.node.inputs
        if index >= len(inputs) or inputs[index].name == "":
            return None
        tensor: gs.Tensor = inputs[index]
        return tensor

    def attr(self, name: str, default: Any = None) -> Any:
        return self.node.attrs.get(name, default)


class Layer(NamedTuple):
    """A TensorRT layer: ``kind`` as in "Convolution" or "Activation.RELU", and its facts (None: shapes unknown)."""

    kind: str
    facts: Any


class TensorFacts(NamedTuple):
    """A tensor's dimensions as NVIDIA counts them: the last three are C, H, W, all before them are the batch."""

    name: str
    dims: tuple[Any, ...] | None
    shape: Shape | None


class WindowFacts(NamedTuple):
    """Convolution, deconvolution and pooling; channels and maps are in all, -1 where unknown."""

    view: NodeView
    kernel: Shape
    strides: Shape
    dilations: Shape
    begin: Shape
    end: Shape
    group: int
    channels: int
    maps: int
    width: int
    constant: bool
    extra: Shape
    ceil: bool
    exclusive: bool


class ActivationFacts(NamedTuple):
    """``rank`` of the input; ``low``/``high`` bounds of a clip, ``alpha`` of a leaky ReLU."""

    view: NodeView
    rank: int
    low: float
    high: float
    alpha: float


class SlopeFacts(NamedTuple):
    """Parametric ReLU: the slopes' and the input's shapes, and whether the slopes are constant."""

    view: NodeView
    rank: int
    data: Shape
    slopes: Shape
    constant: bool


class PairFacts(NamedTuple):
    """Two operands: shapes aligned to ``out``'s rank on the left by ones; ranks as they were."""

    view: NodeView
    op: str
    ranks: tuple[int, int]
    a: Shape
    b: Shape
    out: Shape
    a_constant: bool
    b_constant: bool


class ScaleFacts(NamedTuple):
    """Scale and shift by constants; ``mode`` is uniform, channel or elementwise."""

    view: NodeView
    rank: int
    mode: str
    constant: bool


class ConcatFacts(NamedTuple):
    """``axis`` counts from the end (-3 is C); ``constants`` counts constant inputs."""

    view: NodeView
    rank: int
    axis: int
    inputs: int
    constants: int
    spatial: tuple[Shape, ...]


class SliceFacts(NamedTuple):
    """``axes`` that the slice really cuts (non-negative), ``steps`` in any order; ``known``: all are constants.

    ``fill`` is the fill value of a Pad in words, "" for a slice.
    """

    view: NodeView
    rank: int
    axes: Shape
    steps: Shape
    known: bool
    fill: str


class ShuffleFacts(NamedTuple):
    """A reshape or transpose: shapes before and after, and the permutation ("()" for a reshape)."""

    view: NodeView
    before: Shape
    after: Shape
    perm: Shape
    neighbours: tuple[str, ...]


class ResizeFacts(NamedTuple):
    """``scales`` one per dimension, empty where given as sizes or not constant."""

    view: NodeView
    rank: int
    mode: str
    coordinates: str
    rounding: str
    scales: tuple[float, ...]
    given: str
    antialias: bool


class ReduceFacts(NamedTuple):
    """``axes`` non-negative; None where they are not constant."""

    view: NodeView
    op: str
    rank: int
    axes: Shape | None
    keepdims: bool


class SoftmaxFacts(NamedTuple):
    """``axis`` non-negative, ``size`` of that axis, ``others`` the product of the other non-batch dimensions."""

    view: NodeView
    rank: int
    axis: int
    size: int
    others: int


class LrnFacts(NamedTuple):
    """``size`` of the window across channels."""

    view: NodeView
    rank: int
    size: int


class MatrixFacts(NamedTuple):
    """A matrix product with a constant: feature counts, the activation's rank, ``turned``: an operand is transposed."""

    view: NodeView
    rank: int
    features: int
    maps: int
    turned: bool
    batched: bool


class PlainFacts(NamedTuple):
    """Layers without parameters."""

    view: NodeView
    rank: int

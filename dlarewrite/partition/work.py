"""The work of one node as a cost model sees it: multiply-accumulates, their shape, and elements read and written.

TensorRT fuses: an activation behind a convolution costs nothing, an addition behind one costs the reading of its other
operand. What fuses is decided here from the node and its neighbours alone, for each device by its own rules.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_graphsurgeon as gs

from dlarewrite.analysis.cost import elements, macs
from dlarewrite.ir.view import attr, input_at, is_constant, shape

CONVOLUTIONS = frozenset(("Conv", "ConvTranspose", "ConvInteger", "QLinearConv"))
MATRICES = frozenset(("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"))
UNARY = frozenset((
    "Abs", "BatchNormalization", "Ceil", "Celu", "Clip", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu",
    "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish", "Neg", "PRelu", "Reciprocal", "Relu", "Round",
    "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Swish", "Tanh", "ThresholdedRelu",
))  # fmt: skip
BINARY = frozenset(("Add", "Div", "Max", "Mean", "Min", "Mul", "Pow", "Sub", "Sum"))
FREE = frozenset((
    "Cast", "CastLike", "Constant", "ConstantOfShape", "DequantizeLinear", "Dropout", "Flatten", "Identity",
    "QuantizeLinear", "Reshape", "Shape", "Size", "Squeeze", "Unsqueeze",
))  # fmt: skip
"""No kernel of their own: folded, a change of view, or a scale that the neighbour carries."""

FUSABLE = CONVOLUTIONS | MATRICES | UNARY | BINARY
TRANSPARENT = frozenset(("Cast", "DequantizeLinear", "Dropout", "Identity", "QuantizeLinear"))
"""What fusion looks through."""

ALIGNED = 32
"""Channels in a group of the DLA's INT8 layout; a joint of whole groups is written in place."""


@dataclass(frozen=True)
class Work:
    """Of one inference: MACs, elements of each activation read, of the results, and of the weights.

    ``channels`` and ``maps`` are those of one of ``groups``; ``images`` is the batch, ``taps`` the kernel's width,
    ``results`` the elements that a product makes (0 for other operators). ``fused`` means that the node rides on
    another's kernel, ``free`` that there is no kernel at all.
    """

    macs: int = 0
    read: tuple[int, ...] = ()
    written: int = 0
    weights: int = 0
    channels: int = 1
    maps: int = 1
    groups: int = 1
    images: int = 1
    taps: int = 1
    results: int = 0
    fused: bool = False
    free: bool = False


NOTHING = Work(free=True)


def of_node(node: gs.Node, *, dla: bool) -> Work:
    """The work of ``node`` on the DLA or on the GPU; a shape that is not static counts nothing."""
    op = node.op
    if op in FREE:
        return NOTHING
    written = sum(elements(t) for t in node.outputs if t.name)
    data = [t for t in node.inputs if t.name and not is_constant(t)]
    if op in CONVOLUTIONS or op in MATRICES:
        return _product(node, data, written)
    if op == "Concat" and (not dla or _in_place(data)):
        return NOTHING
    if op in UNARY and _carries(data[0] if data else None, dla):
        return Work(fused=True)
    if op in BINARY:
        return _joint(data, written, dla)
    return Work(read=tuple(map(elements, data)), written=written, images=_images(data), macs=macs(node))


def _images(data: list[gs.Tensor]) -> int:
    """The batch of images; the leading dim of other tensors is a row among rows."""
    dims = shape(data[0]) if data else None
    return max(dims[0], 1) if dims is not None and len(dims) == 4 else 1


def _in_place(parts: list[gs.Tensor]) -> bool:
    forms = [shape(t) for t in parts]
    return all(form is not None and len(form) > 1 and form[1] % ALIGNED == 0 for form in forms)


def _product(node: gs.Node, data: list[gs.Tensor], written: int) -> Work:
    weight = input_at(node, 3 if node.op == "QLinearConv" else 1)
    kernel = shape(weight)
    read = tuple(map(elements, data))
    stored = sum(elements(t) for t in node.inputs if t.name and is_constant(t))
    images = _images(data)
    if kernel is None or len(kernel) < 2:
        return Work(macs=macs(node), read=read, written=written, weights=stored, images=images, results=written)
    if node.op in MATRICES:
        inner, maps = (kernel[-1], kernel[-2]) if attr(node, "transB", 0) else (kernel[-2], kernel[-1])
        return Work(macs(node), read, written, stored, inner, maps, images=images, results=written)
    groups = int(attr(node, "group", 1))
    if node.op == "ConvTranspose":
        channels, maps = kernel[0] // groups, kernel[1]
    else:
        channels, maps = kernel[1], kernel[0] // groups
    return Work(macs(node), read, written, stored, channels, maps, groups, images, kernel[-1], written)


def _carries(tensor: gs.Tensor | None, dla: bool) -> bool:
    """Whether the kernel that makes ``tensor`` also does what follows; the DLA's writes one result only."""
    maker = _maker(tensor, dla)
    return maker is not None and maker.op in FUSABLE


def _maker(tensor: gs.Tensor | None, dla: bool) -> gs.Node | None:
    """The node that computes ``tensor``, behind scales; None for an input, and where the DLA must write it anyway."""
    while tensor is not None and tensor.inputs and (not dla or len(tensor.outputs) == 1):
        node = tensor.inputs[0]
        if node.op not in TRANSPARENT:
            return node
        tensor = input_at(node, 0)
    return None


def _joint(data: list[gs.Tensor], written: int, dla: bool) -> Work:
    """An element-wise operator of one or more activations: it rides on one of them and reads the others."""
    if len(data) == 1 and _carries(data[0], dla):
        return Work(fused=True)
    images = _images(data)
    if dla:
        makers = ((t, _maker(t, dla)) for t in data)
        carrier = next((t for t, maker in makers if maker is not None and maker.op in CONVOLUTIONS), None)
        if carrier is None:
            return Work(read=tuple(map(elements, data)), written=written, images=images)
        return Work(read=tuple(elements(t) for t in data if t is not carrier), images=images, fused=True)
    carrier = next((t for t in data if _carries(t, dla)), None)
    if carrier is None:
        return Work(read=tuple(map(elements, data)), written=written, images=images)
    return Work(read=tuple(elements(t) for t in data if not _same_kernel(t, carrier)), images=images, fused=True)


def _same_kernel(tensor: gs.Tensor, carrier: gs.Tensor) -> bool:
    """Whether ``tensor`` is in the registers of the kernel that makes ``carrier``, as x and sigmoid(x) are."""
    if tensor is carrier:
        return True
    own = carrier.inputs[0].inputs
    if any(t is tensor for t in own):
        return True
    return bool(tensor.inputs) and any(t is carrier for t in tensor.inputs[0].inputs)

"""Habits of exporters that leave more nodes than the layer needs, as users' files really contain them."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, numpy_helper

from models.builder import Net

__all__ = ["chunk", "gather_dim", "interpolate_like", "reduce_axes", "squeeze", "unsqueeze", "zero_pad"]


def gather_dim(net: Net, x: str, axis: int) -> str:
    """``x.shape[axis]`` as PyTorch traces it: Shape and Gather, a scalar."""
    return net.op("Gather", net.op("Shape", x), net.constant(np.asarray(axis, dtype=np.int64)), axis=0)


def unsqueeze(net: Net, x: str, axis: int) -> str:
    """Insert ``axis``; the axes moved from attribute to input at opset 13."""
    if net.graph.opset < 13:
        return net.op("Unsqueeze", x, axes=[axis])
    return net.op("Unsqueeze", x, net.ints(axis))


def squeeze(net: Net, x: str, axis: int) -> str:
    """Remove ``axis``; the axes moved from attribute to input at opset 13."""
    if net.graph.opset < 13:
        return net.op("Squeeze", x, axes=[axis])
    return net.op("Squeeze", x, net.ints(axis))


def interpolate_like(
    net: Net, x: str, reference: str, *, mode: str = "nearest", coordinates: str = "asymmetric"
) -> str:
    """``F.interpolate(x, size=reference.shape[2:])``: the sizes are computed by a chain of shape arithmetic."""
    wanted = [unsqueeze(net, gather_dim(net, reference, axis), 0) for axis in (2, 3)]
    spatial = net.concat(*wanted, axis=0)
    kept = net.op("Slice", net.op("Shape", x), net.ints(0), net.ints(2), net.ints(0))
    sizes = net.concat(kept, net.op("Cast", spatial, to=TensorProto.INT64), axis=0)
    net.graph.assume(sizes, net.shape(x)[:2] + net.shape(reference)[2:])
    return net.resize(x, sizes=sizes, mode=mode, coordinates=coordinates)


def zero_pad(net: Net, x: str, pad: int) -> str:
    """``nn.ZeroPad2d(pad)``: torch's last-axis-first pads are turned into ONNX's order by a chain on constants."""
    given = net.ints(pad, pad, pad, pad)
    zero = numpy_helper.from_array(np.zeros(1, dtype=np.int64))
    filled = net.concat(given, net.op("ConstantOfShape", net.ints(4), value=zero), axis=0)
    pairs = net.reshape(filled, -1, 2)
    flipped = net.op("Slice", pairs, net.ints(-1), net.ints(-(2**63) + 1), net.ints(0), net.ints(-1))
    pads = net.op("Cast", net.reshape(net.transpose(flipped, 1, 0), -1), to=TensorProto.INT64)
    net.graph.assume(pads, (0, 0, pad, pad, 0, 0, pad, pad))
    return net.op("Pad", x, pads, mode="constant")


def chunk(net: Net, x: str) -> tuple[str, str]:
    """``x.chunk(2, dim=1)`` as older tracers write it: the bounds are arithmetic on the shape, then two Slices."""
    channels = net.shape(x)[1]
    axis = net.ints(1)
    one, two = (net.constant(np.asarray(value, dtype=np.int64)) for value in (1, 2))
    half = net.op("Div", net.op("Add", unsqueeze(net, gather_dim(net, x, 1), 0), one), two)
    middle, end = net.op("Mul", half, one), net.op("Mul", half, two)
    net.graph.assume(middle, ((channels + 1) // 2,))
    net.graph.assume(end, (channels,))
    return net.op("Slice", x, net.ints(0), middle, axis), net.op("Slice", x, middle, end, axis)


def reduce_axes(net: Net, op_type: str, x: str, *axes: int, keepdims: bool) -> str:
    """ReduceMax or ReduceMean; the axes moved from attribute to input at opset 18."""
    if net.graph.opset < 18:
        return net.op(op_type, x, axes=list(axes), keepdims=int(keepdims))
    return net.op(op_type, x, net.ints(*axes), keepdims=int(keepdims))

"""The front of PointPillars: points of each pillar to one feature vector, scattered into the pseudo-image."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from models.builder import RELU_GAIN, Net
from models.legacy import reduce_axes, squeeze, unsqueeze

__all__ = ["pillar_features"]

POINTS, POINT_FEATURES = 32, 10
EPSILON = 1e-3


def pillar_features(net: Net, pillars: int, channels: int, size: tuple[int, int]) -> str:
    """Inputs ``voxels`` [P, 32, 10] and ``voxel_coords`` [P, 4] int64 (batch, z, y, x) to [1, channels, H, W].

    Raises ValueError below opset 12, where Clip takes no integers.
    """
    if net.graph.opset < 12:
        raise ValueError(f"pillar-features needs opset 12 or newer, got {net.graph.opset}")
    points = net.graph.add_input("voxels", (pillars, POINTS, POINT_FEATURES))
    coords = net.graph.add_input("voxel_coords", (pillars, 4), TensorProto.INT64)
    vectors = _encode(net.at("vfe", "pfn_layers.0"), points, channels)
    return _scatter(net.at("map_to_bev"), vectors, coords, channels, size)


def _encode(net: Net, points: str, channels: int) -> str:
    """Linear without bias, BatchNorm1d (which wants channels second), Relu, maximum over the points: [P, channels]."""
    weight = net.graph.weights.he((POINT_FEATURES, channels), POINT_FEATURES, RELU_GAIN)
    x = net.at("linear").op("MatMul", points, net.graph.add_initializer("onnx::MatMul", weight))
    x = net.at("norm").batch_norm(net.transpose(x, 0, 2, 1), EPSILON)
    x = net.relu(net.transpose(x, 0, 2, 1))
    x = reduce_axes(net, "ReduceMax", x, 1, keepdims=True)
    return squeeze(net, x, 1)


def _scatter(net: Net, vectors: str, coords: str, channels: int, size: tuple[int, int]) -> str:
    """``canvas[y * W + x] = vector``, then to NCHW. Coordinates are clamped: an empty pillar carries -1."""
    height, width = size
    y, x = (net.op("Gather", coords, net.constant(np.asarray(column, dtype=np.int64)), axis=1) for column in (2, 3))
    flat = net.op("Add", net.op("Mul", y, net.constant(np.asarray(width, dtype=np.int64))), x)
    bounds = (net.constant(np.asarray(bound, dtype=np.int64)) for bound in (0, height * width - 1))
    flat = net.op("Clip", flat, *bounds)
    indices = unsqueeze(net, flat, 1)
    canvas = net.constant(np.zeros((1,), dtype=np.float32))
    canvas = net.op("Expand", canvas, net.ints(height * width, channels))
    filled = net.op("ScatterND", canvas, indices, vectors)
    return net.reshape(net.transpose(filled, 1, 0), 1, channels, height, width)

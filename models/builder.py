"""``Net``: a fluent view of a graph under construction, with the layers that the networks here are made of.

A ``Net`` is a place (a module path) in one :class:`models.graph.Graph`. Layers take tensor names and give tensor names;
all images are NCHW float32. Every weight is drawn from the graph's seed so that activations keep their scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from models.graph import Array, Graph, parameter_prefix

__all__ = ["RELU_GAIN", "SWISH_GAIN", "Net", "start"]

RELU_GAIN = math.sqrt(2.0)
SWISH_GAIN = 1.5
"""For SiLU and HardSwish: between sqrt(2), their gain for large inputs, and 1.68, that for a standard normal one."""


@dataclass(frozen=True)
class Net:
    """A module path in a graph; ``at`` and ``child`` go deeper, everything else adds nodes here."""

    graph: Graph
    path: tuple[str, ...] = ()

    def at(self, *names: str) -> Net:
        """The sub-module ``names`` of this one."""
        return Net(self.graph, self.path + names)

    def child(self, index: int) -> Net:
        """Child ``index`` of this Sequential, named as PyTorch does: ``blocks.0`` -> ``blocks.0/blocks.0.3``."""
        return self.at(f"{self.path[-1]}.{index}")

    # Plumbing

    def op(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Any operator of one output."""
        return self.graph.add_node(op_type, self.path, inputs, 1, **attributes)[0]

    def ops(self, op_type: str, *inputs: str, outputs: int, **attributes: Any) -> tuple[str, ...]:
        """Any operator of several outputs."""
        return self.graph.add_node(op_type, self.path, inputs, outputs, **attributes)

    def constant(self, value: Array) -> str:
        """A Constant node, as exporters write the small operands."""
        return self.op("Constant", value=onnx.numpy_helper.from_array(np.asarray(value)))

    def ints(self, *values: int) -> str:
        """A Constant node holding a 1-D int64 tensor."""
        return self.constant(np.asarray(values, dtype=np.int64))

    def scalar(self, value: float) -> str:
        """A Constant node holding a float32 scalar."""
        return self.constant(np.asarray(value, dtype=np.float32))

    def parameter(self, suffix: str, value: Array) -> str:
        """An initializer named after this module."""
        return self.graph.add_initializer(parameter_prefix(self.path) + suffix, value)

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Static shape of ``tensor``."""
        return self.graph.shape(tensor)

    def output(self, tensor: str, name: str) -> None:
        """Make ``tensor`` the graph output ``name``."""
        self.graph.add_output(tensor, name)

    # Layers with weights

    def conv(
        self,
        x: str,
        maps: int,
        kernel: int = 3,
        stride: int = 1,
        pad: int | None = None,
        *,
        groups: int = 1,
        bias: bool = True,
        fused: bool = False,
        gain: float = RELU_GAIN,
    ) -> str:
        """Square convolution; ``pad`` defaults to the half kernel. ``fused`` names it as a folded Conv + BatchNorm."""
        channels = self.shape(x)[1] // groups
        draw = self.graph.weights
        named = (lambda _, value: self.graph.add_initializer("onnx::Conv", value)) if fused else self.parameter
        operands = [named("weight", draw.he((maps, channels, kernel, kernel), channels * kernel * kernel, gain))]
        if bias or fused:
            operands.append(named("bias", draw.uniform((maps,), -0.1, 0.1)))
        return self.op(
            "Conv",
            x,
            *operands,
            dilations=[1, 1],
            group=groups,
            kernel_shape=[kernel] * 2,
            pads=[kernel // 2 if pad is None else pad] * 4,
            strides=[stride] * 2,
        )

    def deconv(
        self,
        x: str,
        maps: int,
        kernel: int,
        stride: int,
        pad: int = 0,
        output_padding: int = 0,
        *,
        bias: bool = False,
        gain: float = RELU_GAIN,
    ) -> str:
        """Square transposed convolution."""
        channels = self.shape(x)[1]
        draw = self.graph.weights
        # A strided deconvolution adds kernel²/stride² products into one output on average.
        fan_in = channels * max(1.0, kernel * kernel / (stride * stride))
        operands = [self.parameter("weight", draw.he((channels, maps, kernel, kernel), fan_in, gain))]
        if bias:
            operands.append(self.parameter("bias", draw.uniform((maps,), -0.1, 0.1)))
        extra: dict[str, Any] = {"output_padding": [output_padding] * 2} if output_padding else {}
        return self.op(
            "ConvTranspose",
            x,
            *operands,
            dilations=[1, 1],
            group=1,
            kernel_shape=[kernel] * 2,
            pads=[pad] * 4,
            strides=[stride] * 2,
            **extra,
        )

    def batch_norm(self, x: str, epsilon: float = 1e-5) -> str:
        """Inference-time normalisation over axis 1 with statistics near (0, 1)."""
        channels = (self.shape(x)[1],)
        draw = self.graph.weights
        operands = (
            self.parameter("weight", draw.uniform(channels, 0.8, 1.2)),
            self.parameter("bias", draw.uniform(channels, -0.1, 0.1)),
            self.parameter("running_mean", draw.uniform(channels, -0.1, 0.1)),
            self.parameter("running_var", draw.uniform(channels, 0.8, 1.2)),
        )
        return self.op("BatchNormalization", x, *operands, epsilon=epsilon, momentum=0.9)

    def linear(self, x: str, features: int, gain: float = 1.0) -> str:
        """Fully connected layer on [N, K], as Gemm with transB."""
        width = self.shape(x)[1]
        draw = self.graph.weights
        weight = self.parameter("weight", draw.he((features, width), width, gain))
        bias = self.parameter("bias", draw.uniform((features,), -0.1, 0.1))
        return self.op("Gemm", x, weight, bias, alpha=1.0, beta=1.0, transB=1)

    # Layers without weights

    def relu(self, x: str) -> str:
        return self.op("Relu", x)

    def clip(self, x: str, low: float | None, high: float | None) -> str:
        """Clip with the bounds as Constant nodes; a missing bound stays missing."""
        bounds = ["" if bound is None else self.scalar(bound) for bound in (low, high)]
        return self.op("Clip", x, *(bounds[:1] if high is None else bounds))

    def hard_sigmoid(self, x: str) -> str:
        """relu6(x + 3) / 6."""
        return self.op("HardSigmoid", x, alpha=1.0 / 6.0, beta=0.5)

    def hard_swish(self, x: str) -> str:
        """x · relu6(x + 3) / 6; the operator exists from opset 14, exporters wrote the product before."""
        if self.graph.opset >= 14:
            return self.op("HardSwish", x)
        return self.op("Mul", x, self.hard_sigmoid(x))

    def silu(self, x: str) -> str:
        """x · sigmoid(x), as two nodes."""
        return self.op("Mul", x, self.op("Sigmoid", x))

    def max_pool(self, x: str, kernel: int, stride: int, pad: int = 0) -> str:
        return self.op(
            "MaxPool", x, ceil_mode=0, dilations=[1, 1], kernel_shape=[kernel] * 2, pads=[pad] * 4, strides=[stride] * 2
        )

    def concat(self, *xs: str, axis: int = 1) -> str:
        return self.op("Concat", *xs, axis=axis)

    def flatten(self, x: str) -> str:
        return self.op("Flatten", x, axis=1)

    def reshape(self, x: str, *shape: int) -> str:
        return self.op("Reshape", x, self.ints(*shape))

    def transpose(self, x: str, *perm: int) -> str:
        return self.op("Transpose", x, perm=list(perm))

    def resize(
        self,
        x: str,
        *,
        scale: int | None = None,
        sizes: str = "",
        mode: str = "nearest",
        coordinates: str = "half_pixel",
    ) -> str:
        """Resize by constant scales (``scale`` for H and W) or by the int64 tensor ``sizes``."""
        target = [sizes] if sizes else []
        # Up to opset 12 roi and scales are required, so exporters passed an empty tensor for "none".
        absent = "" if self.graph.opset >= 13 else self.constant(np.zeros(0, dtype=np.float32))
        scales = absent if scale is None else self.constant(np.asarray([1, 1, scale, scale], dtype=np.float32))
        return self.op(
            "Resize",
            x,
            absent,
            scales,
            *target,
            coordinate_transformation_mode=coordinates,
            cubic_coeff_a=-0.75,
            mode=mode,
            nearest_mode="floor",
        )


def start(opset: int, seed: int | None, **inputs: Sequence[int]) -> tuple[Net, list[str]]:
    """An empty network and its float32 inputs, given as ``name=shape``."""
    graph = Graph(opset, seed)
    return Net(graph), [graph.add_input(name, shape, TensorProto.FLOAT) for name, shape in inputs.items()]

"""Every operator of ONNX's default domain -> what TensorRT's parser makes of it.

``COMPUTED`` operators need a look at the node; :func:`fixed` ones always give the same layer; those
:func:`without_layer` make TensorRT refuse the model or look for a plugin, unless they are folded before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType

from dlarewrite.target.facts import Layer, NodeView
from dlarewrite.target.lowering import activation, conv, elementwise, reduce, resample, shuffle
from dlarewrite.target.sources import load_yaml

Lowering = Callable[[NodeView], tuple[Layer, ...]]

COMPUTED: Mapping[str, Lowering] = MappingProxyType(
    {
        "Conv": conv.convolution,
        "ConvTranspose": conv.deconvolution,
        "MaxPool": conv.max_pool,
        "AveragePool": conv.average_pool,
        "Relu": activation.activation,
        "Sigmoid": activation.activation,
        "Tanh": activation.activation,
        "LeakyRelu": activation.leaky_relu,
        "Clip": activation.clip,
        "HardSwish": activation.hard_swish,
        "Mish": activation.mish,
        "PRelu": activation.prelu,
        "Add": elementwise.elementwise,
        "Sub": elementwise.elementwise,
        "Mul": elementwise.elementwise,
        "Div": elementwise.elementwise,
        "Pow": elementwise.elementwise,
        "Max": elementwise.elementwise,
        "Min": elementwise.elementwise,
        "Sum": elementwise.elementwise,
        "Mean": elementwise.mean,
        "Equal": elementwise.elementwise,
        "Greater": elementwise.elementwise,
        "Less": elementwise.elementwise,
        "GreaterOrEqual": elementwise.comparison_or_equal,
        "LessOrEqual": elementwise.comparison_or_equal,
        "BatchNormalization": elementwise.batch_normalization,
        "Concat": shuffle.concat,
        "Slice": shuffle.slices,
        "Split": shuffle.split,
        "Pad": shuffle.pad,
        "Reshape": shuffle.reshape,
        "Transpose": shuffle.transpose,
        "Resize": resample.resize,
        "Upsample": resample.resize,
        "ReduceMax": reduce.reduce,
        "ReduceMean": reduce.reduce,
        "ReduceMin": reduce.reduce,
        "ReduceSum": reduce.reduce,
        "ReduceProd": reduce.reduce,
        "ReduceL1": reduce.reduce,
        "ReduceL2": reduce.reduce,
        "ReduceLogSum": reduce.reduce,
        "ReduceLogSumExp": reduce.reduce,
        "ReduceSumSquare": reduce.reduce,
        "GlobalAveragePool": reduce.global_pool,
        "GlobalMaxPool": reduce.global_pool,
        "Softmax": reduce.softmax,
        "LogSoftmax": reduce.softmax,
        "LRN": reduce.lrn,
        "Gemm": reduce.gemm,
        "MatMul": reduce.matmul,
        "Cast": shuffle.cast,
        "CastLike": shuffle.cast,
    }
)


@functools.cache
def fixed() -> Mapping[str, str]:
    """Operator -> the one layer kind that it always becomes."""
    kinds: dict[str, list[str]] = load_yaml("operators.yaml")["fixed"]
    return MappingProxyType({op: kind for kind, ops in kinds.items() for op in ops})


@functools.cache
def without_layer() -> frozenset[str]:
    """Operators without a TensorRT layer of their own."""
    return frozenset(load_yaml("operators.yaml")["without_layer"])

"""What TensorRT's parser makes of an ONNX file: layers in order, named and tagged as the parser does."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import shape_inference

# The layer kinds of an ONNX operator, in the order in which the parser adds them; the first carries the node's name.
KINDS = {
    "Conv": ("CONVOLUTION",),
    "ConvTranspose": ("DECONVOLUTION",),
    "Gemm": ("CONSTANT", "MATRIX_MULTIPLY", "ELEMENTWISE"),
    "MatMul": ("MATRIX_MULTIPLY",),
    "MaxPool": ("POOLING",),
    "AveragePool": ("POOLING",),
    "GlobalAveragePool": ("REDUCE",),
    "GlobalMaxPool": ("REDUCE",),
    "BatchNormalization": ("SCALE",),
    "Concat": ("CONCATENATION",),
    "Slice": ("SLICE",),
    "Pad": ("SLICE",),
    "Softmax": ("SOFTMAX",),
    "LRN": ("LRN",),
    "Resize": ("RESIZE",),
    "Gather": ("GATHER",),
    "PRelu": ("PARAMETRIC_RELU",),
    "TopK": ("TOPK",),
    "Where": ("SELECT",),
    "Identity": ("IDENTITY",),
    "Dropout": ("IDENTITY",),
    "QuantizeLinear": ("QUANTIZE",),
    "DequantizeLinear": ("DEQUANTIZE",),
    "Constant": ("CONSTANT",),
    "Shape": ("SHAPE",),
}
_GROUPS = {
    "ACTIVATION": "Relu Sigmoid Tanh LeakyRelu Elu Selu Softplus Softsign HardSigmoid Clip ThresholdedRelu Gelu",
    "ELEMENTWISE": "Add Sub Mul Div Min Max Pow And Or Xor Equal Greater Less Mod PRelu Sum Mean",
    "UNARY": "Abs Exp Log Sqrt Reciprocal Neg Sin Cos Tan Erf Ceil Floor Round Sign Not Asin Acos Atan Sinh Cosh",
    "SHUFFLE": "Reshape Transpose Flatten Squeeze Unsqueeze DepthToSpace SpaceToDepth",
    "REDUCE": "ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd",
}
_COMPOSED = {"HardSwish": ("ACTIVATION", "ELEMENTWISE"), "GatherElements": ("GATHER",), "Split": ("SLICE",)}


def kinds(op: str) -> tuple[str, ...]:
    """Layer kinds of an operator; the fake refuses an operator it has no kinds for."""
    for kind, names in _GROUPS.items():
        if op in names.split():
            return (kind,)
    return KINDS.get(op) or _COMPOSED.get(op) or ("PLUGIN_V2",)


def read(model: onnx.ModelProto) -> dict[str, Any]:
    """``{inputs, outputs, layers}`` as plain values: tensors are ``(name, ONNX dtype, shape)``."""
    typed = shape_inference.infer_shapes(model)
    graph = typed.graph
    infos = {i.name: i for i in (*graph.value_info, *graph.input, *graph.output)}
    constants = {t.name for t in graph.initializer}

    def tensor(name: str) -> tuple[str, int, tuple[int, ...]]:
        info = infos.get(name)
        if info is None:
            return name, onnx.TensorProto.FLOAT, ()
        kind = info.type.tensor_type
        return name, kind.elem_type, tuple(d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim)

    taken: set[str] = set()
    layers = []
    for node in graph.node:
        base = node.name or f"node_of_{node.output[0]}"
        for index, kind in enumerate(kinds(node.op_type)):
            name = base if index == 0 and base not in taken else _unused(base, taken)
            taken.add(name)
            layers.append(
                {
                    "name": name,
                    "node": base,
                    "op": node.op_type,
                    "kind": kind,
                    "inputs": [tensor(i) for i in node.input if i and i not in constants],
                    "outputs": [tensor(o) for o in node.output if o],
                }
            )
    return {
        "inputs": [tensor(i.name) for i in graph.input if i.name not in constants],
        "outputs": [tensor(o.name) for o in graph.output],
        "layers": layers,
    }


def _unused(base: str, taken: set[str]) -> str:
    number = 1
    while f"{base}_{number}" in taken:
        number += 1
    return f"{base}_{number}"

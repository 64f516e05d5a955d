"""Which outputs of a longer type come out of halves: onnxruntime's CPU rounds those where its own Casts stand."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto

_HALVES = {TensorProto.FLOAT16: "float16", TensorProto.BFLOAT16: "bfloat16"}


def behind_halves(model: onnx.ModelProto) -> dict[str, str]:
    """The coarsest half type among all that each output of the main graph depends on; outputs without any are missing.

    Halves enter by inputs, weights and Casts.
    """
    graph = model.graph
    found = {t.name: _HALVES[t.data_type] for t in graph.initializer if t.data_type in _HALVES}
    for value in graph.input:
        kind = value.type.tensor_type.elem_type
        if kind in _HALVES:
            found[value.name] = _HALVES[kind]
    for node in graph.node:
        kinds = {found[name] for name in _reads(node) if name in found} | set(_made(node))
        if kinds:
            found |= dict.fromkeys(node.output, min(kinds))  # "bfloat16" is the coarser and comes first
    return {value.name: found[value.name] for value in graph.output if value.name in found}


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """The node's inputs, and all that its bodies name."""
    yield from node.input
    for attribute in node.attribute:
        for body in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            for inner in body.node:
                yield from _reads(inner)


def _made(node: onnx.NodeProto) -> Iterator[str]:
    """The half types that the node makes itself: a Cast, or a Constant."""
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i in _HALVES:
            yield _HALVES[attribute.i]
        if node.op_type == "Constant" and attribute.name == "value" and attribute.t.data_type in _HALVES:
            yield _HALVES[attribute.t.data_type]

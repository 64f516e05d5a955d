"""Which tensors are known when the engine is built: initializers, and what TensorRT computes from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.view import Array, shape

# Operators that are never build-time constants: random ones, ones with state or sub-graphs, and heavy ones, whose
# data input is an activation in any real network; stopping there keeps the walk short.
_NEVER_OPS = """
RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial If Loop Scan SequenceMap Conv
ConvTranspose Gemm MaxPool AveragePool GlobalAveragePool GlobalMaxPool BatchNormalization Relu Sigmoid Tanh
LeakyRelu PRelu Clip Softmax LRN InstanceNormalization LayerNormalization GroupNormalization LSTM GRU RNN Dropout
Attention HardSwish HardSigmoid Gelu Upsample Resize
"""
_NEVER = frozenset(_NEVER_OPS.split())
_OF_SHAPE = frozenset({"Shape", "Size"})
_DEPTH = 40


class Constness(Protocol):
    """Answers whether a tensor is a build-time constant."""

    def tensor(self, tensor: gs.Tensor | None, /) -> bool:
        """Whether the tensor's values are known at build time."""

    def node(self, node: gs.Node, /) -> bool:
        """Whether the node's outputs are."""


class LocalConstness:
    """Looks up the producers of one tensor, at most 40 in a row, and remembers nothing."""

    def tensor(self, tensor: gs.Tensor | None, /) -> bool:
        return _tensor(tensor, _DEPTH)

    def node(self, node: gs.Node, /) -> bool:
        return _node(node, _DEPTH)


LOCAL = LocalConstness()


def _tensor(tensor: gs.Tensor | None, depth: int) -> bool:
    if tensor is None:
        return False
    if isinstance(tensor, gs.Constant):
        return True
    made = tensor.inputs
    return bool(made) and depth > 0 and _node(made[0], depth - 1)


def _node(node: gs.Node, depth: int) -> bool:
    op = node.op
    if op in _NEVER or (node.domain or "") not in ("", "ai.onnx"):
        return False
    if op in _OF_SHAPE and node.inputs and shape(node.inputs[0]) is not None:
        return True
    return all(t.name == "" or _tensor(t, depth) for t in node.inputs)


class GraphConstness:
    """Decides once for all nodes of a graph, exactly, without recursion; valid while the graph stands still."""

    def __init__(self, nodes: Iterable[gs.Node]) -> None:
        self._known: dict[int, bool] = {}
        for node in nodes:
            self._decide(node)

    def tensor(self, tensor: gs.Tensor | None, /) -> bool:
        if tensor is None:
            return False
        if isinstance(tensor, gs.Constant):
            return True
        made = tensor.inputs
        return bool(made) and self.node(made[0])

    def node(self, node: gs.Node, /) -> bool:
        known = self._known.get(id(node))
        return known if known is not None else self._decide(node)

    def _decide(self, root: gs.Node) -> bool:
        known = self._known
        stack = [root]
        while stack:
            node = stack[-1]
            if id(node) in known:
                stack.pop()
                continue
            answer = self._shallow(node)
            if answer is None:
                stack.extend(t.inputs[0] for t in node.inputs if t.inputs and id(t.inputs[0]) not in known)
                continue
            known[id(node)] = answer
            stack.pop()
        return known[id(root)]

    def _shallow(self, node: gs.Node) -> bool | None:
        """The answer where the producers are decided; None where one is not. A cycle cannot occur in a valid graph."""
        if node.op in _NEVER or (node.domain or "") not in ("", "ai.onnx"):
            return False
        if node.op in _OF_SHAPE and node.inputs and shape(node.inputs[0]) is not None:
            return True
        for tensor in node.inputs:
            if tensor.name == "" or isinstance(tensor, gs.Constant):
                continue
            if not tensor.inputs:
                return False
            known = self._known.get(id(tensor.inputs[0]))
            if known is None:
                return None
            if not known:
                return False
        return True


def value(tensor: gs.Tensor | None) -> Array | None:
    """The values of an initializer or of a Constant node behind any number of Identity nodes; else None."""
    while tensor is not None and not isinstance(tensor, gs.Constant):
        maker = tensor.inputs[0] if tensor.inputs else None
        if maker is None or maker.op not in ("Identity", "Constant"):
            return None
        if maker.op == "Constant":
            return _of_constant_node(maker.attrs)
        tensor = maker.inputs[0]
    return None if tensor is None else np.asarray(tensor.values)


def _of_constant_node(attrs: dict[str, Any]) -> Array | None:
    for name, kind in (("value_float", np.float32), ("value_floats", np.float32)):
        if name in attrs:
            return np.asarray(attrs[name], dtype=kind)
    for name in ("value_int", "value_ints"):
        if name in attrs:
            return np.asarray(attrs[name], dtype=np.int64)
    held = attrs.get("value")
    if held is None:
        return None
    return np.asarray(held.values if isinstance(held, gs.Constant) else held)

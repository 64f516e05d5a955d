"""Which nodes are constant, and their values: by numpy where it is exact, by one onnxruntime session for the rest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from dlarewrite.analysis import kernels
from dlarewrite.analysis.values import Values
from dlarewrite.ir.model import Model
from dlarewrite.ir.types import element_type, tensor_type
from dlarewrite.ir.view import Array, is_constant, shape
from dlarewrite.ir.weights import StoredValues, external_bytes

_NEVER = frozenset(
    (
        *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"),
        *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Dropout", "If", "Loop", "Scan"),
    )
)
"""Random operators, those with bodies, and Q/DQ, whose pairs carry the scales of an INT8 build."""

_ALWAYS = 4096
"""Results up to this many bytes are not held to the budget: they are shapes, and folding them opens the rest."""


@dataclass
class Folded:
    """What :func:`find` found: values by ``id`` of the tensor, constant nodes in order, and why others are not."""

    values: dict[int, Array | gs.Constant] = field(default_factory=dict)
    nodes: dict[int, gs.Node] = field(default_factory=dict)
    refused: list[tuple[gs.Node, str]] = field(default_factory=list)


def find(model: Model, values: Values, max_bytes: int) -> Folded:
    """Evaluate all nodes whose outputs do not depend on graph inputs; shapes have to be inferred.

    ``max_bytes`` bounds how many bytes of weights the results add to the model in all. Results are what onnxruntime
    computes without graph optimisation.
    """
    search = _Search(model, values, max_bytes)
    for node in model.nodes:
        search.visit(node)
    search.run_pending()
    return search.found


class _Search:
    def __init__(self, model: Model, values: Values, max_bytes: int) -> None:
        self.model = model
        self.values = values
        self.max_bytes = max_bytes
        self.found = Folded()
        self.pending: dict[int, gs.Node] = {}
        self._growth = 0
        self._readers: dict[int, int] = {}

    def visit(self, node: gs.Node) -> None:
        if not self._is_eligible(node):
            return
        named = [t for t in node.outputs if t.name]
        small = [self.values.full.get(id(t)) for t in named]
        if all(v is not None for v in small):
            self._keep(node, {id(t): v for t, v in zip(named, small, strict=True) if v is not None})
            return
        if node.op == "Constant":
            held = node.attrs.get("value")
            if isinstance(held, gs.Constant):
                self._keep(node, {id(named[0]): held})
            elif (dense := self._dense(node)) is not None:
                self._keep(node, {id(named[0]): dense})
            return
        if not all(self._is_known(t) for t in node.inputs if t.name) or not all(_is_plain(t) for t in named):
            return
        size = sum(_nbytes(t) for t in named)
        left = self._readers_left(node)
        grown = self._growth + size - sum(_nbytes(t) for t, readers in left if not readers and not self._is_pinned(t))
        if size > _ALWAYS and grown > self.max_bytes:
            self.found.refused.append(
                (node, f"folding it would add {grown:,} bytes of weights of {self.max_bytes:,} allowed")
            )
            return
        self._growth = max(grown, 0)
        self._readers.update((id(t), readers) for t, readers in left)
        if any(id(t.inputs[0]) in self.pending for t in node.inputs if t.inputs):
            self.pending[id(node)] = node
            return
        try:
            made = kernels.evaluate(node, [self._load(t) for t in node.inputs], self.model.opset)
        except (ValueError, IndexError, TypeError) as error:
            self.found.refused.append((node, f"its constant inputs do not fit: {error}"))
            return
        if made is None or len(made) < len(node.outputs) or any(map(_mistyped, node.outputs, made)):
            self.pending[id(node)] = node
            return
        self._keep(node, {id(t): v for t, v in zip(node.outputs, made, strict=False) if t.name})

    def _is_eligible(self, node: gs.Node) -> bool:
        if node.op in _NEVER or node.domain not in (None, "", "ai.onnx") or not node.outputs:
            return False
        return not self.model.envelope.has_subgraphs(node)

    def _is_known(self, tensor: gs.Tensor) -> bool:
        if is_constant(tensor) or id(tensor) in self.found.values:
            return True
        return bool(tensor.inputs) and id(tensor.inputs[0]) in self.pending

    def _load(self, tensor: gs.Tensor) -> Array | None:
        if not tensor.name:
            return None
        held = self.found.values.get(id(tensor), tensor)
        return np.asarray(held.values) if isinstance(held, gs.Constant) else np.asarray(held)

    def _dense(self, node: gs.Node) -> Array | None:
        """The value of a Constant that is written as a sparse tensor, within the budget."""
        proto = self.model.envelope.protos.get(id(node))
        attributes = () if proto is None else proto.attribute
        sparse = next((a.sparse_tensor for a in attributes if a.name == "sparse_value"), None)
        if sparse is None:
            return None
        values, indices = onnx.numpy_helper.to_array(sparse.values), onnx.numpy_helper.to_array(sparse.indices)
        dims = tuple(sparse.dims)
        grown = self._growth + math.prod(dims) * values.dtype.itemsize
        if grown > self.max_bytes:
            return None
        self._growth = grown
        dense = np.zeros(dims, dtype=values.dtype)
        dense.reshape(-1)[indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), dims)] = values
        return dense

    def _keep(self, node: gs.Node, made: dict[int, Array | gs.Constant] | dict[int, Array]) -> None:
        self.found.values.update(made)
        self.found.nodes[id(node)] = node

    def _readers_left(self, node: gs.Node) -> list[tuple[gs.Tensor, int]]:
        """The node's inputs, and how many readers each has left once the node is folded."""
        inputs = {id(t): t for t in node.inputs if t.name}
        return [
            (t, self._readers.get(key, len(t.outputs)) - sum(u is t for u in node.inputs)) for key, t in inputs.items()
        ]

    def _is_pinned(self, tensor: gs.Tensor) -> bool:
        return self.model.is_pinned(tensor)

    # ---- what numpy does not do exactly ----

    def run_pending(self) -> None:
        """One session for all pending nodes; node by node where the session is refused."""
        nodes = list(self.pending.values())
        if not nodes:
            return
        wanted = [t for n in nodes for t in n.outputs if t.name and self._is_frontier(t)]
        inputs = self._inputs(nodes)
        try:
            made = run(nodes, inputs, wanted, self.model.opset)
        except Exception:
            self._run_singly(nodes)
            return
        self.found.nodes.update(self.pending)
        for tensor, value in zip(wanted, made, strict=True):
            self.found.values[id(tensor)] = value

    def _run_singly(self, nodes: Sequence[gs.Node]) -> None:
        for node in nodes:
            if not all(is_constant(t) or id(t) in self.found.values for t in node.inputs if t.name):
                continue
            named = [t for t in node.outputs if t.name]
            inputs = self._inputs([node])
            try:
                made = run([node], inputs, named, self.model.opset)
            except Exception as refused:
                try:
                    made = interpret(node, inputs, named, self.model.opset)
                except Exception:
                    reason = str(refused).strip().splitlines() or [type(refused).__name__]
                    self.found.refused.append((node, f"it is constant, but cannot be evaluated: {reason[0]}"))
                    continue
            self._keep(node, {id(t): v for t, v in zip(named, made, strict=True)})

    def _is_frontier(self, tensor: gs.Tensor) -> bool:
        return self._is_pinned(tensor) or any(id(reader) not in self.pending for reader in tensor.outputs)

    def _inputs(self, nodes: Iterable[gs.Node]) -> dict[str, Array]:
        made = {id(t) for n in nodes for t in n.outputs}
        found: dict[str, Array] = {}
        for tensor in (t for n in nodes for t in n.inputs if t.name and id(t) not in made):
            value = self._load(tensor)
            if value is not None:
                found[tensor.name] = value
        return found


def run(nodes: Sequence[gs.Node], inputs: Mapping[str, Array], wanted: Sequence[gs.Tensor], opset: int) -> list[Array]:
    """Evaluate ``nodes`` in onnxruntime on the CPU, without optimisation; raises what onnxruntime raises."""
    if not wanted:
        return []
    import onnxruntime

    model, feeds = _model(nodes, inputs, wanted, opset)
    choices = onnxruntime.SessionOptions()
    choices.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    choices.intra_op_num_threads = 1
    choices.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), choices, providers=["CPUExecutionProvider"])
    return [np.asarray(v) for v in session.run([t.name for t in wanted], feeds)]


def interpret(node: gs.Node, inputs: Mapping[str, Array], wanted: Sequence[gs.Tensor], opset: int) -> list[Array]:
    """Evaluate one node with ONNX's reference implementation; for operators that onnxruntime lacks."""
    from onnx.reference import ReferenceEvaluator

    model, feeds = _model([node], inputs, wanted, opset)
    return [np.asarray(v) for v in ReferenceEvaluator(model).run([t.name for t in wanted], feeds)]


def _model(
    nodes: Sequence[gs.Node], inputs: Mapping[str, Array], wanted: Sequence[gs.Tensor], opset: int
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    graph = onnx.GraphProto(name="constants")
    feeds: dict[str, Array] = {}
    for name, value in inputs.items():
        if value.dtype.kind in "iufb":
            graph.input.append(onnx.helper.make_value_info(name, tensor_type(value.dtype, value.shape)))
            feeds[name] = value
        else:
            graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    for node in nodes:
        proto = graph.node.add(op_type=node.op, name=node.name)
        proto.input.extend(t.name for t in node.inputs)
        proto.output.extend(t.name for t in node.outputs)
        proto.attribute.extend(_attribute(name, value) for name, value in node.attrs.items())
    graph.output.extend(onnx.helper.make_value_info(t.name, tensor_type(t.dtype, t.shape)) for t in wanted)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model, feeds


def _attribute(name: str, value: Any) -> onnx.AttributeProto:
    if isinstance(value, gs.Constant):
        value = onnx.numpy_helper.from_array(np.asarray(value.values))
    return onnx.helper.make_attribute(name, value)


def stored(constant: gs.Constant, name: str) -> gs.Constant:
    """The same values under another name, without loading them."""
    return gs.Constant(name, constant._values)


def raw_bytes(constant: gs.Constant) -> bytes | memoryview:
    """The values' bytes (little-endian, as stored), without keeping what had to be loaded for it."""
    values = constant._values
    if isinstance(values, StoredValues) and values.external:
        return external_bytes(values.tensor, values.folder)
    if isinstance(values, StoredValues) and values.tensor.HasField("raw_data"):
        return bytes(values.tensor.raw_data)
    return np.ascontiguousarray(constant.values).tobytes()


def _mistyped(tensor: gs.Tensor, value: Array) -> bool:
    return bool(tensor.name) and tensor.dtype is not None and element_type(tensor.dtype) != element_type(value.dtype)


def _is_plain(tensor: gs.Tensor) -> bool:
    if tensor.dtype is None or isinstance(tensor.dtype, int):
        return False
    return np.dtype(tensor.dtype).kind in "iufb"


def _nbytes(tensor: gs.Tensor) -> int:
    dims = shape(tensor)
    if dims is None or tensor.dtype is None:
        return 0
    return math.prod(dims) * (1 if isinstance(tensor.dtype, int) else int(np.dtype(tensor.dtype).itemsize))

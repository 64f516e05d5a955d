"""What feeds need to know about a graph: shapes, small constants and who consumes which value."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from dlarewrite.verify import ports
from dlarewrite.verify.shell import all_nodes, is_external, subgraphs

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Facts:
    """Shapes, small constants and consumers by value name; control-flow bodies share the name space."""

    shapes: dict[str, Shape]
    constants: dict[str, NDArray[Any]]
    consumers: dict[str, list[tuple[onnx.NodeProto, int]]]
    bodies: dict[str, list[str]]
    """For a value that enters a Loop or Scan body: the names it has inside."""


@dataclass(frozen=True)
class Use:
    """One consumer of a value: input `index` of `node`. `integral` tells whether the value began as integers."""

    facts: Facts
    node: onnx.NodeProto
    index: int
    integral: bool

    @property
    def op(self) -> str:
        """The operator, prefixed by its domain when that is not ONNX's own."""
        domain = self.node.domain
        return self.node.op_type if domain in ("", "ai.onnx") else f"{domain}:{self.node.op_type}"

    def attribute(self, name: str, default: Any = None) -> Any:
        """Value of an attribute, or `default`."""
        found = next((a for a in self.node.attribute if a.name == name), None)
        return default if found is None else onnx.helper.get_attribute_value(found)

    def shape(self, index: int) -> Shape | None:
        """Shape of input `index`, with None for an unknown size; None for an unknown rank or an absent input."""
        return self.facts.shapes.get(self.node.input[index]) if index < len(self.node.input) else None

    def out_shape(self, index: int = 0) -> tuple[int, ...] | None:
        """Shape of output `index` when it is wholly static."""
        shape = self.facts.shapes.get(self.node.output[index]) if index < len(self.node.output) else None
        return None if shape is None or None in shape else tuple(size or 0 for size in shape)

    def size(self, index: int, axis: int) -> int | None:
        """Static size of input `index` along `axis`, which may be negative; None when it is not known."""
        shape = self.shape(index)
        return None if shape is None or not -len(shape) <= axis < len(shape) else shape[axis]

    def constant(self, index: int) -> NDArray[Any] | None:
        """Value of input `index` where it is a small constant."""
        return self.facts.constants.get(self.node.input[index]) if index < len(self.node.input) else None


def gather(model: onnx.ModelProto) -> Facts:
    """Collect the facts of a model that shape inference has been over."""
    facts = Facts({}, {}, defaultdict(list), {})
    _visit(model.graph, facts)
    for node in all_nodes(model.graph):
        for index, name in enumerate(node.input):
            facts.consumers[name].append((node, index))
        if node.op_type in ("Loop", "Scan"):
            _enter(node, facts.bodies)
        if node.op_type == "Constant":
            _constant(node, facts)
    return facts


def _visit(graph: onnx.GraphProto, facts: Facts) -> None:
    for info in (*graph.input, *graph.value_info, *graph.output):
        shape = ports.port(info).shape
        if shape is not None:
            facts.shapes[info.name] = tuple(size if isinstance(size, int) else None for size in shape)
    for tensor in graph.initializer:
        facts.shapes[tensor.name] = tuple(tensor.dims)
        _tensor(tensor.name, tensor, facts)
    for node in graph.node:
        for attribute in node.attribute:
            for body in subgraphs(attribute):
                _visit(body, facts)


def _tensor(name: str, tensor: onnx.TensorProto, facts: Facts) -> None:
    empty = not tensor.ByteSize() or is_external(tensor)
    if empty or int(np.prod(tensor.dims, dtype=np.int64)) > 1024:
        return
    try:
        facts.constants[name] = onnx.numpy_helper.to_array(tensor)
    except (ValueError, TypeError, RuntimeError):
        return  # a tensor whose weights were left out of the shell


def _constant(node: onnx.NodeProto, facts: Facts) -> None:
    attribute = node.attribute[0] if node.attribute else None
    if attribute is None or not node.output:
        return
    if attribute.name == "value":
        facts.shapes[node.output[0]] = tuple(attribute.t.dims)
        _tensor(node.output[0], attribute.t, facts)
    elif attribute.name in ("value_int", "value_ints", "value_float", "value_floats"):
        value = np.asarray(onnx.helper.get_attribute_value(attribute))
        facts.shapes[node.output[0]] = value.shape
        facts.constants[node.output[0]] = value


def _enter(node: onnx.NodeProto, bodies: dict[str, list[str]]) -> None:
    body = next((a.g for a in node.attribute if a.name == "body"), None)
    for index, (inner, outer) in enumerate(zip(body.input if body is not None else (), node.input, strict=False)):
        # A Loop's first value is the trip count; inside the body the iteration number stands in its place.
        if node.op_type == "Scan" or index:
            bodies.setdefault(outer, []).append(inner.name)

"""The bookkeeping under the builders: unique exporter-like names, shapes as they are inferred, a checked model.

Names follow PyTorch's exporter: node ``/backbone/blocks.0/blocks.0.1/Conv``, its output with ``_output_0``, its weight
``backbone.blocks.0.1.weight``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from models.weights import Shapes, Weights

__all__ = ["Graph", "parameter_prefix"]

OPERAND_ELEMENTS = 16
"""Constants up to this size may be shapes, axes or scales that shape inference reads."""

Array = npt.NDArray[np.generic]


def parameter_prefix(path: Sequence[str]) -> str:
    """Module path to dotted parameter prefix; a Sequential's child repeats its parent's name, which counts once."""
    parts: list[str] = []
    for part in path:
        if parts and part.startswith(parts[-1] + "."):
            parts.pop()
        parts.append(part)
    return "".join(part + "." for part in parts)


@dataclass
class Graph:
    """An ONNX graph under construction, of one opset (11 or newer) and one seed.

    Without a seed the weights have shapes and no values: such a model cannot run, but costs nothing to build.
    """

    opset: int
    seed: int | None
    weights: Weights = field(init=False)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    initializers: dict[str, TensorProto] = field(default_factory=dict)
    types: dict[str, onnx.TypeProto] = field(default_factory=dict)
    known: dict[str, TensorProto] = field(default_factory=dict)
    used: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if not 11 <= self.opset <= onnx.defs.onnx_opset_version():
            raise ValueError(f"opset must be in [11, {onnx.defs.onnx_opset_version()}], got {self.opset}")
        self.weights = Shapes() if self.seed is None else Weights(self.seed)

    @property
    def ir_version(self) -> int:
        """The oldest IR version that carries the opset, as a real exporter of that time wrote it."""
        return int(helper.find_min_ir_version_for([helper.make_opsetid("", self.opset)]))

    def unique(self, name: str) -> str:
        """``name``, or ``name_1``, ``name_2`` … when it is taken."""
        count = self.used[name]
        self.used[name] += 1
        return f"{name}_{count}" if count else name

    def add_input(self, name: str, shape: Sequence[int], dtype: int = TensorProto.FLOAT) -> str:
        """Declare a graph input of static ``shape``."""
        self.types[name] = helper.make_tensor_type_proto(dtype, list(shape))
        self.inputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))
        return name

    def add_initializer(self, name: str, array: Array) -> str:
        """Store ``array`` as an initializer under ``name`` (made unique)."""
        name = self.unique(name)
        if self.seed is None and array.size > OPERAND_ELEMENTS:
            self.initializers[name] = _without_values(name, array)
        else:
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        self._know(name, self.initializers[name])
        return name

    def add_node(
        self, op_type: str, path: Sequence[str], inputs: Sequence[str], outputs: int, **attributes: Any
    ) -> tuple[str, ...]:
        """Append a node named after its module path; give the names of its outputs, whose shapes are inferred."""
        name = self.unique("/" + "/".join((*path, op_type)))
        results = tuple(f"{name}_output_{index}" for index in range(outputs))
        node = helper.make_node(op_type, list(inputs), list(results), name=name, **attributes)
        self.nodes.append(node)
        if op_type == "Constant":
            self._know(results[0], next(item.t for item in node.attribute if item.name == "value"))
            return results
        schema = onnx.defs.get_schema(op_type, self.opset, "")
        read = {item: self.types[item] for item in inputs if item}
        data = {item: self.known[item] for item in inputs if item in self.known}
        inferred = shape_inference.infer_node_outputs(
            schema,
            node,
            read,
            data,
            opset_imports=[helper.make_opsetid("", self.opset)],
            ir_version=self.ir_version,
        )
        self.types.update(inferred)
        return results

    def _know(self, name: str, tensor: TensorProto) -> None:
        self.types[name] = helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))
        if math.prod(tensor.dims) <= OPERAND_ELEMENTS:
            self.known[name] = tensor

    def assume(self, tensor: str, value: Sequence[int]) -> None:
        """Say what a computed shape tensor will hold, so that inference goes on behind a Shape/Slice/Concat chain."""
        self.known[tensor] = numpy_helper.from_array(np.asarray(value, dtype=np.int64), tensor)

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Static shape of ``tensor``."""
        dims = self.types[tensor].tensor_type.shape.dim
        if not all(dim.HasField("dim_value") for dim in dims):
            raise ValueError(f"the shape of {tensor} is not static")
        return tuple(dim.dim_value for dim in dims)

    def add_output(self, tensor: str, name: str) -> None:
        """Make ``tensor`` the graph output ``name``, by renaming the result of the node that makes it."""
        for node in self.nodes:
            for kind in (node.input, node.output):
                for index, item in enumerate(kind):
                    if item == tensor:
                        kind[index] = name
        self.types[name] = self.types.pop(tensor)
        dtype = self.types[name].tensor_type.elem_type
        self.outputs.append(helper.make_tensor_value_info(name, dtype, list(self.shape(name))))

    def model(self) -> onnx.ModelProto:
        """The model with every activation's shape written down, checked in full; equal calls give equal bytes."""
        results = [name for node in self.nodes for name in node.output]
        shown = {item.name for item in self.outputs}
        values = [onnx.ValueInfoProto(name=name, type=self.types[name]) for name in results if name not in shown]
        graph = helper.make_graph(
            self.nodes, "main_graph", self.inputs, self.outputs, list(self.initializers.values()), value_info=values
        )
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="dlarewrite.models")
        model.ir_version = self.ir_version
        # The checker looks for the file of external values, and there is none.
        if self.seed is not None:
            onnx.checker.check_model(model, full_check=True)
        return model


def _without_values(name: str, array: Array) -> TensorProto:
    """A tensor of ``array``'s shape whose values are said to be elsewhere."""
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    tensor = TensorProto(name=name, dims=array.shape, data_type=kind, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="absent")
    return tensor

"""A copy of a model under work, so that a run can be tried again from the middle.

Nodes and tensors are new objects in the same order with the same readers; weights, which nothing changes in place,
are shared.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import onnx
import onnx_graphsurgeon as gs

from dlarewrite.ir.envelope import Envelope
from dlarewrite.ir.model import Model


def duplicate(model: Model) -> tuple[Model, dict[int, gs.Node]]:
    """The copy, and its nodes by the ``id`` of those that they were copied from."""
    tensors: dict[int, gs.Tensor] = {}
    nodes: dict[int, gs.Node] = {}
    for tensor in _tensors(model):
        if id(tensor) not in tensors:
            tensors[id(tensor)] = _tensor(tensor)
    for old in model.nodes:
        nodes[id(old)] = gs.Node(
            op=old.op,
            name=old.name,
            attrs={name: list(value) if isinstance(value, list) else value for name, value in old.attrs.items()},
            inputs=[tensors[id(t)] for t in old.inputs],
            outputs=[tensors[id(t)] for t in old.outputs],
            domain=old.domain,
        )
    for tensor in _tensors(model):
        readers = [nodes[id(n)] for n in tensor.outputs if id(n) in nodes]
        # Past graphsurgeon's synchronisation: the links are there, only their order is not.
        list.__setitem__(tensors[id(tensor)].outputs, slice(None), readers)
    made = Model(
        nodes=(),
        inputs=[tensors[id(t)] for t in model.inputs],
        outputs=[tensors[id(t)] for t in model.outputs],
        opset=model.opset,
        envelope=_envelope(model, nodes, tensors),
        names=model.names,
        folder=model.folder,
    )
    made._adopt(model, nodes)
    return made, nodes


def _tensors(model: Model) -> Iterable[gs.Tensor]:
    for node in model.nodes:
        yield from model.reads(node)
        yield from node.outputs
    yield from model.inputs
    yield from model.outputs


def _tensor(old: gs.Tensor) -> gs.Tensor:
    if isinstance(old, gs.Constant):
        return gs.Constant(old.name, old._values, old.data_location, old._export_dtype)
    shape = list(old.shape) if old.shape is not None else None
    return gs.Variable(old.name, old.dtype, shape, old.type)


def _envelope(model: Model, nodes: dict[int, gs.Node], tensors: dict[int, gs.Tensor]) -> Envelope:
    old = model.envelope
    header = onnx.ModelProto()
    header.CopyFrom(old.header)
    made = Envelope(
        header=header,
        touched={id(nodes[key]): set(names) for key, names in old.touched.items() if key in nodes},
        values=dict(old.values),
        overridable=dict(old.overridable),
        output_values=dict(old.output_values),
        sparse=dict(old.sparse),
        provenance={id(nodes[key]): origin for key, origin in old.provenance.items() if key in nodes},
        removed=copy.deepcopy(old.removed),
    )
    for node in model.nodes:
        proto = old.protos.get(id(node))
        if proto is not None:
            made.remember(nodes[id(node)], proto)
        captured = old.captures(node)
        if captured:
            made.capture(nodes[id(node)], [tensors[id(t)] for t in captured])
    return made

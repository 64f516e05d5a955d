"""A copy of a model that computes in floating point what the DLA computes in INT8 and FP16 with a table of scales."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import TensorProto, helper

from dlarewrite.ir.model import Model
from dlarewrite.ir.types import element_type
from dlarewrite.ir.view import input_at, is_op
from dlarewrite.precision.layers import WEIGHTED, Arithmetic, Group
from dlarewrite.precision.quantiser import Emitter, quantised_weights
from dlarewrite.precision.scales import ScaleTable
from dlarewrite.target.constness import value


def fake_quantised(model: Model, table: ScaleTable, found: Sequence[Group]) -> onnx.ModelProto:
    """The model with every group in its arithmetic.

    A tensor that an INT8 group writes is rounded where it is written, under its own name; one that an INT8 group reads
    and another made is rounded for that reader. What an FP16 group writes goes through FP16. Weights of INT8 groups
    are rounded per output channel; biases, other constants and groups in floating point stay.
    """
    proto = model.to_proto()
    emit = Emitter(proto, model.opset)
    by_output = {node.output[0]: node for node in proto.graph.node if node.output}
    written = {t.name for g in found if g.arithmetic is Arithmetic.INT8 for t in g.writes}
    behind: dict[int, list[onnx.NodeProto]] = {}
    ahead: dict[int, list[onnx.NodeProto]] = {}
    for group in found:
        if group.arithmetic is Arithmetic.FLOAT:
            continue
        members = [proto_of(node, by_output) for node in group.nodes]
        if group.arithmetic is Arithmetic.INT8:
            renamed, made = _readings(group, table, emit, written)
            ahead[id(members[0])] = made
            _rename(members, renamed)
            _round_weights(group, members, emit)
        behind[id(members[-1])] = _writings(group, members[-1], table, emit)
    nodes = []
    for node in proto.graph.node:
        nodes += [*ahead.get(id(node), ()), node, *behind.get(id(node), ())]
    return with_nodes(proto, nodes, emit)


def proto_of(node: gs.Node, by_output: Mapping[str, onnx.NodeProto]) -> onnx.NodeProto:
    """The exported node; the first output's name is its identity."""
    return by_output[node.outputs[0].name]


def with_nodes(proto: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], emit: Emitter) -> onnx.ModelProto:
    """The model with other nodes, and the constants that they need."""
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del proto.graph.node[:]
    proto.graph.node.extend(copies)
    proto.graph.initializer.extend(emit.constants)
    return proto


def kind_of(tensor: gs.Tensor) -> int:
    """The TensorProto.DataType of a floating-point tensor."""
    return element_type(tensor.dtype) if tensor.dtype is not None else TensorProto.FLOAT


def round_tensor(tensor: gs.Tensor, source: str, result: str, table: ScaleTable, emit: Emitter) -> list[onnx.NodeProto]:
    """Nodes that round a tensor with its scale, which the table has to hold."""
    return emit.rounded(source, result, table.scales[tensor.name].scale, kind_of(tensor))


def round_weights(node: gs.Node, emit: Emitter) -> str:
    """The name of a new initializer with the node's rounded weights, or "" where it has none that are constant."""
    if not is_op(node, *WEIGHTED):
        return ""
    tensor = input_at(node, 1)
    weights = value(tensor)
    if tensor is None or weights is None or weights.dtype.kind != "f":
        return ""
    return emit.constant(quantised_weights(node, np.asarray(weights)), f"{tensor.name}/int8")


def _readings(
    group: Group, table: ScaleTable, emit: Emitter, written: set[str]
) -> tuple[dict[str, str], list[onnx.NodeProto]]:
    renamed: dict[str, str] = {}
    made: list[onnx.NodeProto] = []
    for tensor in group.reads:
        if tensor.name not in written:
            renamed[tensor.name] = emit.fresh(f"{tensor.name}/int8")
            made += round_tensor(tensor, tensor.name, renamed[tensor.name], table, emit)
    return renamed, made


def _rename(members: Sequence[onnx.NodeProto], renamed: Mapping[str, str]) -> None:
    for member in members:
        for place, name in enumerate(member.input):
            member.input[place] = renamed.get(name, name)


def _round_weights(group: Group, members: Sequence[onnx.NodeProto], emit: Emitter) -> None:
    made = round_weights(group.nodes[0], emit)
    if made:
        members[0].input[1] = made


def _writings(group: Group, last: onnx.NodeProto, table: ScaleTable, emit: Emitter) -> list[onnx.NodeProto]:
    made: list[onnx.NodeProto] = []
    for tensor in group.writes:
        exact = emit.fresh(f"{tensor.name}/exact")
        place = list(last.output).index(tensor.name)
        last.output[place] = exact
        if group.arithmetic is Arithmetic.INT8:
            made += round_tensor(tensor, exact, tensor.name, table, emit)
        else:
            made += emit.through_fp16(exact, tensor.name, kind_of(tensor))
    return made


@dataclass(frozen=True)
class Switches:
    """Names of the boolean scalar inputs that turn on the rounding of one group's weights, or of one tensor."""

    weights: dict[str, str]
    tensors: dict[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.weights.values(), *self.tensors.values())


def switchable(
    model: Model, table: ScaleTable, found: Sequence[Group], wanted: Collection[str]
) -> tuple[onnx.ModelProto, Switches]:
    """The model with each rounding that the ``wanted`` INT8 groups (by name) take part in behind a switch.

    Everything else is exact, and what is not turned on is not computed. A tensor that no INT8 group writes is rounded
    for its INT8 readers alone.
    """
    proto = model.to_proto()
    emit = Emitter(proto, model.opset)
    by_output = {node.output[0]: node for node in proto.graph.node if node.output}
    ahead: dict[int, list[onnx.NodeProto]] = {}
    behind: dict[int, list[onnx.NodeProto]] = {}
    switches = Switches({}, {})
    int8 = [g for g in found if g.arithmetic is Arithmetic.INT8]
    touched = {t.name for g in int8 if g.name in wanted for t in (*g.reads, *g.writes)}
    written = {t.name for g in int8 for t in g.writes}
    read: dict[str, str] = {}
    for group in int8:
        members = [proto_of(node, by_output) for node in group.nodes]
        before = ahead.setdefault(id(members[0]), [])
        for tensor in group.reads:
            if tensor.name in touched - written and tensor.name not in read:
                read[tensor.name] = emit.fresh(f"{tensor.name}/read")
                before.append(_choice(switches, tensor, tensor.name, read[tensor.name], table, emit))
        _rename(members, read)
        weights = round_weights(group.nodes[0], emit) if group.name in wanted else ""
        if weights:
            switch = switches.weights[group.name] = emit.fresh(f"{group.name}/weights/on")
            chosen = emit.fresh(f"{weights}/chosen")
            before.append(helper.make_node("Where", [switch, weights, members[0].input[1]], [chosen]))
            members[0].input[1] = chosen
        for tensor in group.writes:
            if tensor.name in touched:
                exact = emit.fresh(f"{tensor.name}/exact")
                members[-1].output[list(members[-1].output).index(tensor.name)] = exact
                after = behind.setdefault(id(members[-1]), [])
                after.append(_choice(switches, tensor, exact, tensor.name, table, emit))
    nodes = []
    for node in proto.graph.node:
        nodes += [*ahead.get(id(node), ()), node, *behind.get(id(node), ())]
    for switch in switches.names:
        proto.graph.input.append(helper.make_tensor_value_info(switch, TensorProto.BOOL, []))
    return with_nodes(proto, nodes, emit), switches


def _choice(
    switches: Switches, tensor: gs.Tensor, source: str, result: str, table: ScaleTable, emit: Emitter
) -> onnx.NodeProto:
    """An If whose one branch rounds, and whose other passes the tensor on; its switch is noted."""
    kind = kind_of(tensor)
    switch = switches.tensors[tensor.name] = emit.fresh(f"{tensor.name}/on")
    rounded, passed = emit.fresh(f"{result}/rounded"), emit.fresh(f"{result}/passed")
    bodies = (
        (rounded, round_tensor(tensor, source, rounded, table, emit)),
        (passed, [helper.make_node("Identity", [source], [passed])]),
    )
    then, other = (
        helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(name, kind, None)]) for name, nodes in bodies
    )
    name = emit.fresh(f"{result}/If")
    return helper.make_node("If", [switch], [result], name=name, then_branch=then, else_branch=other)

"""Bring a model to the border of what onnxruntime's Python API can be handed, without changing what it computes."""

from __future__ import annotations

import re

import onnx
from onnx import TensorProto, helper

from dlarewrite.verify.ports import port
from dlarewrite.verify.shell import EXOTIC, all_nodes

_IR_LIMIT = re.compile(r"max supported IR version: (\d+)")
_OPSET_LIMIT = re.compile(r"Current official support for domain ai\.onnx is till opset (\d+)")
_ONNX = ("", "ai.onnx")


def wrap_exotic(model: onnx.ModelProto) -> dict[str, int]:
    """Put a Cast behind every input and before every output whose type numpy lacks; returns the types by name.

    The caller then feeds and gets float32 (int8 for 4-bit integers): every value of such a type is exact in it.
    """
    given = {tensor.name for tensor in model.graph.initializer}
    changed: dict[str, int] = {}
    front: list[onnx.NodeProto] = []
    for infos, incoming in ((model.graph.input, True), (model.graph.output, False)):
        for info in infos:
            elem_type = port(info).elem_type
            if info.name in given or port(info).kind != "tensor" or elem_type not in EXOTIC:
                continue
            outer, inner = info.name, f"{info.name}/inside"
            carrier = TensorProto.INT8 if "INT" in TensorProto.DataType.Name(elem_type) else TensorProto.FLOAT
            info.type.tensor_type.elem_type = carrier
            _rename(model.graph, outer, inner)
            if incoming:
                front.append(helper.make_node("Cast", [outer], [inner], f"feeding {outer}", to=elem_type))
            else:
                model.graph.node.append(helper.make_node("Cast", [inner], [outer], f"reading {outer}", to=carrier))
            changed[outer] = elem_type
    nodes = [*front, *model.graph.node]
    if front:
        del model.graph.node[:]
        model.graph.node.extend(nodes)
    return changed


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in all_nodes(graph):
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new


def lower_stamps(model: onnx.ModelProto, refusal: str) -> bool:
    """Lower the IR or opset version that `refusal` (onnxruntime's message) calls too new, where that changes nothing.

    An opset may be lowered when every operator in the model has the same definition in both; the IR version when no
    type newer than the limit can stand in the model, which onnxruntime itself checks. Returns whether it was done.
    """
    ir_limit, opset_limit = _IR_LIMIT.search(refusal), _OPSET_LIMIT.search(refusal)
    if ir_limit and model.ir_version <= onnx.IR_VERSION:
        model.ir_version = int(ir_limit[1])
        return True
    if opset_limit is None:
        return False
    limit = int(opset_limit[1])
    for entry in model.opset_import:
        known = entry.domain in _ONNX and limit < entry.version <= onnx.defs.onnx_opset_version()
        if known and all(_same_definition(node, limit, entry.version) for node in all_nodes(model.graph)):
            entry.version = limit
            return True
    return False


def _same_definition(node: onnx.NodeProto, old: int, new: int) -> bool:
    if node.domain not in _ONNX:
        return True
    try:
        return bool(onnx.defs.get_schema(node.op_type, new, "").since_version <= old)
    except onnx.defs.SchemaError:
        return False


def name_nodes(model: onnx.ModelProto) -> None:
    """Name every nameless node after its first output, so that a message about it can be understood."""
    for node in model.graph.node:
        if not node.name:
            node.name = next((name for name in node.output if name), "")

"""The branch of an If whose condition is known, as nodes of the graph around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx
import onnx_graphsurgeon as gs
from onnx import AttributeProto

from dlarewrite.ir import schema
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import label

_PLAIN = frozenset(
    (
        *(AttributeProto.FLOAT, AttributeProto.INT, AttributeProto.STRING, AttributeProto.TENSOR),
        *(AttributeProto.FLOATS, AttributeProto.INTS, AttributeProto.STRINGS),
    )
)
_TEXT = (AttributeProto.STRING, AttributeProto.STRINGS)


@dataclass(frozen=True)
class Branch:
    """The body that runs, and the tensors around it that it reads, by name."""

    body: onnx.GraphProto
    around: dict[str, gs.Tensor]


def taken(node: gs.Node, condition: bool, model: Model) -> Branch | str:
    """The branch that an If with this condition runs; or why it cannot stand in the graph itself."""
    name = "then_branch" if condition else "else_branch"
    proto = model.envelope.protos.get(id(node))
    bodies = [] if proto is None else [a.g for a in proto.attribute if a.name == name]
    if len(bodies) != 1:
        return f"{label(node)} (If) has no {name}"
    for inner in bodies[0].node:
        reason = _obstacle(inner, model.opset)
        if reason:
            return f"{inner.name or inner.op_type} ({inner.op_type}) in its {name} {reason}"
    if bodies[0].sparse_initializer or any(t.external_data for t in bodies[0].initializer):
        return f"its {name} holds sparse or external weights"
    return Branch(bodies[0], {t.name: t for t in model.envelope.captures(node)})


def emit_branch(edit: Editor, branch: Branch) -> list[gs.Tensor]:
    """The body's nodes; returns what the body's outputs are."""
    known: dict[str, gs.Tensor] = dict(branch.around)
    for weights in branch.body.initializer:
        known[weights.name] = edit.constant(onnx.numpy_helper.to_array(weights), weights.name)
    for node in branch.body.node:
        inputs = [known[name] if name else None for name in node.input]
        names = list(node.output)
        while not names[-1]:
            names.pop()
        attrs = {a.name: _value(edit, a) for a in node.attribute}
        made = edit.ops(node.op_type, inputs, attrs, outputs=len(names), hint=node.name)
        known.update(zip(names, made, strict=True))
    return [known[value.name] for value in branch.body.output]


def _obstacle(node: onnx.NodeProto, opset: int) -> str:
    if node.domain not in ("", "ai.onnx") or schema.attributes(node.op_type, opset) is None:
        return "is not an operator of the standard"
    if any(a.type not in _PLAIN or a.ref_attr_name for a in node.attribute):
        return "has a body or an attribute of a rare kind"
    outputs = list(node.output)
    while outputs and not outputs[-1]:
        outputs.pop()
    return "" if outputs and all(outputs) else "leaves an output out"


def _value(edit: Editor, attribute: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.type == AttributeProto.TENSOR:
        return edit.constant(onnx.numpy_helper.to_array(value), attribute.t.name or "value")
    if attribute.type in _TEXT:
        return value.decode() if isinstance(value, bytes) else [text.decode() for text in value]
    return list(value) if isinstance(value, (list, tuple)) or hasattr(value, "extend") else value

"""The branch of an If whose condition is known, as nodes of the graph around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx
import onnx_graphsurgeon as gs
from onnx import AttributeProto

from dlarewrite.analysis.kernels import constant_attribute
from dlarewrite.errors import EditError
from dlarewrite.ir import schema
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.infer import infer
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import Array, constant_value, consumers, is_op, label, producer

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


def replace(edit: Editor, node: gs.Node, branch: Branch) -> None:
    """The body's nodes in place of the If.

    Raises :class:`EditError` where a reader does not take what it is given: an If hides the shapes of its results from
    inference, and so hides that a model breaks an operator's rules.
    """
    made = _emit(edit, branch)
    for old, new in zip(node.outputs, made, strict=True):
        readers = consumers(old)
        if old.name:
            edit.replace_uses(old, new)
        for reader in readers:
            _check(reader, edit.model)


def _check(reader: gs.Node, model: Model) -> None:
    if model.envelope.has_subgraphs(reader):
        return
    # Constants that are nodes still will be shown to inference once they are folded.
    values = {id(t): value for t in reader.inputs if (value := _foldable(t)) is not None}
    try:
        infer(reader, model.opset, known=values)
    except (onnx.shape_inference.InferenceError, ValueError, TypeError, RuntimeError) as error:
        what = str(error).splitlines()[0]
        raise EditError(f"{label(reader)} ({reader.op}) would not take what the branch makes: {what}") from error


def _foldable(tensor: gs.Tensor) -> Array | None:
    """The value of a Constant node, or of a constant, behind any number of Identities."""
    while (maker := producer(tensor)) is not None and is_op(maker, "Identity"):
        tensor = maker.inputs[0]
    return constant_value(tensor) if maker is None else constant_attribute(maker) if maker.op == "Constant" else None


def _emit(edit: Editor, branch: Branch) -> list[gs.Tensor]:
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
        if node.op_type == "Constant":
            value = constant_attribute(gs.Node("Constant", attrs=attrs))
            if value is not None:
                known[names[0]] = edit.constant(value, names[0])
                continue
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

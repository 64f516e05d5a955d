"""onnxruntime's refusals in the words of this project."""

from __future__ import annotations

import re

import onnx

from dlarewrite.errors import DlarewriteError, ModelError

NO_PROOF_HINT = "--no-verify writes the model without a proof"
FIRST_OPSET = 7
"""What onnxruntime promises to run; of older opsets it has some operators."""
OLD_OPSET_HINT = f"bring the model to opset 13 with onnx.version_converter first, or export it again; {NO_PROOF_HINT}"


class CannotRun(ModelError):  # noqa: N818 - the name states the condition, not an error class
    """onnxruntime cannot run this model at all, so nothing can be proven with it.

    `op_type` and `domain` name the operator and `node` the node that it lacks an implementation for; all are empty when
    the cause is no single operator.
    """

    def __init__(self, message: str, *, op_type: str = "", domain: str = "", node: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint or NO_PROOF_HINT)
        self.op_type = op_type
        self.domain = domain
        self.node = node


_NO_KERNEL = re.compile(r"Could not find an implementation for (?:(\S+):)?(\w+)\((\d+)\) node with name '([^']*)'")
_NO_OPERATOR = re.compile(r"Fatal error: ([^:\s]*):([^(\s]+)\((-?\d+)\) is not a registered function/op")
_NOT_FOUND = re.compile(r"Failed to find kernel for (?:(\S+):)?(\w+)\((\d+)\) \(node:'([^']*)'")
_NO_SCHEMA = re.compile(r'In Node, \("([^"]*)", (\w+), "([^"]*)".*No Op registered for', re.DOTALL)
_NEWER_OPSET = re.compile(
    r"Opset (\d+) is under development.*Current official support.* is till opset (\d+)", re.DOTALL
)
_NEWER_IR = re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)")
_SAME_NAME = re.compile(r"two nodes with same node name \((.*)\)")
_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_SOURCE = re.compile(r"\S*onnxruntime\S*\.(?:cc|h):\d+ .*?\) (?=[A-Z])", re.DOTALL)
_LINE = 300


def describe(node: onnx.NodeProto) -> str:
    """A node as a user can find it: name, operator, and its first output when it has no name."""
    operator = f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
    return f"{node.name} ({operator})" if node.name else f"{operator} -> {next(iter(node.output), '')}"


def on_load(error: Exception, model: onnx.ModelProto) -> DlarewriteError:
    """What kept onnxruntime from making a session of `model`: CannotRun, or ModelError where the model is at fault."""
    text = str(error)
    for pattern, groups in (
        (_NO_KERNEL, (1, 2, 4)),
        (_NOT_FOUND, (1, 2, 4)),
        (_NO_OPERATOR, (1, 2, 0)),
        (_NO_SCHEMA, (0, 2, 1)),
    ):
        found = pattern.search(text)
        if found:
            domain, op_type, name = ((found[group] or "") if group else "" for group in groups)
            return _lacking(model, domain, op_type, name, schema=pattern not in (_NO_KERNEL, _NOT_FOUND))
    newer = _NEWER_OPSET.search(text) or _NEWER_IR.search(text)
    if newer:
        what = "opset" if newer.re is _NEWER_OPSET else "IR version"
        return CannotRun(f"the model is of {what} {newer[1]}, and this onnxruntime takes {what} {newer[2]} at most")
    twins = _SAME_NAME.search(text)
    if twins:
        hint = "give every node a name of its own, or none; what DLA and TensorRT do with a node goes by its name"
        return ModelError(f"two nodes of the model are named {twins[1]!r}, and onnxruntime refuses that", hint=hint)
    if "External data" in text or "cannot get file size" in text:
        return ModelError(f"external data is missing or unreadable: {one_line(error)}")
    return ModelError(f"onnxruntime refuses the model: {one_line(error)}")


def one_line(error: Exception) -> str:
    """onnxruntime's message without error codes, source locations and line breaks."""
    text = _SOURCE.sub("", _PREFIX.sub("", str(error)))
    text = " ".join(text.split())
    return text if len(text) <= _LINE else text[: _LINE - 1] + "…"


def _lacking(model: onnx.ModelProto, domain: str, op_type: str, name: str, *, schema: bool) -> CannotRun:
    nodes = [n for n in model.graph.node if n.op_type == op_type and (not name or n.name == name)]
    node = nodes[0] if nodes else None
    domain = domain or (node.domain if node is not None else "")
    where = describe(node) if node is not None else name or op_type
    opset = next((e.version for e in model.opset_import if e.domain in ("", "ai.onnx")), FIRST_OPSET)
    if opset < FIRST_OPSET and domain in ("", "ai.onnx"):
        message = f"onnxruntime does not run opset {opset}, of which node {where} is; its first opset is {FIRST_OPSET}"
        return CannotRun(message, op_type=op_type, domain=domain, node=name, hint=OLD_OPSET_HINT)
    what = "does not know" if schema else "has no CPU implementation for the types of"
    return CannotRun(f"onnxruntime {what} node {where}", op_type=op_type, domain=domain, node=name)

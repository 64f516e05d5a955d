"""Types and shapes of a whole model, by one forward walk with onnx's schemas and small-value propagation."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from dlarewrite.analysis import kernels
from dlarewrite.analysis.values import Values
from dlarewrite.errors import ModelError
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.infer import Inferred, infer
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import input_at, label, shape

Dims = tuple["int | str", ...]

_UNFIT = (ValueError, TypeError, RuntimeError)


def dynamic_inputs(model: Model) -> dict[str, Dims]:
    """Name and dims of each graph input that is not static; ``("?",)`` stands for an unknown rank."""
    found: dict[str, Dims] = {}
    for tensor in model.inputs:
        if _is_tensor(tensor) and shape(tensor) is None:
            found[tensor.name] = ("?",) if tensor.shape is None else tuple(_dim(d) for d in tensor.shape)
    return found


def propagate(model: Model, edit: Editor, *, fresh: bool = False) -> Values:
    """Fill in unknown types and shapes of all tensors, inside an open ``edit.rewrite`` group; linear in the graph.

    With ``fresh`` every node is inferred again, and what its schema says wins over shapes that were written down.
    Outputs of If, Loop, Scan and of custom operators stay as they are. Returns the small values that it came by.
    Raises :class:`ModelError` naming the node whose inputs contradict its operator, if ``fresh``.
    """
    values = Values(model.opset)
    for node in model.nodes:
        if not model.envelope.has_subgraphs(node):
            _infer(model, edit, node, values, fresh)
        values.visit(node)
    return values


def _infer(model: Model, edit: Editor, node: gs.Node, values: Values, fresh: bool) -> None:
    if node.op == "Constant" and "value" in node.attrs:
        held = node.attrs["value"]
        edit.describe(node.outputs[0], held.dtype, list(held.shape))
        return
    if not fresh and all(t.dtype is not None and shape(t) is not None for t in node.outputs if t.name):
        return
    try:
        found = infer(node, model.opset, known=values.full)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, *_UNFIT) as error:
        if fresh:
            raise ModelError(f"node {label(node)!r} ({node.op}) does not take such shapes: {_line(error)}") from error
        return
    for tensor, inferred in zip(node.outputs, _in_part(node, found, values), strict=True):
        if tensor.name:
            write(edit, tensor, *inferred, fresh=fresh)


def write(edit: Editor, tensor: gs.Tensor, kind: Any, dims: list[int | str] | None, *, fresh: bool = False) -> None:
    """Note what inference found: it adds to what is known, and with ``fresh`` corrects it."""
    known = tensor.shape
    if dims is None or (known is not None and len(known) != len(dims) and not fresh):
        merged = known
    elif known is None or len(known) != len(dims):
        merged = dims
    else:
        merged = [_merge(old, new, fresh) for old, new in zip(known, dims, strict=True)]
    kind = tensor.dtype if kind is None or (tensor.dtype is not None and not fresh) else kind
    wrong = known is not None and merged is not None and _contradicts(known, merged)
    if wrong:
        edit.describe(tensor, kind, None)
    edit.describe(tensor, kind, merged)


def _merge(old: Any, new: int | str, fresh: bool) -> int | str:
    if _is_size(new) and (fresh or not _is_size(old)):
        return new
    return _dim(old)


def _contradicts(old: Any, new: Any) -> bool:
    if len(old) != len(new):
        return True
    return any(_is_size(a) and _is_size(b) and a != b for a, b in zip(old, new, strict=True))


def _in_part(node: gs.Node, found: list[Inferred], values: Values) -> list[Inferred]:
    """What a partly known target shape tells of a Reshape or ConstantOfShape that the schema left open."""
    place = {"Reshape": 1, "ConstantOfShape": 0}.get(node.op)
    target = None if place is None else input_at(node, place)
    wanted = None if target is None else values.partial(target)
    if wanted is None or wanted.ndim != 1 or found[0][1] is not None:
        return found
    dims: list[int | str] = ["?" if d is None or d <= 0 else int(d) for d in wanted]
    return [(found[0][0] if found[0][0] is not None else _data_type(node), dims), *found[1:]]


def _data_type(node: gs.Node) -> Any:
    if node.op == "ConstantOfShape":
        value = kernels.constant_attribute(node)
        return np.dtype(np.float32) if value is None else value.dtype
    return node.inputs[0].dtype


def _is_size(dim: object) -> bool:
    return isinstance(dim, (int, np.integer)) and int(dim) >= 0


def _dim(dim: Any) -> int | str:
    if _is_size(dim):
        return int(dim)
    return dim if isinstance(dim, str) and dim else "?"


def _is_tensor(tensor: gs.Tensor) -> bool:
    """Sequences, maps and optionals have no element type and cannot be frozen."""
    return tensor.dtype is not None


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]

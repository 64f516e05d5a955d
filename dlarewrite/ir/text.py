"""A deterministic printer: one line a node, small constants by value, weights by digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.model import Model
from dlarewrite.ir.view import Array

_SHOWN = 8


def render(model: Model) -> str:
    """The whole graph as text; equal graphs give equal text, whatever the machine."""
    return "\n".join(_lines(model))


def _lines(model: Model) -> Iterator[str]:
    yield f"opset {model.opset}"
    for tensor in model.inputs:
        yield f"input {_typed(tensor)}"
    for node in model.nodes:
        made = ", ".join(_typed(t) for t in node.outputs)
        read = ", ".join(_operand(t) for t in node.inputs)
        attrs = ", ".join(f"{k}={_value(v)}" for k, v in sorted(node.attrs.items()))
        domain = f"{node.domain}::" if node.domain not in (None, "", "ai.onnx") else ""
        yield f"{made} = {domain}{node.op}({read})" + (f" {{{attrs}}}" if attrs else "")
    for tensor in model.outputs:
        yield f"output {tensor.name}"


def type_text(tensor: gs.Tensor) -> str:
    """``float32[1,3,8,8]``; an unknown part reads ``?``."""
    kind = (
        "?" if tensor.dtype is None else str(tensor.dtype if isinstance(tensor.dtype, int) else np.dtype(tensor.dtype))
    )
    dims = "?" if tensor.shape is None else ",".join(str(d) for d in tensor.shape)
    return f"{kind}[{dims}]"


def _typed(tensor: gs.Tensor) -> str:
    return f"{tensor.name}: {type_text(tensor)}" if tensor.name else "_"


def _operand(tensor: gs.Tensor) -> str:
    if not tensor.name:
        return "_"
    if not isinstance(tensor, gs.Constant):
        return str(tensor.name)
    return _value(tensor)


def _value(value: object) -> str:
    if not isinstance(value, (gs.Constant, np.ndarray)):
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    array = np.asarray(value.values if isinstance(value, gs.Constant) else value)
    head = f"{array.dtype}[{','.join(map(str, array.shape))}]"
    if array.size <= _SHOWN:
        return f"{head}{{{', '.join(_number(v) for v in array.reshape(-1))}}}"
    return f"{head}#{_digest(array)}"


def _number(value: object) -> str:
    return f"{float(value):.5g}" if isinstance(value, np.floating) else str(value)


def _digest(array: Array) -> str:
    """Eight hex digits over the values at four significant digits, so that a last-bit difference does not show."""
    if array.dtype.kind == "f":
        text = ",".join(f"{float(v):.3e}".replace("-0.000e", "0.000e") for v in array.reshape(-1))
        return hashlib.sha256(text.encode()).hexdigest()[:8]
    return hashlib.sha256(repr(array.reshape(-1).tolist()).encode()).hexdigest()[:8]

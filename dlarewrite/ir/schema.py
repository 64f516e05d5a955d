"""What ONNX's schemas say of an operator at an opset."""

from __future__ import annotations

import onnx


def attributes(op: str, opset: int) -> frozenset[str] | None:
    """Names of the standard operator's attributes; None where that opset has no such operator, or deprecated it."""
    try:
        schema = onnx.defs.get_schema(op, opset, "")
    except onnx.defs.SchemaError:
        return None
    return None if schema.deprecated else frozenset(schema.attributes)

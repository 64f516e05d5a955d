"""ONNX's type protos and graphsurgeon's (dtype, dims), each from the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx


def element_type(dtype: Any) -> int:
    """The TensorProto.DataType of a numpy dtype (graphsurgeon may hold the enum itself)."""
    return dtype if isinstance(dtype, int) else int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def tensor_type(dtype: Any, dims: Sequence[int | str | None] | None) -> onnx.TypeProto:
    """The type proto of a tensor; an unnamed unknown dimension is ``?`` or None."""
    plain = None if dims is None else [None if d in ("?", None) else d for d in dims]
    return onnx.helper.make_tensor_type_proto(element_type(dtype), plain)


def read_type(proto: onnx.TypeProto | None) -> tuple[Any, list[int | str] | None]:
    """(dtype, dims) of a tensor's type proto; (None, None) for sequences, maps, optionals and the untyped."""
    if proto is None or not proto.HasField("tensor_type"):
        return None, None
    tensor = proto.tensor_type
    kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type) if tensor.elem_type else None
    if not tensor.HasField("shape"):
        return kind, None
    return kind, [d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in tensor.shape.dim]


def described(value: onnx.ValueInfoProto) -> tuple[Any, list[int | str] | None]:
    """(dtype, dims) of a value_info."""
    return read_type(value.type)

"""A model without its weights: everything that analysis and onnxruntime's loader need besides the bulk of the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import TypeAlias

import onnx
import onnx.inliner
import onnx.shape_inference
from onnx import TensorProto

from dlarewrite.errors import ModelError

Source: TypeAlias = onnx.ModelProto | str | PathLike[str]
"""A model in memory, or the path of one, whose external data stays on disk."""

SMALL = 4096
"""Bytes up to which a tensor may hold shapes, axes or indices and is kept in a shell."""

EXOTIC = frozenset(
    {TensorProto.BFLOAT16, TensorProto.INT4, TensorProto.UINT4}
    | {value for name, value in TensorProto.DataType.items() if name.startswith(("FLOAT8", "FLOAT6", "FLOAT4"))}
    | {value for name, value in TensorProto.DataType.items() if name in ("INT2", "UINT2")}
)
"""Tensor types that numpy lacks; onnxruntime's Python API takes and gives them only through other types."""


def open_model(source: Source, base_dir: str | PathLike[str] | None = None) -> tuple[onnx.ModelProto, Path | None]:
    """The model and the directory that its external data locations are relative to (None: nowhere).

    Raises ModelError when the path holds no readable ONNX model.
    """
    if isinstance(source, onnx.ModelProto):
        return source, Path(base_dir) if base_dir is not None else None
    path = Path(source)
    try:
        model = onnx.load(path, load_external_data=False)
    except (OSError, ValueError, ArithmeticError, AttributeError, RuntimeError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    except Exception as error:  # protobuf's DecodeError derives from Exception alone
        raise ModelError(f"{path} is not an ONNX model: {error}") from error
    if not model.HasField("graph"):
        raise ModelError(f"{path} is not an ONNX model: it holds no graph")
    return model, Path(base_dir) if base_dir is not None else path.parent


def shell(model: onnx.ModelProto, keep: int = SMALL) -> onnx.ModelProto:
    """A copy of `model` whose initializers of more than `keep` bytes have name, dtype and dims, and no data."""
    copy = copy_without_initializers(model)
    for tensor in model.graph.initializer:
        if is_external(tensor) or tensor.ByteSize() > keep:
            copy.graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        else:
            copy.graph.initializer.append(tensor)
    return copy


def copy_without_initializers(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` with no initializers in the main graph, made without ever copying them."""
    copy = onnx.ModelProto()
    for field, value in model.ListFields():
        if field.name == "graph":
            continue
        _set(copy, field.name, value)
    copy.graph.SetInParent()
    for field, value in model.graph.ListFields():
        if field.name != "initializer":
            _set(copy.graph, field.name, value)
    return copy


def _set(message: onnx.ModelProto | onnx.GraphProto, name: str, value: object) -> None:
    target = getattr(message, name)
    if hasattr(target, "extend"):
        target.extend(value)
    elif hasattr(target, "CopyFrom"):
        target.CopyFrom(value)
    else:
        setattr(message, name, value)


def inferred(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]] | None = None) -> onnx.ModelProto:
    """A shell with local functions inlined, inputs set to `shapes`, and the shapes that onnx can infer.

    Where inference fails, the shell keeps what the model states.
    """
    skeleton = shell(model)
    if skeleton.functions:
        skeleton = onnx.inliner.inline_local_functions(skeleton)
    for info in skeleton.graph.input:
        if shapes and info.name in shapes and info.type.HasField("tensor_type"):
            set_shape(info, shapes[info.name])
    try:
        return onnx.shape_inference.infer_shapes(skeleton, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return skeleton


def set_shape(info: onnx.ValueInfoProto, shape: tuple[int, ...]) -> None:
    """Give a tensor's value info a static shape."""
    info.type.tensor_type.shape.Clear()
    info.type.tensor_type.shape.SetInParent()
    for size in shape:
        info.type.tensor_type.shape.dim.add(dim_value=size)


def is_external(tensor: TensorProto) -> bool:
    """Whether the data of `tensor` is in another file."""
    return bool(tensor.data_location == TensorProto.EXTERNAL)


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every node of `graph` and of the bodies of its control-flow nodes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in subgraphs(attribute):
                yield from all_nodes(body)


def subgraphs(attribute: onnx.AttributeProto) -> list[onnx.GraphProto]:
    """The graphs that an attribute holds."""
    return [attribute.g] if attribute.HasField("g") else list(attribute.graphs)

"""Writing ONNX: the model becomes a ModelProto, or a file (and a data file) that appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import TensorProto
from onnx_graphsurgeon.ir.tensor import LazyValues, SparseValues

from dlarewrite.errors import ModelError
from dlarewrite.ir import provenance
from dlarewrite.ir.types import described, tensor_type
from dlarewrite.ir.weights import StoredValues, external_bytes

if TYPE_CHECKING:
    from dlarewrite.ir.model import Model

PROTO_LIMIT = 2**31 - 2**20
"""Protobuf's limit of 2 GiB, less a margin for what is not weights; larger models get a data file."""

_ALIGNMENT = 4096


def to_proto(model: Model) -> onnx.ModelProto:
    """A new ModelProto in stable topological order; unchanged nodes keep every byte of their attributes."""
    proto = onnx.ModelProto()
    proto.CopyFrom(model.envelope.header)
    graph = proto.graph
    written: set[int] = set()
    for node in model.nodes:
        graph.node.append(_node(model, node, proto.ir_version))
        for tensor in model.reads(node):
            _initializer(model, graph, tensor, written)
    for tensor in model.outputs:
        _initializer(model, graph, tensor, written)
    graph.input.extend(_value(model, t) for t in model.inputs)
    constants = {t.name for t in graph.initializer} | {t.values.name for t in graph.sparse_initializer}
    graph.input.extend(v for name, v in model.envelope.overridable.items() if name in constants)
    graph.output.extend(_output(model, t) for t in model.outputs)
    if proto.ir_version < 4 and constants - {v.name for v in graph.input}:
        # Up to IR version 3 every initializer has to be a graph input too; new constants are not.
        proto.ir_version = 4
    listed = {v.name for v in (*graph.input, *graph.output)} | constants
    for node in model.nodes:
        for tensor in node.outputs:
            if tensor.name and tensor.name not in listed and _is_described(model, tensor):
                graph.value_info.append(_value(model, tensor))
    domains = {e.domain for e in proto.opset_import}
    for domain in sorted({n.domain or "" for n in model.nodes} - domains):
        if domain not in ("", "ai.onnx"):
            proto.opset_import.append(onnx.helper.make_opsetid(domain, 1))
    for entry in proto.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = model.opset
    if model.envelope.removed:
        provenance.write_removed(proto, model.envelope.removed)
    return proto


def _node(model: Model, node: gs.Node, ir_version: int) -> onnx.NodeProto:
    original = model.envelope.protos.get(id(node))
    touched = model.envelope.touched.get(id(node), set())
    proto = onnx.NodeProto(op_type=node.op)
    if node.name:
        proto.name = node.name
    if node.domain:
        proto.domain = node.domain
    proto.input.extend(t.name for t in node.inputs)
    proto.output.extend(t.name for t in node.outputs)
    kept: set[str] = set()
    if original is not None:
        for name in ("doc_string", "overload"):
            if getattr(original, name):
                setattr(proto, name, getattr(original, name))
        proto.metadata_props.MergeFrom(original.metadata_props)
        for attribute in original.attribute:
            if attribute.name not in touched:
                proto.attribute.append(attribute)
                kept.add(attribute.name)
    for name, value in node.attrs.items():
        if name not in kept:
            proto.attribute.append(_attribute(name, value))
    made = model.envelope.provenance.get(id(node))
    if made is not None:
        provenance.write(proto, made, ir_version)
    return proto


def _attribute(name: str, value: Any) -> onnx.AttributeProto:
    if isinstance(value, gs.Constant):
        proto = TensorProto()
        _fill(proto, value)
        return onnx.helper.make_attribute(name, proto)
    if isinstance(value, np.ndarray):
        return onnx.helper.make_attribute(name, onnx.numpy_helper.from_array(value))
    return onnx.helper.make_attribute(name, value)


def _fill(proto: TensorProto, constant: gs.Constant) -> None:
    """Write the constant's values in place: weights are large, and each message that they pass through copies them."""
    values = constant._values
    if isinstance(values, LazyValues):
        proto.CopyFrom(values.tensor)
    elif values.dtype.kind in "fiu" and sys.byteorder == "little":
        proto.data_type = onnx.helper.np_dtype_to_tensor_dtype(values.dtype)
        proto.dims.extend(values.shape)
        proto.raw_data = values.tobytes()
    else:
        proto.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(values).reshape(np.shape(values))))
    proto.name = constant.name


def _initializer(model: Model, graph: onnx.GraphProto, tensor: gs.Tensor, written: set[int]) -> None:
    if not isinstance(tensor, gs.Constant) or id(tensor) in written:
        return
    written.add(id(tensor))
    if isinstance(tensor._values, SparseValues):
        graph.sparse_initializer.append(model.envelope.sparse[tensor.name])
    else:
        _fill(graph.initializer.add(), tensor)


def _is_described(model: Model, tensor: gs.Tensor) -> bool:
    return tensor.dtype is not None or tensor.name in model.envelope.values


def _value(model: Model, tensor: gs.Tensor) -> onnx.ValueInfoProto:
    """The original value_info where it still holds, with the present type and shape where it does not."""
    value = onnx.ValueInfoProto()
    original = model.envelope.values.get(tensor.name)
    if original is not None:
        value.CopyFrom(original)
    value.name = tensor.name
    if tensor.dtype is None or (original is not None and described(original) == (tensor.dtype, tensor.shape)):
        return value
    value.type.CopyFrom(tensor_type(tensor.dtype, tensor.shape))
    return value


def _output(model: Model, tensor: gs.Tensor) -> onnx.ValueInfoProto:
    if tensor.dtype is None or isinstance(tensor, gs.Constant):
        original = model.envelope.output_values.get(tensor.name)
        if original is not None:
            return original
    return _value(model, tensor)


def save(model: Model, path: Path) -> None:
    """Write ``path``, and ``<name>.data`` beside it where the weights exceed protobuf's limit or were external.

    Both files are written under temporary names in the same folder and renamed when complete, the data file first.
    """
    proto = to_proto(model)
    external = any(t.data_location == TensorProto.EXTERNAL for t in proto.graph.initializer)
    size = sum(_nbytes(t) for t in proto.graph.initializer)
    if not external and size < PROTO_LIMIT:
        with atomic(path) as file:
            file.write(proto.SerializeToString())
        return
    data = path.with_name(path.name + ".data")
    with atomic(path) as file:
        with atomic(data) as blob:
            _move_weights(proto, model.folder, blob, data.name)
        file.write(proto.SerializeToString())


def _nbytes(tensor: TensorProto) -> int:
    """Bytes of a tensor's values, wherever they are stored (an upper bound for packed types)."""
    kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return int(np.prod(tensor.dims, dtype=np.int64)) * int(np.dtype(kind).itemsize)


def _move_weights(proto: onnx.ModelProto, folder: Path | None, blob: IO[bytes], name: str) -> None:
    """Write all weights of a kibibyte and more to ``blob``, page-aligned, one at a time."""
    for tensor in proto.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            raw: bytes | memoryview = external_bytes(tensor, folder)
        elif tensor.data_type == TensorProto.STRING or _nbytes(tensor) < 1024:
            continue
        else:
            raw = tensor.raw_data or onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor)).raw_data
        blob.write(b"\0" * (-blob.tell() % _ALIGNMENT))
        offset, kind, dims, label = blob.tell(), tensor.data_type, list(tensor.dims), tensor.name
        blob.write(raw)
        doc = tensor.doc_string
        tensor.Clear()
        tensor.name, tensor.data_type, tensor.doc_string = label, kind, doc
        tensor.dims.extend(dims)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", name), ("offset", offset), ("length", len(raw))):
            tensor.external_data.add(key=key, value=str(value))


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes ``path``'s place only when the block ends well; nothing is left behind otherwise."""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent or Path())
    except OSError as error:
        raise ModelError(f"cannot write {str(path)!r}: {error.strerror}", hint="choose a writable folder") from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except OSError as error:
        raise ModelError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()


def folder_of(values: object) -> Path | None:
    """The folder an external weight is read from, or None for one that is not external."""
    return values.folder if isinstance(values, StoredValues) and values.external else None

"""A model and its inputs with every float moved by one unit in the last place: the least that rounding may do to them.

Whole tensors of whole numbers stay as they are: they count, index, scale a size or select, and nothing rounds them. So
do scalars (bounds, exponents, thresholds) and the sizes that Resize reads.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from dlarewrite.verify.numerics import EPSILON
from dlarewrite.verify.shell import all_nodes, copy_without_initializers, is_external

_CHUNK = 1 << 20
_RESIZING = frozenset({"Resize", "Upsample"})
_MOVED = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE})


def weight_bytes(model: onnx.ModelProto) -> int:
    """Bytes of all initializers, wherever they lie."""
    return sum(_external_bytes(t) if is_external(t) else t.ByteSize() for t in model.graph.initializer)


def jittered_model(model: onnx.ModelProto, base_dir: Path | None, draw: int, finest: float) -> onnx.ModelProto:
    """A copy of `model`, its external data read in, whose float weights of rank 1 and more are moved; see `jittered`.

    Each initializer goes into the copy by itself: besides the copy, one tensor is held at a time. Raises what onnx and
    the file system raise where external data cannot be read.
    """
    sizes = {name for n in all_nodes(model.graph) if n.op_type in _RESIZING for name in n.input[1:]}
    folder = str(base_dir) if base_dir is not None else ""
    copy = copy_without_initializers(model)
    for tensor in model.graph.initializer:
        kept = copy.graph.initializer.add()
        kept.CopyFrom(tensor)
        if is_external(kept):
            external_data_helper.load_external_data_for_tensor(kept, folder)
            kept.data_location = TensorProto.DEFAULT
            del kept.external_data[:]
        if tensor.name not in sizes and _moves(kept):
            kept.CopyFrom(_moved(numpy_helper.to_array(kept), tensor.name, draw, finest))
    for node, tensor in _constants(copy.graph):
        if node.output[0] not in sizes and _moves(tensor) and not is_external(tensor):
            tensor.CopyFrom(_moved(numpy_helper.to_array(tensor), node.output[0], draw, finest))
    return copy


def jittered_feed(feed: Mapping[str, Any], draw: int, finest: float) -> dict[str, Any]:
    """The same inputs with float arrays (of any rank, and those inside sequences) moved."""
    return {
        name: [_value(item, f"{name}[{i}]", draw, finest) for i, item in enumerate(value)]
        if isinstance(value, (list, tuple))
        else _value(value, name, draw, finest)
        for name, value in feed.items()
    }


def jittered(array: NDArray[Any], rng: np.random.Generator, finest: float) -> NDArray[Any]:
    """`array` with every element times 1 + e or 1 - e, at random.

    e is the dtype's epsilon (2^-23 in fp32) or `finest` where that is more: a model that is declared to compute in a
    shorter dtype rounds there. Elements that would become infinite stay.
    """
    epsilon = max(EPSILON[array.dtype.name], finest)
    moved = np.ascontiguousarray(array).reshape(-1).copy()
    with np.errstate(over="ignore"):
        for piece in _pieces(moved):
            signs = rng.integers(0, 2, piece.size, dtype=np.int8) * 2.0 - 1.0
            stepped = (piece.astype(np.float64) * (1.0 + signs * epsilon)).astype(piece.dtype)
            np.copyto(piece, stepped, where=np.isfinite(stepped))
    shaped: NDArray[Any] = moved.reshape(array.shape)
    return shaped


def _pieces(flat: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (flat[start : start + _CHUNK] for start in range(0, flat.size, _CHUNK))


def _external_bytes(tensor: TensorProto) -> int:
    return int(prod(tensor.dims)) * int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _moves(tensor: TensorProto) -> bool:
    return len(tensor.dims) > 0 and tensor.data_type in _MOVED


def _moved(array: NDArray[Any], name: str, draw: int, finest: float) -> TensorProto:
    return numpy_helper.from_array(_value(array, name, draw, finest), name)


def _value(value: Any, name: str, draw: int, finest: float) -> Any:
    array = np.asarray(value)
    if array.dtype.kind != "f" or _whole(array):
        return value
    return jittered(array, np.random.default_rng([draw, zlib.crc32(name.encode())]), finest)


def _whole(array: NDArray[Any]) -> bool:
    return all(bool((piece == np.rint(piece)).all()) for piece in _pieces(array.reshape(-1)))


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[onnx.NodeProto, TensorProto]]:
    for node in graph.node:
        if node.op_type != "Constant" or node.domain not in ("", "ai.onnx"):
            continue
        yield from ((node, attribute.t) for attribute in node.attribute if attribute.name == "value")

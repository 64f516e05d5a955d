"""Hand onnxruntime a model's weights: with the model, from its own files, or through a temporary folder over 2 GB."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import TensorProto, numpy_helper

from dlarewrite.errors import ModelError
from dlarewrite.verify.shell import SMALL, copy_without_initializers, is_external

MAX_BYTES = 2**31 - 2**20
"""Protobuf's limit for one message, less room for what is not weights."""


@contextlib.contextmanager
def loadable(
    model: onnx.ModelProto, base_dir: Path | None, max_bytes: int = MAX_BYTES
) -> Iterator[tuple[onnx.ModelProto, Path | None]]:
    """A model whose message is under `max_bytes`, and the directory that its external data is in (None: no such data).

    A model that fits is handed out as it is. Otherwise the larger initializers are written to a temporary folder that
    lives as long as the context; files that the model already refers to are linked into it.
    """
    external = any(is_external(tensor) for tensor in model.graph.initializer)
    if external and base_dir is None:
        raise ModelError("the model keeps weights in other files, and their directory is not known")
    if _bytes(model) <= max_bytes:
        yield model, base_dir if external else None
        return
    with tempfile.TemporaryDirectory(prefix="dlarewrite-") as folder:
        if external and base_dir is not None:
            _link(model, base_dir, Path(folder))
        yield _spill(model, Path(folder)), Path(folder)


def _bytes(model: onnx.ModelProto) -> int:
    # Not the message's own size: protobuf need not be able to measure one over 2 GB.
    return sum(tensor.ByteSize() for tensor in model.graph.initializer)


def _spill(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    copy = copy_without_initializers(model)
    location = "spilled.weights"
    with (folder / location).open("wb") as file:
        for tensor in model.graph.initializer:
            data = b"" if is_external(tensor) or tensor.data_type == TensorProto.STRING else _raw(tensor)
            if len(data) <= SMALL:
                copy.graph.initializer.append(tensor)
                continue
            entry = copy.graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
            entry.data_location = TensorProto.EXTERNAL
            for key, value in (("location", location), ("offset", file.tell()), ("length", len(data))):
                entry.external_data.add(key=key, value=str(value))
            file.write(data)
    return copy


def _raw(tensor: TensorProto) -> bytes:
    if tensor.HasField("raw_data"):
        return bytes(tensor.raw_data)
    return bytes(numpy_helper.from_array(numpy_helper.to_array(tensor)).raw_data)


def _link(model: onnx.ModelProto, base_dir: Path, folder: Path) -> None:
    locations = {entry.value for t in model.graph.initializer for entry in t.external_data if entry.key == "location"}
    for location in locations:
        source, target = (base_dir / location).resolve(), folder / location
        if folder.resolve() not in target.resolve().parents or not source.is_file():
            raise ModelError(f"external data {location!r} is missing from {base_dir}")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, target)

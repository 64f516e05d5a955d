"""Weights that stay where they are until someone reads them: in the proto, or in an external data file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx_graphsurgeon.ir.tensor import LazyValues

from dlarewrite.errors import ModelError


class StoredValues(LazyValues):  # type: ignore[misc]
    """A tensor's values, read on first use; an external one is memory-mapped from ``folder``, never held twice."""

    def __init__(self, tensor: onnx.TensorProto, folder: Path | None) -> None:
        super().__init__(tensor)
        self.shape = tuple(tensor.dims)
        self.folder = folder

    @property
    def external(self) -> bool:
        return bool(self.tensor.data_location == onnx.TensorProto.EXTERNAL)

    def load(self) -> npt.NDArray[Any]:
        """The values; raises :class:`ModelError` where the bytes do not fill the shape, or the data file is missing."""
        if not self.external:
            try:
                return np.asarray(onnx.numpy_helper.to_array(self.tensor))
            except (ValueError, TypeError) as error:
                raise ModelError(
                    f"the data of tensor {self.tensor.name!r} does not fill its shape {list(self.shape)}: {error}",
                    hint="the file is damaged; export the model again",
                ) from error
        raw = external_bytes(self.tensor, self.folder)
        kind = onnx.helper.tensor_dtype_to_np_dtype(self.tensor.data_type)
        if len(raw) * 8 == int(np.prod(self.shape, dtype=np.int64)) * np.dtype(kind).itemsize * 8:
            return np.frombuffer(raw, dtype=kind).reshape(self.shape)
        # Types of less than a byte are packed: onnx unpacks them.
        inline = onnx.TensorProto(name=self.tensor.name, dims=self.tensor.dims, data_type=self.tensor.data_type)
        inline.raw_data = bytes(raw)
        return np.asarray(onnx.numpy_helper.to_array(inline))


def external_bytes(tensor: onnx.TensorProto, folder: Path | None) -> memoryview:
    """The bytes of an external tensor, mapped read-only; raises :class:`ModelError` with the file it looked for."""
    facts = {entry.key: entry.value for entry in tensor.external_data}
    location, offset = facts.get("location", ""), int(facts.get("offset", 0) or 0)
    path = (folder or Path()) / location
    if not location or Path(location).is_absolute() or ".." in Path(location).parts:
        raise ModelError(f"tensor {tensor.name!r} names the external data file {location!r}, which is not a plain name")
    if not path.is_file():
        raise ModelError(
            f"external data file {str(path)!r} of tensor {tensor.name!r} is missing",
            hint="keep the data file beside the .onnx file, under the name the exporter gave it",
        )
    size = path.stat().st_size
    length = int(facts.get("length", 0) or 0) or size - offset
    if offset + length > size:
        raise ModelError(
            f"external data file {str(path)!r} ends at byte {size}, tensor {tensor.name!r} needs {offset + length}",
            hint="the file is truncated; copy it again",
        )
    if not length:
        return memoryview(b"")
    return memoryview(np.memmap(path, dtype=np.uint8, mode="r", offset=offset, shape=(length,)))  # type: ignore[arg-type]

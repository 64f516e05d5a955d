"""Device memory and a stream through CUDA's runtime library, loaded when first needed; nothing else of CUDA is used.

Not run on a device.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from typing import Any, Protocol

from numpy.typing import NDArray

from dlarewrite.build.tensorrt_errors import BuildError
from dlarewrite.errors import EnvironmentMissing

_TO_DEVICE, _TO_HOST = 1, 2
_NAMES = ("libcudart.so", "libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so.10.2")


class DeviceMemory(Protocol):
    """What a run needs of the device."""

    stream: int

    def allocate(self, size: int) -> int:
        """The address of ``size`` fresh bytes, freed by :meth:`close`."""

    def upload(self, address: int, values: NDArray[Any]) -> None:
        """Copy contiguous values to the device."""

    def download(self, values: NDArray[Any], address: int) -> None:
        """Copy from the device into contiguous values."""

    def wait(self) -> None:
        """Until the stream has done all it was given; raises :class:`BuildError` where it failed."""

    def close(self) -> None:
        """Free everything."""


class Cuda:
    """:class:`DeviceMemory` by the CUDA runtime; raises :class:`EnvironmentMissing` where its library is not here."""

    def __init__(self) -> None:
        self._library = _load()
        self._taken: list[int] = []
        handle = ctypes.c_void_p()
        self._call("cudaStreamCreate", ctypes.byref(handle))
        self.stream = int(handle.value or 0)

    def allocate(self, size: int) -> int:
        address = ctypes.c_void_p()
        self._call("cudaMalloc", ctypes.byref(address), ctypes.c_size_t(max(size, 1)))
        self._taken.append(int(address.value or 0))
        return self._taken[-1]

    def upload(self, address: int, values: NDArray[Any]) -> None:
        self._copy(address, values.ctypes.data, values.nbytes, _TO_DEVICE)

    def download(self, values: NDArray[Any], address: int) -> None:
        self._copy(values.ctypes.data, address, values.nbytes, _TO_HOST)

    def wait(self) -> None:
        self._call("cudaStreamSynchronize", ctypes.c_void_p(self.stream))

    def close(self) -> None:
        for address in self._taken:
            self._library.cudaFree(ctypes.c_void_p(address))
        self._taken.clear()
        self._library.cudaStreamDestroy(ctypes.c_void_p(self.stream))

    def _copy(self, to: int, source: int, size: int, kind: int) -> None:
        self._call("cudaMemcpy", ctypes.c_void_p(to), ctypes.c_void_p(source), ctypes.c_size_t(size), kind)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            raise BuildError(f"CUDA's {name} fails with error {code}")


def _load() -> Any:
    found = ctypes.util.find_library("cudart")
    for name in (*_NAMES, *([found] if found else [])):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise EnvironmentMissing(
        "CUDA's runtime library (libcudart) is not here", hint="run on the Jetson that built the engine"
    )

"""Which versions are installed, without importing what they are versions of."""

from __future__ import annotations

import importlib.metadata
import platform

_MATTER = ("dlarewrite", "onnx", "onnx-graphsurgeon", "onnxruntime", "numpy", "protobuf", "tensorrt")


def version(distribution: str) -> str:
    """The installed version, or "not installed"."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def versions() -> dict[str, str]:
    """All that a report about this program should name."""
    machine = f"{platform.python_implementation()} {platform.python_version()} on {platform.platform()}"
    return {"python": machine, **{name: version(name) for name in _MATTER}}

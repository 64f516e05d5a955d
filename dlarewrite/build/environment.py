"""What the machine's environment should be for DLA engines, said beside every build."""

from __future__ import annotations

from collections.abc import Mapping

from dlarewrite.build.request import BuildRequest

CONNECTIONS = "CUDA_DEVICE_MAX_CONNECTIONS"


def advice(request: BuildRequest, environ: Mapping[str, str] | None = None) -> list[str]:
    """Sentences on running the engines of a request; ``environ`` is that of the board, where this is one."""
    told = []
    if environ is None:
        told.append(f"set {CONNECTIONS}=32 where the engine runs: GPU and DLA disturb each other less")
    elif environ.get(CONNECTIONS) != "32":
        now = environ.get(CONNECTIONS, "unset")
        told.append(f"set {CONNECTIONS}=32 (it is {now}) where the engine runs: GPU and DLA disturb each other less")
    if request.options.standalone:
        told.append("run the loadable through cuDLA; TensorRT cannot load it")
    else:
        told.append("keep CUDA graphs off: they cannot capture DLA work")
    if len(request.options.dla_cores) > 1:
        told.append("give each engine a stream and a process or thread of its own, so that the cores run at once")
    if request.formats:
        told.append("size buffers by the engine's strides, not by volume: DLA formats pad channels and rows")
    return told

"""The trtexec command that equals a build: devices, precision, pools, caches, for the target's TensorRT release.

Options and the releases that have them are those of trtexec's own help (8.2 to 11.1); 11.x builds strongly typed
networks and has no precision flags. Paths are written as given.
"""

from __future__ import annotations

import shlex

from dlarewrite.build.request import BuildRequest

_LAYER_DEVICE_TYPES = (8, 6)
_MEMORY_POOLS = (8, 4)
_TYPED = (11, 0)


def arguments(request: BuildRequest) -> list[str]:
    """trtexec's arguments in a stable order."""
    release = tuple(request.profile.tensorrt[:2])
    found = [f"--onnx={request.model}", f"--saveEngine={request.engine}", f"--useDLACore={request.dla_core}"]
    if request.gpu_fallback:
        found.append("--allowGPUFallback")
    if release < _TYPED:
        found.append("--fp16")
        if request.precision == "int8":
            found += ["--int8", f"--calib={request.calibration_cache}"]
    if request.pools:
        found.append(_pools(request, release))
    if request.plan.gpu and release >= _LAYER_DEVICE_TYPES:
        found.append("--layerDeviceTypes=" + ",".join(f"{name}:GPU" for name in request.plan.gpu))
    if request.timing_cache is not None:
        found.append(f"--timingCacheFile={request.timing_cache}")
    if request.verbose:
        found.append("--verbose")
    found.append("--skipInference" if release >= (8, 6) else "--buildOnly")
    return found


def _pools(request: BuildRequest, release: tuple[int, ...]) -> str:
    if release >= _MEMORY_POOLS:
        return "--memPoolSize=" + ",".join(f"{name}:{size}" for name, size in sorted(request.pools.items()))
    return f"--workspace={request.pools.get('workspace', 1024)}"


def script(request: BuildRequest) -> str:
    """A POSIX shell script for the board; it changes nothing but the engine and the timing cache."""
    lines = " \\\n    ".join(shlex.quote(a) for a in arguments(request))
    release = ".".join(map(str, request.profile.tensorrt))
    note = ""
    if request.plan.gpu and tuple(request.profile.tensorrt[:2]) < _LAYER_DEVICE_TYPES:
        note = "# This release has no --layerDeviceTypes: TensorRT itself chooses among the nodes that the DLA takes.\n"
    return (
        "#!/bin/sh\n"
        f"# {request.engine.name}: DLA core {request.dla_core} of {request.profile.title}, TensorRT {release}.\n"
        f"# {len(request.plan.regions)} DLA regions, {len(request.plan.gpu)} nodes on the GPU. Not run on a device.\n"
        f"{note}set -eu\n"
        "export CUDA_DEVICE_MAX_CONNECTIONS=32\n"
        f'"${{TRTEXEC:-trtexec}}" \\\n    {lines}\n'
    )

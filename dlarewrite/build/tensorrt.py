"""Builds an engine through TensorRT's Python API (8.5 and later); the only module that imports tensorrt.

Placement follows the plan: every layer whose ONNX node is off the DLA in the plan is set to the GPU, every other
layer to the DLA, after asking ``can_run_on_DLA`` under the final precision flags. Where TensorRT disagrees with the
plan, the disagreement is returned, and the layer goes to the GPU (or the build fails, without GPU fallback).
Not run on a device: no board was at hand when this was written.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from dlarewrite.build.request import BuildRequest
from dlarewrite.errors import DlarewriteError, EnvironmentMissing
from dlarewrite.ir.exporter import atomic

_MIB = 2**20


class BuildError(DlarewriteError):
    """TensorRT refused the network or could not build it; the message carries TensorRT's own words."""


@dataclass(frozen=True)
class Disagreement:
    """A layer that the plan and TensorRT judge differently."""

    layer: str
    node: str
    planned: str
    tensorrt: str


@dataclass(frozen=True)
class Built:
    """What a build did: layers per device, and where TensorRT disagreed."""

    dla_layers: int
    gpu_layers: int
    disagreements: tuple[Disagreement, ...]


def load_tensorrt() -> Any:
    """The tensorrt module; raises :class:`EnvironmentMissing` where it, or a DLA, is not here."""
    try:
        trt = importlib.import_module("tensorrt")
        builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    except (ImportError, OSError, AttributeError, RuntimeError, TypeError) as error:
        reason = next(iter(str(error).splitlines()), "")
        raise EnvironmentMissing(
            f"TensorRT's Python package is not usable here ({type(error).__name__}: {reason})",
            hint="build on the Jetson, or run the emitted trtexec script there",
        ) from error
    if builder.num_DLA_cores == 0:
        raise EnvironmentMissing("TensorRT sees no DLA on this machine", hint="build on a Jetson Xavier or Orin")
    return trt


def build_engine(request: BuildRequest, trt: Any | None = None) -> Built:
    """Build and write ``request.engine`` atomically; ``trt`` is the tensorrt module (loaded when not given)."""
    trt = trt if trt is not None else load_tensorrt()
    messages: list[str] = []
    logger = _logger(trt, messages, request.verbose)
    builder = trt.Builder(logger)
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(request.model)):
        errors = [str(parser.get_error(i)) for i in range(parser.num_errors)]
        raise BuildError(f"TensorRT's parser refuses {str(request.model)!r}: {'; '.join(errors) or 'no reason given'}")
    config = builder.create_builder_config()
    _configure(trt, config, request)
    built = _place(trt, network, config, request)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BuildError(f"TensorRT could not build the engine: {'; '.join(messages[-3:]) or 'no reason given'}")
    with atomic(request.engine) as file:
        file.write(bytes(plan))
    return built


def _logger(trt: Any, messages: list[str], verbose: bool) -> Any:
    """A TensorRT logger that keeps errors for the one line the user gets."""

    class Collect(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                messages.append(message)

    return trt.Logger(trt.Logger.VERBOSE) if verbose else Collect()


def _network_flags(trt: Any) -> int:
    """EXPLICIT_BATCH is required up to 8.6, without effect in 10.x, and gone from the enum in 11."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    return 0 if flag is None else 1 << int(flag)


def _configure(trt: Any, config: Any, request: BuildRequest) -> None:
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = request.dla_core
    flags = ["FP16"] + (["INT8"] if request.precision == "int8" else [])
    for name in flags:
        flag = getattr(trt.BuilderFlag, name, None)
        if flag is not None:
            config.set_flag(flag)
    if request.gpu_fallback:
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    if request.precision == "int8":
        config.int8_calibrator = _cache_calibrator(trt, request)
    pools = {
        "dlaSRAM": "DLA_MANAGED_SRAM",
        "dlaLocalDRAM": "DLA_LOCAL_DRAM",
        "dlaGlobalDRAM": "DLA_GLOBAL_DRAM",
        "workspace": "WORKSPACE",
    }
    for name, size in request.pools.items():
        config.set_memory_pool_limit(getattr(trt.MemoryPoolType, pools[name]), size * _MIB)
    if request.timing_cache is not None:
        data = request.timing_cache.read_bytes() if request.timing_cache.is_file() else b""
        config.set_timing_cache(config.create_timing_cache(data), False)


def _cache_calibrator(trt: Any, request: BuildRequest) -> Any:
    """A calibrator that only hands over the cache; DLA requires the entropy-2 kind (TensorRT up to 10.x)."""
    cache = request.calibration_cache.read_bytes() if request.calibration_cache is not None else b""

    class FromCache(trt.IInt8EntropyCalibrator2):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IInt8EntropyCalibrator2.__init__(self)

        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: list[str]) -> None:
            return None

        def read_calibration_cache(self) -> bytes:
            return cache

        def write_calibration_cache(self, data: bytes) -> None:
            return None

    return FromCache()


def _place(trt: Any, network: Any, config: Any, request: BuildRequest) -> Built:
    planned_gpu = set(request.plan.gpu)
    disagreements: list[Disagreement] = []
    dla = 0
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        node = _node_name(layer)
        wanted = node not in planned_gpu
        able = bool(config.can_run_on_DLA(layer))
        if wanted != able:
            words = {True: "dla", False: "gpu"}
            disagreements.append(Disagreement(layer.name, node, words[wanted], words[able]))
        if wanted and able:
            config.set_device_type(layer, trt.DeviceType.DLA)
            dla += 1
            continue
        if not request.gpu_fallback:
            raise BuildError(f"layer {layer.name!r} (node {node!r}) does not run on the DLA and GPU fallback is off")
        config.set_device_type(layer, trt.DeviceType.GPU)
    return Built(dla, network.num_layers - dla, tuple(disagreements))


def _node_name(layer: Any) -> str:
    """The ONNX node of a layer: its metadata (8.6 and later) or its name, less the parser's suffixes."""
    metadata = getattr(layer, "metadata", "") or ""
    for part in metadata.split("\x1f"):
        if part.startswith("[ONNX Layer: ") and part.endswith("]"):
            return str(part[len("[ONNX Layer: ") : -1])
    return str(layer.name).split(" [", 1)[0].split(" + ", 1)[0]

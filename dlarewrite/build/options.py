"""What the caller may choose about a build, and everything that can be wrong with it before a model is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dlarewrite.build.formats import IoFormat
from dlarewrite.build.release import Features
from dlarewrite.errors import UsageError
from dlarewrite.target import Profile

Formats = tuple[tuple[str, IoFormat], ...]

PRECISIONS = ("fp32", "fp16", "int8", "fp8")


@dataclass(frozen=True)
class BuildOptions:
    """Choices of one build; paths are files, ``pools`` are bytes over the planned ones.

    ``gpu_fallback`` None means: allowed unless a standalone loadable is built. ``io_formats`` is "keep" (TensorRT's
    own FP32 rows) or "auto" (what spares reformats); "" chooses "auto" where reformats are impossible, else "keep".
    ``input_formats`` and ``output_formats`` pair a port's name ("" for all, or by position) with a format.
    ``layer_devices`` overrides the plan node by node ("DLA" or "GPU").
    """

    dla_cores: tuple[int, ...] = (0,)
    gpu_fallback: bool | None = None
    precision: str = "fp16"
    fp8: bool = False
    calibration_cache: Path | None = None
    timing_cache: Path | None = None
    ignore_timing_mismatch: bool = False
    pools: Mapping[str, int] = field(default_factory=dict)
    optimization_level: int | None = None
    direct_io: bool = False
    precision_constraints: str = ""
    layer_precisions: Mapping[str, str] = field(default_factory=dict)
    layer_devices: Mapping[str, str] = field(default_factory=dict)
    reject_empty_algorithms: bool = False
    sparsity: str = "disable"
    standalone: bool = False
    io_formats: str = ""
    input_formats: Formats = ()
    output_formats: Formats = ()
    verbose: bool = False

    @property
    def fallback(self) -> bool:
        """Whether refused layers may run on the GPU."""
        return not self.standalone if self.gpu_fallback is None else self.gpu_fallback

    @property
    def direct(self) -> bool:
        """Whether reformats at the engine's borders are forbidden: on request, and where no GPU may make them."""
        return self.direct_io or not self.fallback

    @property
    def automatic_formats(self) -> bool:
        """Whether borders get the formats that spare reformats."""
        return self.direct if not self.io_formats else self.io_formats == "auto"

    @property
    def constraints(self) -> str:
        """How strictly precisions of single layers hold; trtexec prefers them too wherever a DLA is used."""
        return self.precision_constraints or ("prefer" if self.layer_precisions else "none")


def check_options(options: BuildOptions, profile: Profile, features: Features) -> None:
    """Raise :class:`UsageError` for a request that this machine or this TensorRT cannot fulfil."""
    _check_cores(options, profile)
    _check_standalone(options)
    _check_precision(options, features)
    _check_sparsity(options, profile)
    level = options.optimization_level
    if level is not None:
        features.demand("IBuilderConfig.builder_optimization_level", "--optimization-level")
        if not 0 <= level <= 5:
            raise UsageError(f"--optimization-level is 0 to 5, not {level}")
    if options.reject_empty_algorithms:
        features.demand("BuilderFlag.REJECT_EMPTY_ALGORITHMS", "--reject-empty-algorithms")
    if any(pool.startswith("dla") for pool in options.pools):
        features.demand("IBuilderConfig.set_memory_pool_limit", "--mem-pool-size", "leave the DLA's pools out")
    if options.timing_cache is not None and options.timing_cache.is_dir():
        raise UsageError(f"timing cache {str(options.timing_cache)!r} is a folder")


def _check_cores(options: BuildOptions, profile: Profile) -> None:
    cores = options.dla_cores
    if not cores or len(set(cores)) != len(cores):
        raise UsageError(f"--dla-cores names {'no core' if not cores else 'a core twice'}", hint="example: 0,1")
    for core in cores:
        if not 0 <= core < profile.dla_cores:
            last = profile.dla_cores - 1
            raise UsageError(
                f"--dla-core {core} does not exist on {profile.name}",
                hint=f"its cores are 0 to {last}" if last else "its only core is 0",
            )


def _check_standalone(options: BuildOptions) -> None:
    if options.standalone and options.gpu_fallback:
        raise UsageError(
            "a standalone DLA loadable has no GPU to fall back to", hint="leave out --gpu-fallback or --standalone"
        )
    if options.io_formats == "keep" and options.direct:
        raise UsageError(
            "without reformats the DLA cannot read or write TensorRT's own FP32 rows",
            hint="--io-formats auto, or allow GPU fallback without --direct-io",
        )


def _check_precision(options: BuildOptions, features: Features) -> None:
    if options.fp8:
        features.demand("BuilderFlag.FP8", "--fp8", "where types in the model decide, FP8 is a type of the model")
        if options.precision == "int8":
            raise UsageError("TensorRT builds with FP8 or with INT8, not with both", hint="leave out --fp8")
    if options.calibration_cache is not None:
        features.demand("IBuilderConfig.int8_calibrator", "--calib", "types in the model decide; leave it out")
    if options.layer_precisions:
        features.demand("ILayer.precision", "--layer-precisions", "types in the model decide; leave it out")
    if options.constraints != "none":
        name = "OBEY" if options.constraints == "obey" else "PREFER"
        features.demand(f"BuilderFlag.{name}_PRECISION_CONSTRAINTS", "--precision-constraints")
    for node, precision in options.layer_precisions.items():
        if precision not in ("fp32", "fp16", "int8"):
            raise UsageError(f"precision {precision!r} of {node!r} is none of fp32, fp16 and int8")
        if precision == "int8" and options.precision != "int8":
            raise UsageError(f"{node!r} cannot be INT8 in a build without it", hint="--precision int8 --calib FILE")


def _check_sparsity(options: BuildOptions, profile: Profile) -> None:
    if options.sparsity != "disable" and not profile.orin:
        raise UsageError(
            f"the DLA of {profile.name} knows no structured sparsity: it came with Orin (SP-HW)",
            hint="leave out --sparsity",
        )

"""From a request to the ordered steps of its build; pure, so that a laptop shows what a board will do.

One recipe serves every TensorRT: a step is there where the release has what the step calls
(:class:`dlarewrite.build.release.Features`).
"""

from __future__ import annotations

from collections.abc import Iterator

from dlarewrite.build.formats import FORMATS, TYPES
from dlarewrite.build.pools import MEMBERS, MIB
from dlarewrite.build.request import BuildRequest
from dlarewrite.build.steps import (
    Assign,
    Bits,
    Build,
    BuildStep,
    Call,
    DemandCore,
    FileBytes,
    Helper,
    Hooks,
    Inspect,
    LayerTypes,
    Member,
    Parse,
    Place,
    Port,
    Ref,
    Save,
    SaveTimings,
)

_BUILDER, _CONFIG, _PARSER = Ref("builder"), Ref("config"), Ref("parser")
_DEFAULT_WORKSPACE = 1024 * MIB


def build_steps(request: BuildRequest, core: int, hooks: int = 0) -> tuple[BuildStep, ...]:
    """All steps of building one engine for DLA core ``core``; ``hooks`` network functions run after parsing."""
    return (
        *_network(request, core),
        *((Hooks(hooks),) if hooks else ()),
        *_flags(request),
        *_devices(request, core),
        *_resources(request),
        *_borders(request),
        *_layers(request),
        *_finish(request, core),
    )


def _network(request: BuildRequest, core: int) -> Iterator[BuildStep]:
    has = request.release.has
    yield Call(None, "", (Helper("logger"),), "logger", "TensorRT's errors become the one line of a failure")
    yield Call(Member("Builder"), "", (Ref("logger"),), "builder")
    yield DemandCore(core)
    explicit = "NetworkDefinitionCreationFlag.EXPLICIT_BATCH"
    old = request.release.version < (10,)
    flags, why = (Bits((explicit,)), "required") if has(explicit) and old else (Bits(), "the batch is explicit")
    if request.release.typed:
        why = "strongly typed: the model's types decide"
    yield Call(_BUILDER, "create_network", (flags,), "network", why)
    yield Call(Member("OnnxParser"), "", (Ref("network"), Ref("logger")), "parser")
    uint8 = "OnnxParserFlag.ENABLE_UINT8_AND_ASYMMETRIC_QUANTIZATION_DLA"
    if request.facts.asymmetric and has(uint8):
        yield Call(_PARSER, "set_flag", (Member(uint8),), "", "the model has UINT8 Q/DQ")
    adjust = "OnnxParserFlag.ADJUST_FOR_DLA"
    if has(adjust) and (request.release.typed or request.facts.asymmetric):
        yield Call(_PARSER, "set_flag", (Member(adjust),))
    yield Parse(request.model)
    yield Call(_BUILDER, "create_builder_config", (), "config")


def _flags(request: BuildRequest) -> Iterator[BuildStep]:
    options, has = request.options, request.release.has
    wanted: list[tuple[str, bool, str]] = [
        ("FP16", True, "the DLA computes in FP16 or INT8"),
        ("INT8", options.precision == "int8", "with FP16 for what has no INT8 form"),
        ("FP8", options.fp8, "for layers on the GPU"),
        ("PREFER_PRECISION_CONSTRAINTS", options.constraints == "prefer", ""),
        ("OBEY_PRECISION_CONSTRAINTS", options.constraints == "obey", ""),
        ("GPU_FALLBACK", options.fallback, "for what the DLA refuses"),
        ("DIRECT_IO", options.direct, "no reformats at the borders"),
        ("SPARSE_WEIGHTS", options.sparsity != "disable", "for weights that are 2:4 sparse over input channels"),
        ("REJECT_EMPTY_ALGORITHMS", options.reject_empty_algorithms, ""),
    ]
    for name, asked, why in wanted:
        if asked and has(f"BuilderFlag.{name}"):
            yield Call(_CONFIG, "set_flag", (Member(f"BuilderFlag.{name}"),), "", why)


def _devices(request: BuildRequest, core: int) -> Iterator[BuildStep]:
    yield Assign(_CONFIG, "default_device_type", Member("DeviceType.DLA"))
    yield Assign(_CONFIG, "DLA_core", core)
    if request.options.standalone:
        why = "the result is a raw loadable for cuDLA, no TensorRT engine"
        yield Assign(_CONFIG, "engine_capability", Member("EngineCapability.DLA_STANDALONE"), why)
    cache = request.options.calibration_cache
    if cache is not None and request.options.precision == "int8":
        yield Assign(_CONFIG, "int8_calibrator", Helper("calibrator", cache), "hands over the scales of the cache")


def _resources(request: BuildRequest) -> Iterator[BuildStep]:
    options, has = request.options, request.release.has
    if has("IBuilderConfig.set_memory_pool_limit"):
        for name, size in request.pools.items():
            yield Call(_CONFIG, "set_memory_pool_limit", (Member(MEMBERS[name]), size), "", f"{size / MIB:g} MiB")
    else:
        yield Assign(_CONFIG, "max_workspace_size", request.pools.get("workspace", _DEFAULT_WORKSPACE))
    if options.optimization_level is not None:
        yield Assign(_CONFIG, "builder_optimization_level", options.optimization_level)
    if has("IBuilderConfig.profiling_verbosity") and not options.standalone:
        why = "so that the engine can tell where its layers run"
        yield Assign(_CONFIG, "profiling_verbosity", Member("ProfilingVerbosity.DETAILED"), why)
    if has("IBuilderConfig.progress_monitor"):
        yield Assign(_CONFIG, "progress_monitor", Helper("progress"))
    if options.timing_cache is not None:
        cache = Ref("timing_cache")
        yield Call(_CONFIG, "create_timing_cache", (FileBytes(options.timing_cache),), cache.name)
        cure = f"--ignore-timing-mismatch, or delete {str(options.timing_cache)!r}"
        yield Call(_CONFIG, "set_timing_cache", (cache, options.ignore_timing_mismatch), cure=cure)


def _borders(request: BuildRequest) -> Iterator[BuildStep]:
    borders = {(b.direction, b.name): b for b in (*request.facts.inputs, *request.facts.outputs)}
    for key, form in request.formats.items():
        port = Port(*key)
        if form.dtype != borders[key].dtype:
            yield Assign(port, "dtype", Member(TYPES[form.dtype]))
        if form.layout != "chw":
            yield Assign(port, "allowed_formats", Bits((FORMATS[form.layout],)), f"{form}")


def _layers(request: BuildRequest) -> Iterator[BuildStep]:
    if request.options.layer_precisions:
        yield LayerTypes({name: TYPES[p] for name, p in request.options.layer_precisions.items()})
    yield Place(len(request.dla), tuple(request.gpu), request.options.fallback)


def _finish(request: BuildRequest, core: int) -> Iterator[BuildStep]:
    options = request.options
    yield Build()
    yield Save(request.engine_of(core), loadable=options.standalone)
    if options.timing_cache is not None:
        yield SaveTimings(options.timing_cache)
    if not options.standalone:
        yield Inspect(core)

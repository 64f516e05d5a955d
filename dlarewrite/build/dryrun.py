"""Shows a build without one: the steps that the executor would carry out, and all that was decided on the way."""

from __future__ import annotations

from typing import Any

from dlarewrite.build.environment import advice
from dlarewrite.build.recipe import build_steps
from dlarewrite.build.release import caution, dotted
from dlarewrite.build.request import BuildRequest
from dlarewrite.build.steps import as_data, render
from dlarewrite.build.trtexec import arguments


def cautions(request: BuildRequest) -> list[str]:
    """What the user should know before an engine is built."""
    options, release = request.options, request.release
    told = [caution(release.version)] if caution(release.version) else []
    if release.version >= (10, 7) and options.direct:
        told.append("DIRECT_IO is deprecated from TensorRT 10.7 on")
    if options.precision == "int8" and release.version >= (10, 1) and not release.typed:
        told.append("calibrators are deprecated from TensorRT 10.1 on; they still work up to 10.x")
    if release.typed and request.facts.fp32:
        told.append("the model is FP32, and strongly typed networks run as typed: the DLA needs FP16 in the model")
    if options.precision == "int8" and request.facts.unscaled and not request.facts.quantized:
        lost = request.facts.unscaled
        told.append(f"{len(lost)} tensors on the DLA have no scale, their layers run FP16; the first: {lost[0]}")
    if release.typed and options.precision == "int8":
        told.append("INT8 from symmetric Q/DQ is not documented for this release's DLA: experimental")
    cores = {region.core for region in request.plan.regions}
    if len(cores) > 1:
        told.append(f"the plan spreads over {len(cores)} cores, and an engine runs on one: `dlarewrite split` parts it")
    if options.sparsity == "force":
        told.append("--sparsity force overwrites weights, which only trtexec does: the Python build keeps them")
    return told


def describe(request: BuildRequest, hooks: int = 0) -> str:
    """The dry run as text, one list of steps per core."""
    version = dotted(request.release.version)
    parts = [f"TensorRT {version} on {request.profile.title}"]
    parts += [f"caution: {text}" for text in cautions(request)]
    for core in request.options.dla_cores:
        parts.append(f"\nDLA core {core}\n{render(build_steps(request, core, hooks))}".rstrip("\n"))
    parts.append("\n" + "\n".join(f"advice: {text}" for text in advice(request)))
    return "\n".join(parts) + "\n"


def as_json(request: BuildRequest, hooks: int = 0) -> dict[str, Any]:
    """The dry run as plain data."""
    return {
        "schema_version": 1,
        "target": request.profile.name,
        "tensorrt": dotted(request.release.version),
        "cautions": cautions(request),
        "engines": [
            {
                "dla_core": core,
                "engine": str(request.engine_of(core)),
                "steps": [as_data(step) for step in build_steps(request, core, hooks)],
                "trtexec": arguments(request, core),
            }
            for core in request.options.dla_cores
        ],
        "advice": advice(request),
    }

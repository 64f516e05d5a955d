"""Shows a build without one: the steps that the executor would carry out, and all that was decided on the way."""

from __future__ import annotations

from typing import Any

from dlarewrite.build.cautions import cautions
from dlarewrite.build.environment import advice
from dlarewrite.build.recipe import build_steps
from dlarewrite.build.release import dotted
from dlarewrite.build.request import BuildRequest
from dlarewrite.build.steps import as_data, render
from dlarewrite.build.trtexec import arguments


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

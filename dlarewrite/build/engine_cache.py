"""Reuses an engine whose model, request and TensorRT are the same as those it was built from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from dlarewrite.build.recipe import build_steps
from dlarewrite.build.request import BuildRequest
from dlarewrite.build.steps import as_data
from dlarewrite.ir.exporter import atomic

_CHUNK = 2**20


def note_of(engine: Path) -> Path:
    """The file beside an engine that says what it was built from."""
    return engine.with_name(f"{engine.name}.built.json")


def digest(request: BuildRequest, core: int, release: str) -> str:
    """SHA-256 over the model with its weights, the steps of the build, the calibration cache, and the release."""
    found = hashlib.sha256(release.encode())
    found.update(json.dumps([as_data(step) for step in build_steps(request, core)]).encode())
    weights = request.model.with_name(f"{request.model.name}.data")
    cache = request.options.calibration_cache
    for path in (request.model, weights, *([cache] if cache is not None else [])):
        if path.is_file():
            found.update(_file_digest(path).encode())
    return found.hexdigest()


def is_current(request: BuildRequest, core: int, release: str) -> bool:
    """Whether the engine on disk is the one that this request would build."""
    engine = request.engine_of(core)
    try:
        note = json.loads(note_of(engine).read_text())
        return bool(note["request"] == digest(request, core, release) and note["engine"] == _file_digest(engine))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def remember(request: BuildRequest, core: int, release: str) -> None:
    """Write down what the engine on disk was just built from."""
    engine = request.engine_of(core)
    note = {"request": digest(request, core, release), "engine": _file_digest(engine), "tensorrt": release}
    with atomic(note_of(engine)) as file:
        file.write((json.dumps(note, indent=2) + "\n").encode())


def _file_digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()

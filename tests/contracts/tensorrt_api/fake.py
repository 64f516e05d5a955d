"""A TensorRT that cannot lie: it has exactly what a release has, acts a build out, and logs every call.

``fake_tensorrt("8.6")`` is a module-like object made from the frozen surface of that release. What is not in the
release raises AttributeError; a call with other arguments raises TypeError; a read-only property cannot be set; an
interface that is subclassed must have its ``__init__`` called. Nothing runs on a device: layers are placed by the
callable given, and an engine is a note of what was asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensorrt_api import building, parsing, running, values
from tensorrt_api.classes import Action, Surface

SURFACES = Path(__file__).parent / "surfaces"
VERSIONS = ("8.6.1", "10.3.0", "10.7.0.post1", "10.13.3.9", "10.16.1.11", "11.4.0.106")


@dataclass(frozen=True)
class Behaviour:
    """How the fake machine answers.

    ``can_run_on_dla(layer, config)`` is asked by ``can_run_on_DLA``; ``messages`` are logged during a build as
    ``(severity, text)``; ``parse_errors`` make parsing fail; ``builds`` False makes a build return None;
    ``execute`` computes outputs by name from inputs by name (numpy arrays).
    """

    can_run_on_dla: Callable[[Any, Any], bool] = lambda layer, config: True
    dla_cores: int = 2
    messages: Sequence[tuple[str, str]] = ()
    parse_errors: Sequence[str] = ()
    builds: bool = True
    execute: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    layer_information: dict[str, Any] | None = None
    extra: dict[str, Action] = field(default_factory=dict)


def surface_of(version: str) -> dict[str, Any]:
    """The frozen surface whose release begins with ``version``: ``"10.7"`` finds 10.7.0.post1."""
    found = [v for v in VERSIONS if v == version or v.startswith(f"{version}.")]
    if len(found) != 1:
        raise ValueError(f"{version!r} names {len(found)} of {', '.join(VERSIONS)}")
    surface: dict[str, Any] = json.loads((SURFACES / f"{found[0]}.json").read_text())
    return surface


def fake_tensorrt(version: str, *, reports: str | None = None, **behaviour: Any) -> Any:
    """A module that is TensorRT ``version`` to its user; ``reports`` is another ``__version__`` with this surface.

    The remaining keywords are the fields of :class:`Behaviour`. :func:`calls` reads what was called.
    """
    data = surface_of(version)
    chosen = Behaviour(**behaviour)
    rooms = (building, parsing, running)
    actions = {k: v for room in rooms for k, v in room.actions(chosen).items()} | values.actions() | chosen.extra
    return Surface(data, actions, reports or data["version"]).module


def calls(trt: Any) -> list[str]:
    """Every call and setting so far, in order: ``IBuilderConfig.set_flag(BuilderFlag.FP16)``, ``... .DLA_core = 1``."""
    return list(trt._fake.calls)

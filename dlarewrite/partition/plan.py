"""The plan: which nodes go to the DLA, in which regions, what crosses, and what that should cost; a YAML file.

People may edit the file: nodes moved from a region to ``gpu`` (or back), regions dropped or put on another core.
:func:`dlarewrite.partition.fitting.fit` says what of it no longer fits a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dlarewrite.errors import UsageError
from dlarewrite.target import Target

VERSION = 2
"""Of the file; fields that are added with a default do not change it."""


@dataclass(frozen=True)
class Region:
    """One loadable: its nodes in order, the tensors that enter and leave it, MACs, bytes, and predicted cost.

    ``weight_bytes`` and ``inner_bytes`` (the activations that stay inside) are at the build's precision; ``core`` is
    the DLA core. ``gpu_milliseconds`` and ``gpu_millijoules`` are what the same nodes would cost on the GPU; ``why``
    says what keeps the region from being larger.
    """

    name: str
    nodes: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    macs: int
    weight_bytes: int
    inner_bytes: int = 0
    core: int = 0
    milliseconds: float = 0.0
    millijoules: float = 0.0
    gpu_milliseconds: float = 0.0
    gpu_millijoules: float = 0.0
    why: str = ""


@dataclass(frozen=True)
class Estimate:
    """Predicted cost of one inference: busy time of each device, of hand-overs between them, and energy.

    ``latency_ms`` is the sum, since one inference's layers wait for each other; ``bottleneck_ms`` is the busier
    device's time (the GPU's with the hand-overs), which bounds a pipeline of many inferences.
    """

    dla_ms: float
    gpu_ms: float
    crossing_ms: float
    millijoules: float
    bottleneck_ms: float = 0.0

    @property
    def latency_ms(self) -> float:
        return self.dla_ms + self.gpu_ms + self.crossing_ms


@dataclass(frozen=True)
class Alternative:
    """What another choice would give: the option that asks for it, its figures, and what it is best at, if anything."""

    option: str
    loadables: int
    dla_share: float
    estimate: Estimate
    name: str = ""


@dataclass(frozen=True)
class Plan:
    """Where every node goes.

    ``gpu`` maps each node off the DLA to the reason, ``crossings`` each tensor that changes device or loadable to its
    bytes. ``dropped`` are nodes that the DLA would take and the plan leaves to the GPU, ``notes`` what a reader should
    know, ``advice`` what to do next. ``measured`` counts the nodes whose time a profile told.
    """

    target: str
    precision: str
    regions: tuple[Region, ...]
    gpu: Mapping[str, str]
    crossings: Mapping[str, int]
    version: int = VERSION
    dropped: tuple[str, ...] = field(default=())
    objective: str = "offload"
    machine: str = ""
    verdict: str = ""
    predicted: Estimate | None = None
    gpu_only: Estimate | None = None
    alternatives: tuple[Alternative, ...] = ()
    notes: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    measured: int = 0

    @property
    def dla_nodes(self) -> tuple[str, ...]:
        """Names of all nodes in regions, in order of the regions."""
        return tuple(n for r in self.regions for n in r.nodes)

    def is_for(self, target: Target) -> bool:
        """Whether the plan was made for this machine and precision."""
        return (self.target, self.precision) == (target.profile.name, target.precision.value)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for YAML and JSON."""
        found: dict[str, Any] = _plain(asdict(self))
        return {"version": found.pop("version"), **found}

    def dump(self) -> str:
        """YAML text that :func:`load_plan` reads back."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, width=120)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def load_plan(path: Path) -> Plan:
    """Read a plan file; raises :class:`UsageError` that names what is wrong with it."""
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read plan {str(path)!r}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"plan {str(path)!r} is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(data, dict) or data.get("version") != VERSION:
        raise UsageError(
            f"plan {str(path)!r} is not a plan of version {VERSION}", hint="write one with `dlarewrite plan -o`"
        )
    try:
        return _read(data)
    except KeyError as error:
        raise UsageError(f"plan {str(path)!r} lacks the entry {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"plan {str(path)!r} has a value of the wrong kind: {error}") from error


def _read(data: Mapping[str, Any]) -> Plan:
    return Plan(
        target=str(data["target"]),
        precision=str(data["precision"]),
        regions=tuple(_region(r) for r in data["regions"]),
        gpu={str(k): str(v) for k, v in (data.get("gpu") or {}).items()},
        crossings={str(k): int(v) for k, v in (data.get("crossings") or {}).items()},
        dropped=tuple(map(str, data.get("dropped") or ())),
        objective=str(data.get("objective", "offload")),
        machine=str(data.get("machine", "")),
        verdict=str(data.get("verdict", "")),
        predicted=_estimate(data.get("predicted")),
        gpu_only=_estimate(data.get("gpu_only")),
        alternatives=tuple(
            Alternative(
                str(a["option"]),
                int(a["loadables"]),
                float(a["dla_share"]),
                Estimate(**a["estimate"]),
                str(a.get("name", "")),
            )
            for a in data.get("alternatives") or ()
        ),
        notes=tuple(map(str, data.get("notes") or ())),
        advice=tuple(map(str, data.get("advice") or ())),
        measured=int(data.get("measured", 0)),
    )


def _region(data: Mapping[str, Any]) -> Region:
    return Region(
        name=str(data["name"]),
        nodes=tuple(map(str, data["nodes"])),
        inputs=tuple(map(str, data.get("inputs", ()))),
        outputs=tuple(map(str, data.get("outputs", ()))),
        macs=int(data.get("macs", 0)),
        weight_bytes=int(data.get("weight_bytes", 0)),
        inner_bytes=int(data.get("inner_bytes", 0)),
        core=int(data.get("core", 0)),
        milliseconds=float(data.get("milliseconds", 0.0)),
        millijoules=float(data.get("millijoules", 0.0)),
        gpu_milliseconds=float(data.get("gpu_milliseconds", 0.0)),
        gpu_millijoules=float(data.get("gpu_millijoules", 0.0)),
        why=str(data.get("why", "")),
    )


def _estimate(data: Mapping[str, float] | None) -> Estimate | None:
    return Estimate(**data) if data else None

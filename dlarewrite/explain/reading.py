"""What a build log says, as values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from dlarewrite.explain.pattern import Pattern, Version


@dataclass(frozen=True)
class Said:
    """One sentence about a layer: the pattern, the rules that this occurrence points to, the message and its line."""

    pattern: Pattern
    rules: tuple[str, ...]
    message: str
    line: int


@dataclass(frozen=True)
class Layer:
    """A layer by TensorRT's name. ``device`` is "dla", "gpu" or "" where the log does not place it.

    ``type`` is TensorRT's layer type in capitals or "". ``left``: the log says that it left the DLA; ``capped``: only
    for want of loadables; ``listed``: it stands among the engine's layers on the GPU. ``said`` holds every different
    reason once, ``count`` the lines about the layer.
    """

    name: str
    device: str
    type: str
    left: bool
    capped: bool
    listed: bool
    said: tuple[Said, ...]
    count: int
    line: int


@dataclass(frozen=True)
class Region:
    """A loadable by TensorRT's name, without ``{ForeignNode[`` and ``]}``; ``compiled``: the log says so."""

    name: str
    line: int
    compiled: bool
    layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Event:
    """A failure, or a fact about the whole build, with how often the log says it."""

    said: Said
    count: int
    region: str = ""


@dataclass(frozen=True)
class Strange:
    """A line about the DLA that no pattern knows."""

    text: str
    count: int
    line: int


@dataclass(frozen=True)
class Scales:
    """Tensors without a scale: how many, and the first few."""

    count: int
    tensors: tuple[str, ...]
    said: Said | None


@dataclass(frozen=True)
class Reading:
    """A whole log. ``counts`` are lines by severity mark; ``lost`` counts layers beyond what is kept in memory."""

    lines: int
    dla_lines: int
    version: Version
    since: Version | None
    until: Version | None
    device: str
    command: str
    precision: str
    shapes: Mapping[str, tuple[int, ...]]
    outcome: str
    layers: tuple[Layer, ...]
    regions: tuple[Region, ...]
    placed: bool
    candidates: tuple[int, int] | None
    scales: Scales
    failures: tuple[Event, ...]
    context: tuple[Event, ...]
    strange: tuple[Strange, ...]
    strange_lines: int
    lost: int
    cut: int = 0
    reformats: int = 0
    by_pattern: Counter[str] = field(default_factory=Counter)

    @property
    def about_dla(self) -> bool:
        """Whether the log says anything about what the DLA takes."""
        return bool(self.layers or self.regions or self.failures or self.context or self.strange or self.scales.count)

    @property
    def refused(self) -> tuple[Layer, ...]:
        """Layers that left the DLA, or of which the log says something that can make them leave."""
        return tuple(layer for layer in self.layers if layer.left or layer.said)

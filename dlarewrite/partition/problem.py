"""What the partitioner decides, as plain numbers: no ONNX, no target, any unit that adds up (seconds, joules, MACs)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

HOST = -1
"""Stands for the network's own inputs (as a maker) and outputs (as a reader): memory of the GPU's side."""


class Objective(str, Enum):
    """What the best plan is best at."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"
    ENERGY = "energy"
    OFFLOAD = "offload"


@dataclass(frozen=True)
class Handover:
    """One tensor, from the layer that makes it to those that read it; either end may be :data:`HOST`.

    ``to_gpu`` is paid once if the maker runs on the DLA and any reader does not, ``to_dla`` once if any reader runs on
    the DLA and the maker does not, ``between`` once if both run on the DLA but a reader in another loadable.
    """

    maker: int
    readers: tuple[int, ...]
    to_gpu: float
    to_dla: float
    nbytes: int = 0
    between: float = 0.0


@dataclass(frozen=True)
class Problem:
    """A network to be divided between DLA and GPU; layers are numbered in topological order.

    ``dla[i]`` and ``gpu[i]`` are the cost of layer i on each device, ``inf`` on the DLA where it is illegal.
    ``makers[i]`` are the layers that feed layer i. ``tied`` groups stay on one device if all their members are legal.
    ``loadable`` is paid for each region. A core holds at most ``max_loadables`` regions, a region at most
    ``max_weights`` and ``max_inner`` bytes, all of one ``batch`` size (None goes with any). A region that gains less
    than ``min_work`` over the GPU stays there. ``work`` is what :attr:`Objective.OFFLOAD` moves off the GPU (default:
    the GPU's cost). Optional sequences are empty or as long as ``dla``. Raises ValueError for what contradicts this.
    """

    dla: Sequence[float]
    gpu: Sequence[float]
    makers: Sequence[tuple[int, ...]]
    handovers: Sequence[Handover] = ()
    tied: Sequence[tuple[int, ...]] = ()
    loadable: float = 0.0
    max_loadables: int = 16
    weights: Sequence[int] = ()
    inner: Sequence[int] = ()
    max_weights: float = math.inf
    max_inner: float = math.inf
    batch: Sequence[int | None] = ()
    min_work: float = 0.0
    work: Sequence[float] = ()
    cores: int = 1

    def __post_init__(self) -> None:
        size = len(self.dla)
        for name in ("gpu", "makers"):
            if len(getattr(self, name)) != size:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries for {size} layers")
        for name in ("weights", "inner", "batch", "work"):
            if len(getattr(self, name)) not in (0, size):
                raise ValueError(f"{name} has {len(getattr(self, name))} entries for {size} layers")
        if any(not cost >= 0 or math.isinf(cost) for cost in self.gpu) or any(not cost >= 0 for cost in self.dla):
            raise ValueError("costs are non-negative, and finite on the GPU, which takes every layer")
        if any(not 0 <= m < reader for reader, makers in enumerate(self.makers) for m in makers):
            raise ValueError("layers are not in topological order")
        if any(min(h.to_gpu, h.to_dla, h.between) < 0 for h in self.handovers):
            raise ValueError("handovers cost nothing or more")
        if self.loadable < 0 or self.max_loadables < 0 or self.cores < 1:
            raise ValueError("loadable and max_loadables are not negative, and there is at least one core")

    @property
    def legal(self) -> list[bool]:
        """Which layers the DLA takes."""
        return [cost < math.inf for cost in self.dla]

    @property
    def cap(self) -> int:
        """Loadables that fit on all cores together."""
        return self.max_loadables * self.cores


@dataclass(frozen=True)
class Solution:
    """A division and its proof: no division that keeps the constraints is better than ``bound``.

    ``regions`` are ascending layers each, by their first layer, and ``cores[k]`` is the DLA core of region k.
    ``value`` and ``bound`` are in the objective's unit, smaller is better (for OFFLOAD: work left on the GPU).
    ``evicted`` maps each legal layer that stays on the GPU to the reason.
    """

    on_dla: tuple[bool, ...]
    regions: tuple[tuple[int, ...], ...]
    cores: tuple[int, ...]
    value: float
    bound: float
    evicted: Mapping[int, str] = field(default_factory=dict)

    @property
    def gap(self) -> float:
        """How far the value may be from the optimum, as a share of the value; 0 is proven optimal."""
        return max(0.0, self.value - self.bound) / self.value if self.value > 0 else 0.0

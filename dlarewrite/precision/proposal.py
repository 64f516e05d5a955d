"""Which layers to take out of INT8: the most error removed per predicted second, within a bound of time.

The rounding of a tensor goes only when every layer that writes or reads it is out of INT8, so that neighbours are
weighed together as well as one by one. Times are the cost model's, FP16 on the DLA or the GPU, whichever is cheaper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dlarewrite.ir.view import label
from dlarewrite.partition.cost import CostModel, Device
from dlarewrite.precision.emulate import decibel
from dlarewrite.precision.layers import Arithmetic, Group
from dlarewrite.precision.scales import ScaleTable
from dlarewrite.precision.sensitivity import Noise, Sensitivities, Sensitivity
from dlarewrite.target import Precision, Target

_FREE = 1e-9
"""Seconds below which time does not count: what the cost model takes to be part of another layer costs none."""


@dataclass(frozen=True)
class Proposal:
    """Layers to take out of INT8 in the order of choice; ``seconds`` is predicted for INT8 alone, ``added`` on top.

    ``predicted`` is the worst output's SNR in dB that single errors, and what they do not explain, add up to (None:
    nothing left).
    """

    measured: Sensitivities
    chosen: tuple[Sensitivity, ...]
    seconds: float
    added: float
    predicted: float | None

    @property
    def ranked(self) -> tuple[Sensitivity, ...]:
        """The chosen layers, then the others by their own error."""
        taken = {s.group.name for s in self.chosen}
        rest = [s for s in self.measured.layers if s.group.name not in taken]
        return (*self.chosen, *sorted(rest, key=lambda s: -float(self.measured.alone(s).max(initial=0.0))))

    def snr(self, layer: Sensitivity) -> float | None:
        """The worst output's SNR in dB with the layer's weights and outputs rounded, and nothing else."""
        return decibel(1.0, float(self.measured.alone(layer).max(initial=0.0)))

    @property
    def layer_precisions(self) -> dict[str, str]:
        """Node name -> "fp16" for every node of the chosen layers, on either device."""
        return {label(node): "fp16" for s in self.chosen for node in s.group.nodes}

    @property
    def on_gpu(self) -> tuple[str, ...]:
        """Names of the nodes that are better moved to the GPU."""
        return tuple(label(n) for s in self.chosen if s.device is Device.GPU for n in s.group.nodes)

    def applied(self, table: ScaleTable) -> ScaleTable:
        """The table with the proposal's layer precisions in it."""
        return replace(table, layer_precisions={**table.layer_precisions, **self.layer_precisions})


def propose(
    measured: Sensitivities,
    groups: Sequence[Group],
    seconds: float,
    *,
    max_slowdown: float = 0.1,
    want_snr: float = 40.0,
    snr: float = math.inf,
) -> Proposal:
    """Take layers out of INT8, each time those that remove the most error of the worst output per second.

    Stops when single errors add up to ``want_snr`` dB, or nothing more fits into ``max_slowdown``, a share of
    ``seconds`` (the predicted time in INT8). ``groups`` are all of the model's. ``snr`` is what was emulated for the
    worst output: what single errors do not explain of it, such as layers that were not measured, counts as staying.
    """
    search = _Search(measured, groups)
    rest = max(10 ** (-snr / 10) - float(search.left().max(initial=0.0)), 0.0)
    budget, allowed = max_slowdown * seconds, 10 ** (-want_snr / 10)
    chosen: list[Sensitivity] = []
    added = 0.0
    while (noise := search.left()).size and noise.max() + rest > allowed:
        worst, best, most = int(noise.argmax()), None, 0.0
        for move in search.moves():
            cost = sum(s.seconds for s in move)
            removed = float(search.removed(move)[worst])
            if removed > 0 and added + cost <= budget and removed / max(cost, _FREE) > most:
                best, most = move, removed / max(cost, _FREE)
        if best is None:
            break
        chosen += best
        added += sum(s.seconds for s in best)
        search.take(best)
    return Proposal(measured, tuple(chosen), seconds, added, decibel(1.0, float(search.left().max(initial=0.0)) + rest))


class _Search:
    """What is still rounded. Layers that were not measured stay in INT8."""

    def __init__(self, measured: Sensitivities, groups: Sequence[Group]) -> None:
        self.layers = {s.group.name: s for s in measured.layers}
        self.tensors = dict(measured.tensors)
        self.users: dict[str, set[str]] = {name: set() for name in self.tensors}
        for group in groups:
            for tensor in (*group.reads, *group.writes) if group.arithmetic is Arithmetic.INT8 else ():
                if tensor.name in self.users:
                    self.users[tensor.name].add(group.name)

    def moves(self) -> list[tuple[Sensitivity, ...]]:
        """Single layers, and for each tensor all that have to go for its rounding to go."""
        together = {frozenset(users) for users in self.users.values() if users <= self.layers.keys()}
        found = {frozenset((name,)) for name in self.layers} | together
        order = {name: place for place, name in enumerate(self.layers)}
        named = sorted(sorted(order[n] for n in names) for names in found if names)
        layers = list(self.layers.values())
        return [tuple(layers[place] for place in places) for places in named]

    def removed(self, move: Sequence[Sensitivity]) -> Noise:
        """The noise that goes with these layers."""
        names = {s.group.name for s in move}
        near = {t.name for s in move for t in (*s.group.reads, *s.group.writes)}
        gone = [self.tensors[name] for name in near if name in self.tensors and self.users[name] <= names]
        return np.asarray(sum((s.noise for s in move), np.zeros(len(move[0].noise))) + sum(gone))

    def take(self, move: Sequence[Sensitivity]) -> None:
        for one in move:
            del self.layers[one.group.name]
            for users in self.users.values():
                users.discard(one.group.name)
        for name in [name for name, users in self.users.items() if not users]:
            del self.users[name], self.tensors[name]

    def left(self) -> Noise:
        """The noise of all that is still rounded, per output."""
        remaining = [*(s.noise for s in self.layers.values()), *self.tensors.values()]
        return np.sum(remaining, axis=0) if remaining else np.zeros(0)


def predicted_seconds(groups: Sequence[Group], target: Target) -> float:
    """The cost model's time of one inference, each group where it is, without what changing devices costs."""
    times = {p: CostModel.load(replace(target, precision=p)) for p in (Precision.INT8, Precision.FP16)}
    total = 0.0
    for group in groups:
        precision = Precision.INT8 if group.arithmetic is Arithmetic.INT8 else Precision.FP16
        device = Device.GPU if group.arithmetic is Arithmetic.FLOAT else Device.DLA
        total += sum(times[precision].layer(node, device).seconds for node in group.nodes)
    return total

"""INT8 before the board: a model run with its scales in onnxruntime, against the same model in floating point.

What is emulated: rounding half away from zero to -127 … 127 at every tensor that the DLA writes in INT8, weights
rounded per output channel, FP16 where the DLA uses it. What is not: the device's own rescaling between layers, whose
factors are rounded too, and the precision of the GPU's layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dlarewrite.errors import ModelError, UsageError
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import is_float
from dlarewrite.precision.activations import activations
from dlarewrite.precision.calibrate import Watch
from dlarewrite.precision.data import Data
from dlarewrite.precision.equal_scales import equalise
from dlarewrite.precision.fake import fake_quantised
from dlarewrite.precision.layers import Arithmetic, Group, groups
from dlarewrite.precision.probe import Probe
from dlarewrite.precision.quantiser import quantised
from dlarewrite.precision.scales import Scale, ScaleTable
from dlarewrite.target import Judgement

_CHUNK = 1 << 20

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Error:
    """One tensor's error over all samples against floating point.

    ``snr`` is 10 log10 of signal over noise in dB (None: no difference at all); ``worst`` the largest difference as a
    share of the tensor's amax (its scale's, or the largest magnitude seen); ``cosine`` of the two as vectors (None
    where one is zero). ``own_snr`` is what the tensor's scale alone costs, and ``clipped`` the share of values beyond
    amax; both None for a tensor that is not rounded. ``group`` and ``op`` name what writes it.
    """

    tensor: str
    group: str
    op: str
    arithmetic: str
    snr: float | None
    worst: float
    cosine: float | None
    own_snr: float | None = None
    clipped: float | None = None
    amax: float | None = None


@dataclass(frozen=True)
class Emulation:
    """Errors of the graph's outputs in order, and of the tensors between, the worst scale first.

    ``groups`` are all operations with what they were computed in; ``missing`` maps each tensor on the DLA that lacks a
    scale to the first operation that runs in FP16 for it.
    """

    outputs: tuple[Error, ...]
    layers: tuple[Error, ...]
    groups: tuple[Group, ...]
    missing: dict[str, str]
    samples: int

    def count(self, arithmetic: Arithmetic) -> int:
        """How many operations are computed in it."""
        return sum(group.arithmetic is arithmetic for group in self.groups)

    @property
    def snr(self) -> float:
        """The worst output's signal over noise in dB; infinite where nothing differs."""
        return min((math.inf if e.snr is None else e.snr for e in self.outputs), default=math.inf)


@dataclass
class _Sums:
    """Running sums over all samples of one tensor: x in floating point, y emulated, q its own rounding alone."""

    xx: float = 0.0
    yy: float = 0.0
    xy: float = 0.0
    noise: float = 0.0
    own: float = 0.0
    worst: float = 0.0
    peak: float = 0.0
    clipped: int = 0
    count: int = 0
    broken: bool = field(default=False)

    def add(self, x: Array, y: Array, scale: Scale | None) -> None:
        x, y = x.reshape(-1), y.reshape(-1)
        for start in range(0, x.size, _CHUNK):
            self._add(x[start : start + _CHUNK], y[start : start + _CHUNK], scale)

    def _add(self, x: Array, y: Array, scale: Scale | None) -> None:
        self.count += x.size
        self.peak = max(self.peak, float(np.abs(x).max()))
        if scale is not None:
            own = (quantised(x, scale.scale) - x).astype(np.float64)
            self.own += float(own @ own)
            self.clipped += int(np.count_nonzero(np.abs(x) > scale.amax + scale.scale / 2))
        if not np.isfinite(y).all():
            self.broken = True
            return
        a, b = x.astype(np.float64), y.astype(np.float64)
        gap = a - b
        self.xx, self.yy, self.xy = self.xx + float(a @ a), self.yy + float(b @ b), self.xy + float(a @ b)
        self.noise += float(gap @ gap)
        self.worst = max(self.worst, float(np.abs(gap).max()))


def emulate(
    model: Model,
    table: ScaleTable,
    data: Data,
    judgement: Judgement | None = None,
    *,
    equal_scales: bool = False,
    threads: int = 0,
    watch: Watch | None = None,
) -> Emulation:
    """Run ``model`` (static shapes) on all samples in floating point and as the DLA would; see :class:`Emulation`.

    With a judgement only what it puts on the DLA is rounded, without one everything is. ``equal_scales`` gives tensors
    that INT8 layers tie together the largest of their scales (see :func:`tied`). Raises UsageError for a table
    without a scale for any tensor of the model, or data without a sample, ModelError where the model does not run.
    """
    found = groups(model, table, judgement)
    if equal_scales:
        table = tied(table, found)
    known = {t.name: t for t in activations(model) if is_float(t)}
    if not any(name in table.scales for name in known):
        raise UsageError(
            "the table of scales names no tensor of this model",
            hint="scales of the original do not fit a rewritten model by name alone; carry them over first",
        )
    by_tensor = {t.name: g for g in found for t in g.writes}
    rounded = rounded_tensors(found)
    wanted = [t for name, t in known.items() if name in by_tensor or name in rounded or model.is_output(t)]
    emulated = fake_quantised(model, table, found)
    exact = Probe(model.to_proto(), wanted, model.folder, threads)
    rough = Probe(emulated, wanted, model.folder, threads)
    sums = {t.name: _Sums() for t in wanted}
    done = 0
    for sample in data.begin(0):
        pairs = zip(exact.run(sample.feed), rough.run(sample.feed), strict=True)
        for (name, x), (other, y) in pairs:
            if name != other:
                raise ModelError(f"the emulated model shows {other!r} in place of {name!r}")
            sums[name].add(x, y, table.get(name) if name in rounded else None)
        done += 1
        if watch is not None:
            watch(done, data.count, sample.label)
    if not done:
        raise UsageError(f"{data.title}: there is no sample", hint="emulation needs at least one")
    errors = {name: _error(name, held, by_tensor.get(name), table, name in rounded) for name, held in sums.items()}
    outputs = tuple(errors[t.name] for t in model.outputs if t.name in errors)
    layers = sorted(errors.values(), key=_badness)
    return Emulation(outputs, tuple(layers), found, _missing(found, table), done)


def tied(table: ScaleTable, found: Sequence[Group]) -> ScaleTable:
    """The table after rule Q-EQ: a pool's input and result, all of a concatenation, and both inputs of an element-wise
    INT8 layer have one scale, the largest, as TensorRT chooses with a calibrator."""
    scales = dict(table.scales)
    for group in equalise(table, [node for g in found if g.arithmetic is Arithmetic.INT8 for node in g.nodes]):
        for name in group.lost:
            old = scales[name]
            scales[name] = replace(old, amax=group.amax, source=f"{old.source}; {', '.join(group.rules)}")
    return replace(table, scales=scales)


def rounded_tensors(found: Sequence[Group]) -> frozenset[str]:
    """The tensors that are in INT8 at some place."""
    return frozenset(t.name for g in found if g.arithmetic is Arithmetic.INT8 for t in (*g.reads, *g.writes))


def decibel(signal: float, noise: float) -> float | None:
    """Signal over noise in dB; None where there is no noise, minus infinity where there is no signal."""
    if not noise:
        return None
    return 10 * math.log10(signal / noise) if signal else -math.inf


def _error(name: str, held: _Sums, group: Group | None, table: ScaleTable, rounded: bool) -> Error:
    scale = table.get(name) if rounded else None
    length = math.sqrt(held.xx) * math.sqrt(held.yy)
    amax = scale.amax if scale is not None else held.peak
    return Error(
        tensor=name,
        group=group.name if group is not None else "",
        op=group.op if group is not None else "input",
        arithmetic=group.arithmetic.value if group is not None else ("int8" if rounded else "float"),
        snr=-math.inf if held.broken else decibel(held.xx, held.noise),
        worst=math.inf if held.broken else (held.worst / amax if amax else 0.0),
        cosine=held.xy / length if length else None,
        own_snr=decibel(held.xx, held.own) if rounded else None,
        clipped=held.clipped / held.count if rounded and held.count else None,
        amax=scale.amax if scale is not None else None,
    )


def _badness(error: Error) -> tuple[float, float]:
    own = math.inf if error.own_snr is None else error.own_snr
    return own, math.inf if error.snr is None else error.snr


def _missing(found: Sequence[Group], table: ScaleTable) -> dict[str, str]:
    missing: dict[str, str] = {}
    for group in found:
        if group.arithmetic is Arithmetic.FP16 and group.why.startswith("tensor "):
            for tensor in (*group.reads, *group.writes):
                if table.get(tensor.name) is None:
                    missing.setdefault(tensor.name, group.name)
    return missing

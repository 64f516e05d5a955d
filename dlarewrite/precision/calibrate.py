"""INT8 scales from data: the model is run on samples in onnxruntime, and each activation's amax is chosen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.errors import ModelError, UsageError
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import is_float, label, producer
from dlarewrite.precision.activations import activations
from dlarewrite.precision.data import Array, Data
from dlarewrite.precision.fingerprint import fingerprint
from dlarewrite.precision.histogram import METHODS, Histogram, choose
from dlarewrite.precision.probe import Probe
from dlarewrite.precision.scales import LEVELS, Certainty, Scale, ScaleTable, as_float32
from dlarewrite.precision.state import Statistics, content, load_state, save_state

FLOOR = LEVELS * 2.0**-14
"""The amax of a tensor that was zero in every sample: its scale is then 2**-14, the smallest normal FP16 number, so
that what is quantised with it stays a number wherever the DLA goes through FP16."""

_OF_INPUTS = {"entropy": "minmax"}
"""Pixels come in few values, and letterboxing gives one of them a large share: to tell those from their neighbours,
entropy would cut off all above. The range of what is fed in is known and bounded, so that it is simply kept."""

_SAVE_EVERY = 20.0
"""Seconds between two savings of the state."""

Watch = Callable[[int, "int | None", str], None]
"""Is told how many samples are done, of how many (None: unknown), and the last one's name."""


@dataclass(frozen=True)
class Settings:
    """How to calibrate. Entropy is for inner tensors, the graph's inputs keep their range then. ``percentile`` is for
    that method. ``threads`` is onnxruntime's (0: one per core).

    ``lenient`` leaves a tensor in which NaN or infinity turns up without a scale, instead of stopping.
    """

    method: str = "entropy"
    percentile: float = 99.99
    threads: int = 0
    lenient: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"there is no method {self.method!r}", hint=f"choose {', '.join(METHODS)}")
        if not 0 < self.percentile <= 100:
            raise UsageError(f"percentile {self.percentile:g} is not within 0 and 100")

    def __str__(self) -> str:
        return f"percentile {self.percentile:g}" if self.method == "percentile" else self.method


@dataclass(frozen=True)
class Calibration:
    """The table, how many samples made it, the tensors that were always zero, and those without a scale, and why."""

    table: ScaleTable
    samples: int
    zero: tuple[str, ...]
    gaps: dict[str, str]
    resumed: int = 0


def calibrate(
    model: Model,
    data: Data,
    settings: Settings | None = None,
    *,
    state: Path | None = None,
    watch: Watch | None = None,
) -> Calibration:
    """Run ``model`` (static shapes) on all samples and choose a scale for every floating-point activation.

    With ``state`` the statistics are kept in that file, every 20 seconds and when the work ends or fails between two
    samples; a later call with the same model and data goes on from there, with the same result. Memory depends on the
    model alone.

    Raises UsageError where there is no data or it does not fit, ModelError where an activation is NaN or infinite.
    """
    chosen = settings or Settings()
    counted = chosen.method != "minmax"
    run = {
        "model": content(model) if state is not None else "",
        "data": data.key,
        "statistics": "histograms" if counted else "ranges",
    }
    seen = (load_state(state, run) if state is not None else None) or Statistics()
    resumed = seen.done
    if data.most is not None and resumed > data.most:
        raise UsageError(
            f"state {str(state)!r} holds {resumed} samples already, and {data.most} are asked for",
            hint="delete it to begin anew, or name another with --state",
        )
    tensors = {t.name: t for t in activations(model) if is_float(t)}
    if not tensors:
        raise ModelError("the model has no floating-point activation, so there is nothing to calibrate")
    if data.count is None or seen.done < data.count:
        _observe(model, data, tensors, seen, chosen, (state, run), watch)
    if not seen.done:
        raise UsageError(f"{data.title}: there is no sample", hint="calibration needs at least one")
    return _conclude(seen, tensors, chosen, fingerprint(model), resumed)


def _observe(
    model: Model,
    data: Data,
    tensors: dict[str, gs.Tensor],
    seen: Statistics,
    settings: Settings,
    keep: tuple[Path | None, dict[str, str]],
    watch: Watch | None,
) -> None:
    probe = Probe(model.to_proto(), list(tensors.values()), model.folder, settings.threads)
    path, run = keep
    saved, whole = time.monotonic(), True
    try:
        for sample in data.begin(seen.done):
            whole = False
            for name, values in probe.run(sample.feed):
                if name not in seen.gaps:
                    _add(seen, tensors[name], values, sample.label, settings)
            seen.done += 1
            whole = True
            if watch is not None:
                watch(seen.done, data.count, sample.label)
            if path is not None and time.monotonic() - saved > _SAVE_EVERY:
                save_state(path, seen, run)
                saved = time.monotonic()
    finally:
        # Half a sample must not be kept: what was saved last stands then.
        if path is not None and whole and seen.done:
            save_state(path, seen, run)


def _add(seen: Statistics, tensor: gs.Tensor, values: Array, sample: str, settings: Settings) -> None:
    histogram = seen.histograms.setdefault(tensor.name, Histogram(settings.method != "minmax"))
    try:
        histogram.add(values)
    except ValueError:
        what = "NaN" if np.isnan(values).any() else "infinity"
        if settings.lenient:
            seen.gaps[tensor.name] = f"{what} in sample {sample}"
            del seen.histograms[tensor.name]
            return
        node = producer(tensor)
        by = f"output of node {label(node)!r} ({node.op})" if node is not None else "a graph input"
        raise ModelError(
            f"tensor {tensor.name!r}, {by}, holds {what} in sample {sample}",
            hint="mend the model or the data; --allow-nonfinite leaves such tensors without a scale",
        ) from None


def _conclude(
    seen: Statistics, tensors: dict[str, gs.Tensor], settings: Settings, model: str, resumed: int
) -> Calibration:
    scales: dict[str, Scale] = {}
    zero: list[str] = []
    gaps = dict(seen.gaps)
    count = f"{seen.done} sample{'' if seen.done == 1 else 's'}"
    for name, tensor in tensors.items():
        histogram = seen.histograms.get(name)
        if histogram is None or not histogram.total:
            gaps.setdefault(name, "no value was seen")
            continue
        method = settings.method if producer(tensor) is not None else _OF_INPUTS.get(settings.method, settings.method)
        amax = choose(histogram, method, settings.percentile)
        low, high = histogram.low, histogram.high
        if not amax:
            zero.append(name)
            scales[name] = Scale(FLOOR, f"zero in all {count}; the floor 127 * 2^-14", Certainty.FIXED, low, high)
        elif not 0 < as_float32(amax / LEVELS) < float("inf"):
            gaps[name] = f"its amax {amax:g} gives no float32 scale"
        else:
            how = str(settings) if method == settings.method else f"{method} of a graph input"
            scales[name] = Scale(amax, f"{how}, {count}", Certainty.MEASURED, low, high)
    table = ScaleTable(scales, {}, f"{settings}, {count}", model)
    return Calibration(table, seen.done, tuple(zero), gaps, resumed)

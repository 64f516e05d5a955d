"""What each INT8 rounding costs at the outputs, measured one at a time: one run of the model per rounding and sample.

A rounding is that of one layer's weights, or of one tensor. Errors of single roundings add up nearly, so that the sum
over those that stay predicts the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dlarewrite.analysis.cost import nbytes
from dlarewrite.errors import UsageError
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import is_float
from dlarewrite.partition.cost import CostModel, Device
from dlarewrite.precision.calibrate import Watch
from dlarewrite.precision.data import Data
from dlarewrite.precision.emulate import Emulation
from dlarewrite.precision.fake import Switches, switchable
from dlarewrite.precision.layers import Arithmetic, Group
from dlarewrite.precision.scales import ScaleTable
from dlarewrite.target import Precision, Target
from dlarewrite.verify.runner import Session

Noise = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sensitivity:
    """One INT8 group: the error that rounding its weights makes, and the seconds that it takes longer elsewhere.

    ``noise`` is the squared error over the squared signal of each graph output, in order; zeros where the group has no
    constant weights. ``fp16`` and ``gpu``: in FP16 on the DLA, and on the GPU.
    """

    group: Group
    noise: Noise
    fp16: float
    gpu: float

    @property
    def device(self) -> Device:
        """Where it costs the least time outside INT8."""
        return Device.DLA if self.fp16 <= self.gpu else Device.GPU

    @property
    def seconds(self) -> float:
        """What taking it out of INT8 costs, at the cheaper device."""
        return min(self.fp16, self.gpu)


@dataclass(frozen=True)
class Sensitivities:
    """All that was measured: layers in the order of the graph, and ``tensors``: name -> noise, as a layer's."""

    layers: tuple[Sensitivity, ...]
    tensors: dict[str, Noise]

    def alone(self, layer: Sensitivity) -> Noise:
        """The noise of the layer's weights and of what it writes."""
        nothing = np.zeros(len(layer.noise))
        return np.asarray(layer.noise + sum((self.tensors.get(t.name, nothing) for t in layer.group.writes), nothing))


def sensitivities(
    model: Model,
    table: ScaleTable,
    data: Data,
    emulated: Emulation,
    target: Target,
    *,
    most: int | None = None,
    threads: int = 0,
    watch: Watch | None = None,
) -> Sensitivities:
    """Measure the INT8 groups that ``emulated`` found; linear in groups times samples.

    ``most`` measures only those with the worst scales. Raises UsageError where no group is in INT8.
    """
    names = [g.name for g in emulated.groups if g.arithmetic is Arithmetic.INT8]
    if not names:
        raise UsageError("no layer is in INT8, so there is nothing to take out of it")
    rank = {name: place for place, name in reversed([*enumerate(e.group for e in emulated.layers)])}
    wanted = set(sorted(names, key=lambda name: rank.get(name, len(rank)))[:most])
    proto, switches = switchable(model, table, emulated.groups, wanted)
    noise = _measure(Session(proto, base_dir=model.folder, threads=threads), switches, model, data, watch)
    times = {p: CostModel.load(replace(target, precision=p)) for p in (Precision.INT8, Precision.FP16)}
    nothing = np.zeros(len(next(iter(noise.values()))))
    layers = tuple(
        Sensitivity(group, noise.get(switches.weights.get(group.name, ""), nothing), *_added(group, times))
        for group in emulated.groups
        if group.name in wanted and group.arithmetic is Arithmetic.INT8
    )
    return Sensitivities(layers, {name: noise[switch] for name, switch in switches.tensors.items()})


def _measure(session: Session, switches: Switches, model: Model, data: Data, watch: Watch | None) -> dict[str, Noise]:
    """Noise by switch."""
    floats = [t.name for t in model.outputs if is_float(t)]
    signal = np.zeros(len(floats))
    noise = {switch: np.zeros(len(floats)) for switch in switches.names}
    off = {switch: np.asarray(False) for switch in switches.names}
    done = 0
    for sample in data.begin(0):
        exact = session.run({**sample.feed, **off})
        signal += [_square(exact[name]) for name in floats]
        for switch in switches.names:
            rough = session.run({**sample.feed, **off, switch: np.asarray(True)})
            noise[switch] += [_square(rough[n].astype(np.float64) - exact[n]) for n in floats]
            done += 1
            if watch is not None:
                total = None if data.count is None else data.count * len(noise)
                watch(done, total, f"{sample.label}: {switch.removesuffix('/on')}")
    if not done:
        raise UsageError(f"{data.title}: there is no sample", hint="sensitivity needs at least one")
    return {
        switch: np.divide(found, signal, out=np.where(found > 0, np.inf, 0.0), where=signal > 0)
        for switch, found in noise.items()
    }


def _added(group: Group, times: Mapping[Precision, CostModel]) -> tuple[float, float]:
    """Seconds that FP16 on the DLA, and the GPU, take longer than INT8 on the DLA."""
    int8, fp16 = times[Precision.INT8], times[Precision.FP16]
    now = sum(int8.layer(node, Device.DLA).seconds for node in group.nodes)
    slow = sum(fp16.layer(node, Device.DLA).seconds for node in group.nodes)
    away = sum(fp16.layer(node, Device.GPU).seconds for node in group.nodes) + fp16.loadable().seconds
    away += sum(fp16.crossing(nbytes(t, 2), Device.GPU).seconds for t in group.reads)
    away += sum(fp16.crossing(nbytes(t, 2), Device.DLA).seconds for t in group.writes)
    return max(slow - now, 0.0), max(away - now, 0.0)


def _square(values: npt.NDArray[np.floating]) -> float:
    flat = values.astype(np.float64).reshape(-1)
    return float(flat @ flat)

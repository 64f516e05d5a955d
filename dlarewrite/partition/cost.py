"""Predicted time and energy of a layer on the DLA and on the GPU: a roofline with few, named, fitted parameters.

A layer takes the longer of its arithmetic and its memory traffic, and a fixed time for being started. On the DLA the
arithmetic pays for channels in whole atoms (a short group costs as a full one, groups of a convolution are packed into
an atom, an image's channels are packed with the kernel's width), each image of a batch is worked on its own (published
batches of YOLOv5s gain nothing), and a part of each activation stays in SRAM. On the GPU a small layer leaves
multiprocessors idle. What TensorRT fuses costs what it adds (``partition.work``).

Fitted to published figures by ``python -m benchmarks.cost_model``, which prints the error of every point, also with its
network left out. Weak: Orin's DLA in FP16 rests on one point (ResNet-50, 14 times slower than INT8); the GPU on
ten points of four networks; Xavier's DLA on two, of which GoogLeNet is predicted a third too fast; energy rests on one
pair of board readings and two ratios, and scales with clocks alone, not with voltage; contention for DRAM between
devices and sparse weights on the GPU are not modelled. Measured layer times replace it: :meth:`CostModel.profiled`.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx_graphsurgeon as gs

from dlarewrite.ir.view import label
from dlarewrite.partition.machine import Machine, load_machine
from dlarewrite.partition.parameters import Parameters, shipped
from dlarewrite.partition.work import Work, of_node
from dlarewrite.target import Precision, Target

IMAGE_CHANNELS = 4
"""Up to so many channels an input is read as an image, its kernel's columns beside each other."""

FULL_CLOCK = 1.6e9
"""Clock of Orin's DLA that ``dla_operation_seconds`` and ``orin_dla_watts`` are stated for, in Hz."""

SPARSE_CHANNELS = 64
"""Structured sparsity needs more input channels than this [SP-C64]."""


class Device(str, enum.Enum):
    """Where a layer runs."""

    DLA = "dla"
    GPU = "gpu"


@dataclass(frozen=True)
class Cost:
    """Time and energy; the sum of costs is the cost of one after the other."""

    seconds: float = 0.0
    joules: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.seconds + other.seconds, self.joules + other.joules)

    def __radd__(self, other: int) -> Cost:
        """``sum`` starts from 0."""
        return self


ZERO = Cost()


@dataclass(frozen=True)
class CostModel:
    """Costs on one machine for one precision; ``sparse`` means 2:4 sparse weights (Orin and INT8 only).

    ``measured`` holds seconds by device and node name, from a profile; ``unmatched`` are the profile's layers that
    name no node, with their seconds.
    """

    machine: Machine
    precision: Precision
    parameters: Parameters = field(default_factory=shipped)
    sparse: bool = False
    measured: Mapping[tuple[Device, str], float] = field(default_factory=dict)
    unmatched: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def load(
        cls, target: Target, *, module: str | None = None, mode: str | None = None, sparse: bool = False
    ) -> CostModel:
        """The model of a target's machine; raises :class:`UsageError` for an unknown module or power mode."""
        return cls(load_machine(target, module=module, mode=mode), target.precision, sparse=sparse)

    def layer(self, node: gs.Node, device: Device) -> Cost:
        """One inference of a node as a part of its fusion; a shape that is not static counts nothing.

        Never infinite: whether the device takes the node is not asked here.
        """
        if self.measured:
            seconds = self.measured.get((device, label(node)))
            if seconds is not None:
                return self._spent(seconds, device)
        seconds = self.seconds(of_node(node, dla=device is Device.DLA), device)
        return self._spent(seconds, device) if seconds else ZERO

    def seconds(self, work: Work, device: Device) -> float:
        """Predicted time of one inference of a piece of work, from the model alone."""
        if work.free:
            return 0.0
        return self._dla(work) if device is Device.DLA else self._gpu(work)

    def crossing(self, nbytes: int, to: Device, *, reformat_free: bool = False) -> Cost:
        """One tensor of ``nbytes`` (as the build stores it) handed over once.

        A tensor in a format that both sides read is not copied: its fixed part stays, its bytes cost nothing.
        """
        p = self.parameters
        copied = 0 if reformat_free else nbytes
        joules = p.crossing_joules + copied * p.crossing_joules_per_byte
        if self.machine.orin:
            return Cost(p.orin_crossing_seconds + copied / p.orin_crossing_bytes_per_second, joules)
        fixed = p.xavier_to_gpu_seconds if to is Device.GPU else p.xavier_to_dla_seconds
        return Cost(fixed + copied / p.xavier_crossing_bytes_per_second, joules)

    def loadable(self) -> Cost:
        """Launching one DLA region once, on top of its layers and crossings."""
        return self._spent(self.parameters.loadable_seconds, Device.DLA)

    def watts(self, device: Device) -> float:
        """Power above an idle board while the device is busy, scaled with clocks and multiprocessors."""
        p, m = self.parameters, self.machine
        if device is Device.DLA:
            return p.orin_dla_watts * m.dla_hz / FULL_CLOCK if m.orin else p.xavier_dla_watts * m.dla_hz / 1.3952e9
        if m.orin:
            return p.orin_gpu_watts * m.gpu_hz / 1.301e9 * m.sms / 16
        return p.xavier_gpu_watts * m.gpu_hz / 1.377e9 * m.sms / 8

    def profiled(self, path: Path, nodes: Iterable[gs.Node], layers: Path | None = None) -> CostModel:
        """The model with the layer times of a trtexec profile in place of its own wherever they name a node.

        ``path`` is what ``--exportProfile`` wrote, ``layers`` what ``--exportLayerInfo`` wrote, if at hand: it names
        the ONNX nodes of layers that TensorRT renamed. The time of a layer that covers several nodes is divided in
        this model's proportions; layers that name no node are in ``unmatched``. Raises :class:`UsageError` for files
        that are not such exports.
        """
        from dlarewrite.partition.measured import read_profile, spread

        found = spread(self, read_profile(path, layers), list(nodes))
        measured, unmatched = {**self.measured, **found.seconds}, {**self.unmatched, **found.unmatched}
        return replace(self, measured=measured, unmatched=unmatched)

    def _spent(self, seconds: float, device: Device) -> Cost:
        return Cost(seconds, seconds * self.watts(device))

    @property
    def _element_bytes(self) -> int:
        return 1 if self.precision is Precision.INT8 else 2

    def _dla(self, work: Work) -> float:
        p, m = self.parameters, self.machine
        images = max(work.images, 1)
        held = p.dla_sram_held * m.sram
        moved = float(work.weights * self._element_bytes)
        for count in (*work.read, work.written):
            moved += max(count * self._element_bytes / images - held, 0.0)
        busy = self._dla_clocks(work) / (images * p.dla_mac_efficiency * m.dla_hz)
        start = 0.0 if work.fused else p.dla_operation_seconds * FULL_CLOCK / m.dla_hz
        return images * (max(busy, moved / (p.dla_dram_share * m.dram)) + start)

    def _dla_clocks(self, work: Work) -> float:
        """Clocks of the MAC array for the whole batch, at full efficiency."""
        if not work.macs:
            return 0.0
        p, m = self.parameters, self.machine
        channels, taps = work.channels, 1
        if channels * work.groups <= IMAGE_CHANNELS:
            channels, taps = channels * work.taps, work.taps
        atom_channels, atom_maps = p.dla_atom_channels, p.dla_atom_maps
        packed = max(1, min(atom_channels // work.channels, atom_maps // work.maps, work.groups))
        atoms = math.ceil(work.groups / packed) * math.ceil(channels / atom_channels) * math.ceil(work.maps / atom_maps)
        positions = work.macs / (work.channels * work.maps * work.groups * taps)
        sparse = self.sparse and m.orin and work.channels > SPARSE_CHANNELS and work.groups == 1
        return positions * atoms * atom_channels * atom_maps / self._dla_rate(sparse)

    def _dla_rate(self, sparse: bool) -> float:
        p, m = self.parameters, self.machine
        if self.precision is Precision.INT8:
            return m.dla_int8 * (p.dla_sparse_speedup if sparse else 1.0)
        return m.dla_fp16 or p.dla_orin_fp16_macs

    def _gpu(self, work: Work) -> float:
        p, m = self.parameters, self.machine
        moved = (work.weights + sum(work.read) + work.written) * self._element_bytes
        rate = m.sm_fp16 * (p.gpu_int8_speedup if self.precision is Precision.INT8 else 1.0)
        filled = min(1.0, work.results / (p.gpu_tile * m.sms)) if work.results else 1.0
        busy = work.macs / (p.gpu_mac_efficiency * filled * rate * m.sms * m.gpu_hz)
        start = 0.0 if work.fused else p.gpu_launch_seconds
        return max(busy, moved / (p.gpu_dram_share * m.dram)) + start

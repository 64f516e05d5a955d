"""A judged model as a problem for the partitioner: the layers' costs on both devices, and what is handed over.

What is asked of a plan is its :class:`Wish`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import onnx_graphsurgeon as gs

from dlarewrite.analysis.cost import elements, macs, nbytes
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import is_constant, shape
from dlarewrite.partition.cost import Cost, CostModel, Device
from dlarewrite.partition.flow import Flow, flow
from dlarewrite.partition.fusion import fusion_groups
from dlarewrite.partition.islands import ISLAND_SHARE
from dlarewrite.partition.problem import HOST, Handover, Objective, Problem
from dlarewrite.partition.regions import find_regions
from dlarewrite.partition.summary import element_bytes
from dlarewrite.target import Judgement, Target, Verdict

_MAX_WEIGHTS = 512 * 2**20
_MAX_INNER = 2**30
"""TensorRT's default pools of a loadable, in bytes: DLA_GLOBAL_DRAM for weights, DLA_LOCAL_DRAM for activations."""


@dataclass(frozen=True)
class Wish:
    """What a plan is asked for. ``min_region`` is the least share of the work on the DLA that a region has to hold
    beside a larger one; ``max_loadables`` is per core and defaults to the target's cap. ``energy_weight`` (0 … 1)
    minimises latency and energy together, each as a share of the GPU alone, in place of the objective."""

    objective: Objective = Objective.OFFLOAD
    min_region: float = ISLAND_SHARE
    max_loadables: int | None = None
    cores: tuple[int, ...] = (0,)
    energy_weight: float | None = None

    @property
    def name(self) -> str:
        """The objective in words."""
        if self.energy_weight is None:
            return self.objective.value
        return f"latency and energy, energy counting {100 * self.energy_weight:g} %"

    @property
    def criterion(self) -> Objective:
        """How the solver adds up: an ``energy_weight`` makes one sum of both."""
        return self.objective if self.energy_weight is None else Objective.LATENCY

    def cap(self, target: Target) -> int:
        """Most loadables on one core."""
        return target.profile.max_loadables if self.max_loadables is None else self.max_loadables


@dataclass(frozen=True)
class Instance:
    """A judged model with the costs of its layers on both devices."""

    model: Model
    judgement: Judgement
    target: Target
    cost: CostModel
    graph: Flow
    dla: tuple[Cost, ...]
    gpu: tuple[Cost, ...]

    @classmethod
    def of(cls, model: Model, judgement: Judgement, target: Target, cost: CostModel) -> Instance:
        graph = flow(model, judgement.verdicts)
        dla = tuple(cost.layer(n, Device.DLA) for n in graph.nodes)
        gpu = tuple(cost.layer(n, Device.GPU) for n in graph.nodes)
        return cls(model, judgement, target, cost, graph, dla, gpu)

    def legal(self, position: int) -> bool:
        return self.judgement.verdicts[id(self.graph.nodes[position])].verdict is Verdict.DLA

    @cached_property
    def traffic(self) -> tuple[tuple[int, tuple[int, ...], int], ...]:
        """(maker, readers, bytes) of every tensor between layers; the host makes inputs and reads outputs."""
        graph, width = self.graph, element_bytes(self.target.precision)
        home = {id(t): i for i, n in enumerate(graph.nodes) for t in n.outputs}
        readers: dict[int, dict[int, None]] = {}
        tensors: dict[int, gs.Tensor] = {}

        def read(tensor: gs.Tensor, reader: int) -> None:
            tensors[id(tensor)] = tensor
            readers.setdefault(id(tensor), {})[reader] = None

        for reader, sources in enumerate(graph.sources):
            for made in sources.values():
                for tensor in made:
                    read(tensor, reader)
        for reader, node in enumerate(graph.nodes):
            for tensor in node.inputs:
                if tensor.name and self.model.is_input(tensor):
                    read(tensor, reader)
        for tensor in self.model.outputs:
            if id(tensor) in home:
                read(tensor, HOST)
        return tuple((home.get(k, HOST), tuple(readers[k]), nbytes(t, width)) for k, t in tensors.items())


def build_problem(instance: Instance, wish: Wish) -> Problem:
    """The instance in numbers: joules for ENERGY, seconds for the others, and operations for what OFFLOAD moves.

    With an ``energy_weight``, shares of the GPU's time and energy, weighed and added up.
    """
    if wish.energy_weight is not None:
        time, joule = (
            build_problem(instance, replace(wish, objective=o, energy_weight=None))
            for o in (Objective.LATENCY, Objective.ENERGY)
        )
        return mix(
            time,
            joule,
            (1 - wish.energy_weight) / (sum(time.gpu) or 1.0),
            wish.energy_weight / (sum(joule.gpu) or 1.0),
        )
    graph, width = instance.graph, element_bytes(instance.target.precision)
    energy = wish.objective is Objective.ENERGY
    unit = [(c.joules if energy else c.seconds) for c in instance.dla]
    gpu = [(c.joules if energy else c.seconds) for c in instance.gpu]
    launch = instance.cost.loadable()
    return Problem(
        dla=[cost if instance.legal(i) else math.inf for i, cost in enumerate(unit)],
        gpu=gpu,
        makers=graph.makers,
        handovers=handovers(instance, energy),
        tied=[g for g in fusion_groups(graph) if all(map(instance.legal, g))],
        loadable=launch.joules if energy else launch.seconds,
        max_loadables=wish.cap(instance.target),
        weights=[weight_bytes(n, width) for n in graph.nodes],
        inner=[sum(nbytes(t, width) for t in n.outputs if t.name) for n in graph.nodes],
        max_weights=_MAX_WEIGHTS,
        max_inner=_MAX_INNER,
        batch=[_batch(n) for n in graph.nodes],
        min_work=_least(instance, wish),
        work=operations(graph) if wish.objective is Objective.OFFLOAD else (),
        cores=len(wish.cores),
    )


def operations(graph: Flow) -> list[float]:
    """Work of each layer: its multiply-accumulates, and one for each element that it writes."""
    return [float(macs(n) + sum(elements(t) for t in n.outputs if t.name)) for n in graph.nodes]


def _least(instance: Instance, wish: Wish) -> float:
    """For OFFLOAD, the least work of a region, never more than the largest has; the others need none."""
    if wish.objective is not Objective.OFFLOAD:
        return 0.0
    work = operations(instance.graph)
    regions = find_regions(instance.graph, [instance.legal(i) for i in range(len(work))])
    sizes = [sum(work[i] for i in region) for region in regions]
    return min(wish.min_region * sum(sizes), max(sizes, default=0.0))


def weight_bytes(node: gs.Node, width: int) -> int:
    """Bytes of the constants that a layer reads, as the build holds them: floats at ``width`` bytes."""
    return sum(nbytes(t, width) for t in node.inputs if t.name and is_constant(t))


def _batch(node: gs.Node) -> int | None:
    """All dimensions but the last three (GEN-SAMEBATCH); None where there are no more."""
    dims = shape(node.outputs[0]) if node.outputs else None
    return math.prod(dims[:-3]) if dims is not None and len(dims) > 3 else None


def handovers(instance: Instance, energy: bool) -> list[Handover]:
    """Every tensor between layers once, and the network's inputs and outputs, whose other end is the host."""
    found = []
    for maker, readers, count in instance.traffic:
        to_gpu, to_dla = instance.cost.crossing(count, Device.GPU), instance.cost.crossing(count, Device.DLA)
        found.append(
            Handover(
                maker=maker,
                readers=readers,
                to_gpu=to_gpu.joules if energy else to_gpu.seconds,
                to_dla=to_dla.joules if energy else to_dla.seconds,
                nbytes=count,
            )
        )
    return found


def mix(one: Problem, other: Problem, first: float, second: float) -> Problem:
    """The costs of two problems on the same layers, weighed and added up."""

    def add(a: Sequence[float], b: Sequence[float]) -> list[float]:
        # An illegal layer's infinite cost stays one at a weight of nothing.
        return [x if math.isinf(x) else first * x + second * y for x, y in zip(a, b, strict=True)]

    moved = [
        replace(a, to_gpu=first * a.to_gpu + second * b.to_gpu, to_dla=first * a.to_dla + second * b.to_dla)
        for a, b in zip(one.handovers, other.handovers, strict=True)
    ]
    return replace(
        one,
        dla=add(one.dla, other.dla),
        gpu=add(one.gpu, other.gpu),
        handovers=moved,
        loadable=first * one.loadable + second * other.loadable,
    )

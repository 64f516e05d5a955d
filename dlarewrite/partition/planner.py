"""Makes a plan: the run-time graph with its costs becomes a :class:`Problem`, its solution a :class:`Plan`.

The default objective is the DLA's purpose: most work off the GPU in few loadables, islands left behind. The others
minimise time, energy, or the busier device's time under the cost model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.analysis.cost import elements, macs, nbytes, weight_bytes
from dlarewrite.errors import UsageError
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import label, shape
from dlarewrite.partition.cost import Cost, CostModel, Device
from dlarewrite.partition.flow import Flow, flow
from dlarewrite.partition.fusion import fusion_groups
from dlarewrite.partition.islands import ISLAND_SHARE
from dlarewrite.partition.plan import Alternative, Estimate, Plan, Region
from dlarewrite.partition.problem import HOST, Handover, Objective, Problem, Solution
from dlarewrite.partition.solve import solve
from dlarewrite.partition.summary import Placement, crossings, element_bytes, place
from dlarewrite.target import Judgement, Target, Verdict

_MAX_WEIGHTS = 512 * 2**20
_MAX_INNER = 2**30
"""TensorRT's default pools of a loadable, in bytes: DLA_GLOBAL_DRAM for weights, DLA_LOCAL_DRAM for activations."""


@dataclass(frozen=True)
class Wish:
    """What a plan is asked for. ``min_region`` is the least share of the work on the DLA that a region has to hold
    beside a larger one; ``max_loadables`` is per core and defaults to the target's cap."""

    objective: Objective = Objective.OFFLOAD
    min_region: float = ISLAND_SHARE
    max_loadables: int | None = None
    cores: tuple[int, ...] = (0,)


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


def build_problem(instance: Instance, wish: Wish) -> Problem:
    """The instance in numbers: joules for ENERGY, seconds for the others, and operations for what OFFLOAD moves."""
    graph, width = instance.graph, element_bytes(instance.target.precision)
    energy = wish.objective is Objective.ENERGY
    unit = [(c.joules if energy else c.seconds) for c in instance.dla]
    gpu = [(c.joules if energy else c.seconds) for c in instance.gpu]
    launch = instance.cost.loadable()
    return Problem(
        dla=[cost if instance.legal(i) else math.inf for i, cost in enumerate(unit)],
        gpu=gpu,
        makers=graph.makers,
        handovers=_handovers(instance, energy),
        tied=[g for g in fusion_groups(graph) if all(map(instance.legal, g))],
        loadable=launch.joules if energy else launch.seconds,
        max_loadables=_cap(instance.target, wish),
        weights=[_weights(n, width) for n in graph.nodes],
        inner=[sum(nbytes(t, width) for t in n.outputs if t.name) for n in graph.nodes],
        max_weights=_MAX_WEIGHTS,
        max_inner=_MAX_INNER,
        batch=[_batch(n) for n in graph.nodes],
        min_work=_least(instance, wish),
        work=operations(graph) if wish.objective is Objective.OFFLOAD else (),
        cores=len(wish.cores),
    )


def _cap(target: Target, wish: Wish) -> int:
    return target.profile.max_loadables if wish.max_loadables is None else wish.max_loadables


def operations(graph: Flow) -> list[float]:
    """Work of each layer: its multiply-accumulates, and one for each element that it writes."""
    return [float(macs(n) + sum(elements(t) for t in n.outputs if t.name)) for n in graph.nodes]


def _least(instance: Instance, wish: Wish) -> float:
    """For OFFLOAD, the least work of a region; the other objectives' costs say by themselves what pays."""
    if wish.objective is not Objective.OFFLOAD:
        return 0.0
    return wish.min_region * sum(w for i, w in enumerate(operations(instance.graph)) if instance.legal(i))


def _weights(node: gs.Node, width: int) -> int:
    elements = weight_bytes(node)
    return elements * width // 4


def _batch(node: gs.Node) -> int | None:
    dims = shape(node.outputs[0]) if node.outputs else None
    return dims[0] if dims is not None and len(dims) == 4 else None


def _handovers(instance: Instance, energy: bool) -> list[Handover]:
    """Every tensor between layers once, and the network's inputs and outputs, whose other end is the host."""
    graph, width = instance.graph, element_bytes(instance.target.precision)
    home = {id(t): i for i, n in enumerate(graph.nodes) for t in n.outputs}
    readers: dict[int, list[int]] = {}
    tensors: dict[int, gs.Tensor] = {}
    for reader, sources in enumerate(graph.sources):
        for made in sources.values():
            for tensor in made:
                tensors[id(tensor)] = tensor
                readers.setdefault(id(tensor), []).append(reader)
    for reader, node in enumerate(graph.nodes):
        for tensor in node.inputs:
            if tensor.name and instance.model.is_input(tensor):
                tensors[id(tensor)] = tensor
                readers.setdefault(id(tensor), []).append(reader)
    for tensor in instance.model.outputs:
        if id(tensor) in home:
            tensors[id(tensor)] = tensor
            readers.setdefault(id(tensor), []).append(HOST)
    found = []
    for key, tensor in tensors.items():
        count = nbytes(tensor, width)
        to_gpu, to_dla = instance.cost.crossing(count, Device.GPU), instance.cost.crossing(count, Device.DLA)
        found.append(
            Handover(
                maker=home.get(key, HOST),
                readers=tuple(dict.fromkeys(readers[key])),
                to_gpu=to_gpu.joules if energy else to_gpu.seconds,
                to_dla=to_dla.joules if energy else to_dla.seconds,
                nbytes=count,
            )
        )
    return found


def make_plan(
    model: Model,
    judgement: Judgement,
    target: Target,
    cost: CostModel | None = None,
    wish: Wish | None = None,
    *,
    alternatives: bool = False,
) -> Plan:
    """Plan a judged model; ``alternatives`` also says what other choices would give (a few more solutions)."""
    wish = wish or Wish()
    cost = cost or CostModel.load(target)
    strange = [core for core in wish.cores if core >= cost.machine.dla_cores]
    if strange:
        raise UsageError(
            f"DLA core {strange[0]} does not exist on {cost.machine.title}",
            hint=f"it has {cost.machine.dla_cores}, counted from 0",
        )
    instance = Instance.of(model, judgement, target, cost)
    solution = solve(build_problem(instance, wish), wish.objective)
    found = _plan(instance, wish, solution)
    return replace(found, alternatives=_alternatives(instance, wish)) if alternatives else found


def frontier(model: Model, judgement: Judgement, target: Target, cost: CostModel | None = None) -> list[Alternative]:
    """Plans of which none is better in latency and energy at once, the fastest first.

    Weighted sums of both give the convex frontier, and a lower number of loadables the plans between.
    """
    instance = Instance.of(model, judgement, target, cost or CostModel.load(target))
    time = build_problem(instance, Wish(Objective.LATENCY))
    joule = build_problem(instance, Wish(Objective.ENERGY))
    scale = (sum(time.gpu) or 1.0, sum(joule.gpu) or 1.0)
    points: dict[tuple[bool, ...], Alternative] = {}
    for weight in np.linspace(0.0, 1.0, 9):
        problem = _mixed(time, joule, (1 - weight) / scale[0], weight / scale[1])
        solution = solve(problem, Objective.LATENCY)
        points[solution.on_dla] = _alternative(instance, f"weight of energy {weight:.0%}", solution)
    best = sorted(points.values(), key=lambda a: (a.estimate.latency_ms, a.estimate.millijoules))
    kept: list[Alternative] = []
    for point in best:
        if not kept or point.estimate.millijoules < kept[-1].estimate.millijoules:
            kept.append(point)
    return kept


def _mixed(one: Problem, other: Problem, first: float, second: float) -> Problem:
    def mix(a: Sequence[float], b: Sequence[float]) -> list[float]:
        # An illegal layer's infinite cost stays one at a weight of nothing.
        return [x if math.isinf(x) else first * x + second * y for x, y in zip(a, b, strict=True)]

    handovers = [
        replace(a, to_gpu=first * a.to_gpu + second * b.to_gpu, to_dla=first * a.to_dla + second * b.to_dla)
        for a, b in zip(one.handovers, other.handovers, strict=True)
    ]
    return replace(
        one,
        dla=mix(one.dla, other.dla),
        gpu=mix(one.gpu, other.gpu),
        handovers=handovers,
        loadable=first * one.loadable + second * other.loadable,
    )


def estimate(instance: Instance, regions: Sequence[Sequence[int]], cores: Sequence[int] = ()) -> Estimate:
    """Predicted cost of a division into ``regions``, each on its core (all on one where none are given)."""
    launch = instance.cost.loadable()
    busy: dict[int, Cost] = {}
    for number, region in enumerate(regions):
        core = cores[number] if cores else 0
        busy[core] = sum((instance.dla[i] for i in region), busy.get(core, Cost()) + launch)
    on_dla = {i for region in regions for i in region}
    dla = sum(busy.values(), Cost())
    gpu = sum((c for i, c in enumerate(instance.gpu) if i not in on_dla), Cost())
    moved = Cost()
    for handover in _handovers(instance, energy=False):
        made = handover.maker in on_dla
        read = [r in on_dla for r in handover.readers]
        if made and not all(read):
            moved += instance.cost.crossing(handover.nbytes, Device.GPU)
        if not made and any(read):
            moved += instance.cost.crossing(handover.nbytes, Device.DLA)
    slowest = max((c.seconds for c in busy.values()), default=0.0)
    return Estimate(
        dla_ms=_round(1e3 * dla.seconds),
        gpu_ms=_round(1e3 * gpu.seconds),
        crossing_ms=_round(1e3 * moved.seconds),
        millijoules=_round(1e3 * (dla + gpu + moved).joules),
        bottleneck_ms=_round(1e3 * max(slowest, (gpu + moved).seconds)),
    )


def _round(value: float) -> float:
    """Six significant digits: more than the model knows, and text that reads back the same."""
    return float(f"{value:.6g}")


def _alternatives(instance: Instance, wish: Wish) -> tuple[Alternative, ...]:
    choices: dict[str, Wish] = {}
    cap = _cap(instance.target, wish)
    for count in (1, 2, 4):
        if count < cap:
            choices[f"--max-loadables {count}"] = replace(wish, max_loadables=count)
    for objective in Objective:
        if objective is not wish.objective:
            choices[f"--objective {objective.value}"] = replace(wish, objective=objective)
    found = [_alternative(instance, o, solve(build_problem(instance, w), w.objective)) for o, w in choices.items()]
    everything = place(instance.model, instance.judgement, instance.target)
    found.append(_described(instance, "TensorRT's default: all that the DLA takes", everything.regions))
    return tuple(found)


def _alternative(instance: Instance, option: str, solution: Solution) -> Alternative:
    return _described(instance, option, solution.regions, solution.cores)


def _described(
    instance: Instance, option: str, regions: Sequence[Sequence[int]], cores: Sequence[int] = ()
) -> Alternative:
    work = [macs(n) for n in instance.graph.nodes]
    share = _round(sum(work[i] for r in regions for i in r) / sum(work)) if sum(work) else 0.0
    return Alternative(option, len(regions), share, estimate(instance, regions, cores))


def _plan(instance: Instance, wish: Wish, solution: Solution) -> Plan:
    graph, target = instance.graph, instance.target
    nodes = graph.nodes
    placed = Placement(graph, solution.regions, crossings(graph, solution.regions, element_bytes(target.precision)))
    on_dla = {i for region in solution.regions for i in region}
    gpu: dict[str, str] = {}
    for i, node in enumerate(nodes):
        if i not in on_dla:
            gpu[label(node)] = solution.evicted.get(i) or _reason(instance.judgement, node)
    predicted = estimate(instance, solution.regions, solution.cores)
    alone = estimate(instance, ())
    return Plan(
        target=target.profile.name,
        precision=target.precision.value,
        regions=tuple(
            _region(instance, placed, k, region, wish.cores[solution.cores[k]] if solution.cores else wish.cores[0])
            for k, region in enumerate(solution.regions)
        ),
        gpu=gpu,
        crossings={c.tensor.name: c.bytes for c in placed.crossings},
        dropped=tuple(label(nodes[i]) for i in sorted(solution.evicted)),
        objective=wish.objective.value,
        machine=str(instance.cost.machine),
        verdict=verdict(predicted, alone, len(solution.regions)),
        predicted=predicted,
        gpu_only=alone,
        notes=tuple(f"the profile's layer {name!r} names no node of the model" for name in instance.cost.unmatched),
    )


def verdict(predicted: Estimate, alone: Estimate, regions: int) -> str:
    """One sentence: what the plan buys, or that the GPU is the better place."""
    if not regions:
        return "Stay on the GPU: no region is worth a loadable."
    time = predicted.latency_ms / alone.latency_ms if alone.latency_ms else 1.0
    energy = predicted.millijoules / alone.millijoules if alone.millijoules else 1.0
    freed = 1 - (predicted.gpu_ms + predicted.crossing_ms) / alone.gpu_ms if alone.gpu_ms else 0.0
    figures = (
        f"{predicted.latency_ms:.2f} ms and {predicted.millijoules:.1f} mJ an inference against "
        f"{alone.latency_ms:.2f} ms and {alone.millijoules:.1f} mJ on the GPU alone"
    )
    if time >= 1 and energy >= 1 and freed <= 0:
        return f"Stay on the GPU: predicted {figures}, and the GPU gets no freer."
    if time >= 1 and energy >= 1:
        return f"Only to free the GPU ({freed:.0%} of its time): predicted {figures}."
    return f"Worth it: predicted {figures}; {freed:.0%} of the GPU's time is freed."


def _reason(judgement: Judgement, node: gs.Node) -> str:
    found = judgement.verdicts[id(node)]
    finding = next((f for f in found.findings if f.effect != "note"), None)
    return f"{finding.rule}: {finding.message}" if finding is not None else found.verdict.value


def _region(instance: Instance, placed: Placement, number: int, region: Sequence[int], core: int) -> Region:
    graph, model, inside = placed.flow, instance.model, set(region)
    width = element_bytes(instance.target.precision)
    entering: dict[str, None] = {}
    leaving: dict[str, None] = {}
    inner = 0
    for position in region:
        node = graph.nodes[position]
        outer = {t.name for m, ts in graph.sources[position].items() if m not in inside for t in ts}
        roots = {t.name for t in node.inputs if t.name and model.is_input(t)}
        entering.update(dict.fromkeys(t.name for t in node.inputs if t.name in outer | roots))
        entering.update(dict.fromkeys(sorted(outer)))
        read_outside = {t.name for r in graph.readers[position] if r not in inside for t in graph.sources[r][position]}
        for tensor in node.outputs:
            if tensor.name in read_outside or (tensor.name and model.is_output(tensor)):
                leaving[tensor.name] = None
            else:
                inner += nbytes(tensor, width)
    members = [graph.nodes[i] for i in region]
    cost = sum((instance.dla[i] for i in region), instance.cost.loadable())
    return Region(
        name=f"dla_{number}",
        nodes=tuple(label(n) for n in members),
        inputs=tuple(entering),
        outputs=tuple(leaving),
        macs=sum(map(macs, members)),
        weight_bytes=sum(map(weight_bytes, members)),
        inner_bytes=inner,
        core=core,
        milliseconds=_round(1e3 * cost.seconds),
        millijoules=_round(1e3 * cost.joules),
    )

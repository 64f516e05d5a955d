"""Makes a plan: the run-time graph with its costs becomes a :class:`Problem`, its solution a :class:`Plan`.

The default objective is the DLA's purpose: most work off the GPU in few loadables, islands left behind. The others
minimise time, energy, or the busier device's time under the cost model. A plan that someone edited is priced instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import onnx_graphsurgeon as gs

from dlarewrite.errors import UsageError
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import label
from dlarewrite.partition.advice import advise
from dlarewrite.partition.cost import CostModel
from dlarewrite.partition.described import describe_region
from dlarewrite.partition.fitting import fit
from dlarewrite.partition.flow import flow
from dlarewrite.partition.frontier import find_frontier
from dlarewrite.partition.instance import Instance, Wish, build_problem, operations
from dlarewrite.partition.pair import balance_pair
from dlarewrite.partition.plan import Alternative, Plan
from dlarewrite.partition.pricing import alternative, estimate, verdict
from dlarewrite.partition.problem import Objective, Solution
from dlarewrite.partition.solve import DEARER, solve
from dlarewrite.partition.summary import Placement, crossings, element_bytes, place
from dlarewrite.target import Judgement, Target
from dlarewrite.target.layer_names import is_reformat

__all__ = [
    "Instance",
    "Wish",
    "build_problem",
    "frontier",
    "make_pair",
    "make_plan",
    "operations",
    "price_plan",
    "verdict",
]


@dataclass(frozen=True)
class Division:
    """Regions with the core and name of each, and why legal layers are outside them."""

    regions: Sequence[Sequence[int]]
    cores: Sequence[int]
    names: Sequence[str]
    objective: str
    evicted: Mapping[int, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


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
    instance = Instance.of(model, judgement, target, cost or CostModel.load(target))
    _check_cores(instance, wish.cores)
    solution = solve(build_problem(instance, wish), wish.criterion)
    found = _planned(instance, wish, solution)
    return replace(found, alternatives=_alternatives(instance, wish, found)) if alternatives else found


def make_pair(one: Instance, other: Instance, wish: Wish) -> tuple[Plan, Plan]:
    """Plans of two models at once, each on one of ``wish.cores``, so that the busiest device has least to do."""
    for instance in (one, other):
        _check_cores(instance, wish.cores)
    found = balance_pair(one, other, wish)
    first, second = (
        _planned(instance, replace(wish, objective=Objective.THROUGHPUT, cores=(core,)), solution)
        for instance, core, solution in zip((one, other), wish.cores, found, strict=True)
    )
    return first, second


def _planned(instance: Instance, wish: Wish, solution: Solution) -> Plan:
    cores = [wish.cores[core] for core in solution.cores] or [wish.cores[0]] * len(solution.regions)
    names = [f"dla_{number}" for number in range(len(solution.regions))]
    evicted = solution.evicted
    if wish.criterion is Objective.OFFLOAD:
        # Cost is no reason where none is counted: what is too small for a region is.
        small = f"island: its region would hold less than {wish.min_region:.3g} of the DLA's work (--min-region)"
        evicted = {i: small if why == DEARER else why for i, why in evicted.items()}
    return _plan(instance, Division(solution.regions, cores, names, wish.name, evicted))


def price_plan(plan: Plan, model: Model, judgement: Judgement, target: Target, cost: CostModel | None = None) -> Plan:
    """What a plan, perhaps edited, is worth on a model; ``notes`` say what of it no longer fits.

    Regions, cores and reasons are the given plan's, figures are new. Raises :class:`UsageError` for a core that the
    module lacks and for a plan that names no node of the model.
    """
    instance = Instance.of(model, judgement, target, cost or CostModel.load(target))
    _check_cores(instance, [r.core for r in plan.regions])
    fitting = fit(plan, model, instance.graph, judgement.verdicts)
    planned, notes = fitting.regions, list(fitting.notes)
    if not plan.is_for(target):
        made, now = f"{plan.target} in {plan.precision}", f"{target.profile.name} in {target.precision.value}"
        notes.insert(0, f"the plan was made for {made}, the figures are for {now}")
    core = {r.name: r.core for r in plan.regions}
    cores = [core.get(name, core.get(name.rpartition(".")[0], 0)) for name, _ in planned]
    cap = target.profile.max_loadables
    for number in sorted(set(cores)):
        if cores.count(number) > cap:
            notes.append(f"core {number} gets {cores.count(number)} loadables, and holds {cap}")
    inside = {i for _, region in planned for i in region}
    evicted = {
        i: plan.gpu.get(label(node), "not in the plan")
        for i, node in enumerate(instance.graph.nodes)
        if i not in inside and instance.legal(i)
    }
    regions, names = [r for _, r in planned], [n for n, _ in planned]
    found = _plan(instance, Division(regions, cores, names, plan.objective, evicted, notes))
    return found if regions else replace(found, verdict="All of it on the GPU, as the plan says.", advice=())


def follow_plan(plan: Plan, model: Model, judgement: Judgement, target: Target) -> tuple[Plan, tuple[str, ...]]:
    """The plan to build by, and a sentence on each thing of the given one that does not fit the model.

    A plan that fits is followed to the letter, figures and all; of any other one stays what fits, priced anew. Raises
    :class:`UsageError` for a plan that names no node of the model.
    """
    graph = flow(model, judgement.verdicts)
    fitting = fit(plan, model, graph, judgement.verdicts)
    asked = [(r.name, frozenset(r.nodes)) for r in plan.regions]
    given = [(name, frozenset(label(graph.nodes[i]) for i in part)) for name, part in fitting.regions]
    if asked == given and {label(node) for node in model.nodes}.issuperset(plan.gpu):
        return plan, fitting.notes
    return price_plan(plan, model, judgement, target), fitting.notes


def frontier(
    model: Model, judgement: Judgement, target: Target, cost: CostModel | None = None, wish: Wish | None = None
) -> list[Alternative]:
    """Plans of which none is better in latency and energy at once, the fastest first; ``option`` reproduces each."""
    wish = wish or Wish()
    instance = Instance.of(model, judgement, target, cost or CostModel.load(target))
    _check_cores(instance, wish.cores)
    return find_frontier(instance, wish)


def _check_cores(instance: Instance, cores: Sequence[int]) -> None:
    machine = instance.cost.machine
    strange = [core for core in cores if not 0 <= core < machine.dla_cores]
    if strange:
        raise UsageError(
            f"DLA core {strange[0]} does not exist on {machine.title}",
            hint=f"it has {machine.dla_cores}, counted from 0",
        )


def _alternatives(instance: Instance, wish: Wish, plan: Plan) -> tuple[Alternative, ...]:
    choices: dict[str, Wish] = {}
    for count in (1, 2, 4):
        if count < len(plan.regions):
            choices[f"--max-loadables {count}"] = replace(wish, max_loadables=count)
    for objective in Objective:
        if wish.energy_weight is not None or objective is not wish.objective:
            choices[f"--objective {objective.value}"] = replace(wish, objective=objective, energy_weight=None)
    found = []
    for option, choice in choices.items():
        solution = solve(build_problem(instance, choice), choice.criterion)
        found.append(alternative(instance, option, solution.regions, solution.cores))
    everything = place(instance.model, instance.judgement, instance.target)
    found.append(alternative(instance, "TensorRT's default: all that the DLA takes", everything.regions))
    return tuple(found)


def _plan(instance: Instance, made: Division) -> Plan:
    graph, target = instance.graph, instance.target
    placed = Placement(
        graph,
        tuple(tuple(r) for r in made.regions),
        crossings(graph, made.regions, element_bytes(target.precision)),
    )
    on_dla = {i for region in made.regions for i in region}
    gpu = {
        label(node): made.evicted.get(i) or _reason(instance.judgement, node)
        for i, node in enumerate(graph.nodes)
        if i not in on_dla
    }
    predicted, alone = estimate(instance, made.regions, made.cores), estimate(instance, ())
    regions = tuple(
        describe_region(instance, placed, name, region, core, gpu)
        for name, region, core in zip(made.names, made.regions, made.cores, strict=True)
    )
    plan = Plan(
        target=target.profile.name,
        precision=target.precision.value,
        regions=regions,
        gpu=gpu,
        crossings={c.tensor.name: c.bytes for c in placed.crossings},
        dropped=tuple(label(graph.nodes[i]) for i in sorted(made.evicted)),
        objective=made.objective,
        machine=str(instance.cost.machine),
        verdict=verdict(predicted, alone, len(regions)),
        predicted=predicted,
        gpu_only=alone,
        notes=(*made.notes, *_unmeasured(instance.cost)),
        measured=len({name for _, name in instance.cost.measured}),
    )
    return replace(plan, advice=advise(instance, plan))


def _unmeasured(cost: CostModel) -> Iterator[str]:
    """What of a profile is in no figure; reformats are hand-overs, which the model predicts."""
    strange = {name: seconds for name, seconds in cost.unmatched.items() if not is_reformat(name)}
    if strange:
        first = max(strange, key=strange.__getitem__)
        spent = f"{1e3 * sum(strange.values()):.3g} ms"
        layers = "1 layer of the profile names" if len(strange) == 1 else f"{len(strange)} layers of the profile name"
        yield f"{layers} no node of the model, and {spent} are left out, most of it {first!r}"


def _reason(judgement: Judgement, node: gs.Node) -> str:
    found = judgement.verdicts[id(node)]
    finding = next((f for f in found.findings if f.effect != "note"), None)
    return f"{finding.rule}: {finding.message}" if finding is not None else found.verdict.value

"""From a model to its plan: load, judge, price on a machine, divide. What the command line calls; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dlarewrite.compiler import Options, Watch, judge_model, load_static, tell
from dlarewrite.ir.model import Model
from dlarewrite.partition.cost import CostModel
from dlarewrite.partition.plan import Alternative, Plan
from dlarewrite.partition.planner import Instance, Wish, make_pair, make_plan, price_plan
from dlarewrite.partition.planner import frontier as pareto
from dlarewrite.target import Target


@dataclass(frozen=True)
class Machine:
    """Where a plan's times are for: a module and its power mode (None: the target's own), and measured layer times.

    ``layer_info`` tells what the profile's layers hold (trtexec's ``--exportLayerInfo``).
    """

    module: str | None = None
    mode: str | None = None
    profile: Path | None = None
    layer_info: Path | None = None

    def cost(self, target: Target, model: Model) -> CostModel:
        """The cost model of this machine for the layers of ``model``."""
        made = CostModel.load(target, module=self.module, mode=self.mode)
        return made if self.profile is None else made.profiled(self.profile, model.nodes, self.layer_info)


def plan(
    source: Any,
    options: Options | None = None,
    *,
    watch: Watch | None = None,
    wish: Wish | None = None,
    machine: Machine | None = None,
    given: Plan | None = None,
    **changes: Any,
) -> Plan:
    """Which nodes of a model as it is (shapes frozen as asked) go to the DLA, in which regions; changes nothing.

    ``wish`` says what the plan is best at, ``machine`` where its times are for. A ``given`` plan, perhaps edited, is
    priced instead of a new one being made. Raises UsageError, ModelError.
    """
    chosen = replace(options or Options(), **changes)
    tell(watch, "load")
    model, target = load_static(source, chosen)
    tell(watch, "plan")
    if given is not None:
        cost = (machine or Machine()).cost(target, model)
        return price_plan(given, model, judge_model(model, target), target, cost)
    return plan_model(model, target, wish=wish, machine=machine, alternatives=True)


def plan_pair(
    sources: tuple[Any, Any],
    options: tuple[Options, Options],
    *,
    wish: Wish,
    machine: Machine | None = None,
    watch: Watch | None = None,
) -> tuple[Plan, Plan]:
    """Plan two models that run at once, each on one of the two cores of ``wish``, both on one GPU."""
    made = []
    for source, chosen in zip(sources, options, strict=True):
        tell(watch, "load")
        model, target = load_static(source, chosen)
        made.append(Instance.of(model, judge_model(model, target), target, (machine or Machine()).cost(target, model)))
    tell(watch, "plan")
    return make_pair(made[0], made[1], wish)


def plan_model(
    model: Model,
    target: Target,
    *,
    wish: Wish | None = None,
    machine: Machine | None = None,
    alternatives: bool = False,
) -> Plan:
    """Judge and plan a loaded model; see :func:`dlarewrite.partition.planner.make_plan`."""
    cost = (machine or Machine()).cost(target, model)
    return make_plan(model, judge_model(model, target), target, cost, wish, alternatives=alternatives)


def frontier(
    source: Any,
    options: Options | None = None,
    *,
    machine: Machine | None = None,
    wish: Wish | None = None,
    watch: Watch | None = None,
) -> list[Alternative]:
    """Plans that no other one beats in latency and energy at once (:func:`dlarewrite.partition.planner.frontier`)."""
    tell(watch, "load")
    model, target = load_static(source, options or Options())
    tell(watch, "plan")
    return pareto(model, judge_model(model, target), target, (machine or Machine()).cost(target, model), wish)

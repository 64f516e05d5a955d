"""What to do about a plan: the few things that would change it most."""

from __future__ import annotations

from dlarewrite.partition.instance import Instance
from dlarewrite.partition.plan import Plan
from dlarewrite.partition.problem import Objective
from dlarewrite.target import Precision

_MANY = 3
"""Regions from which on it is worth asking what cuts them."""


def advise(instance: Instance, plan: Plan) -> tuple[str, ...]:
    """Sentences, the weightiest first; none where there is nothing to do."""
    found = []
    if instance.cost.machine.orin and instance.target.precision is Precision.FP16 and any(plan.dla_nodes):
        found.append("Orin's DLA is about 14 times slower in FP16 than in INT8: --precision int8 plans for that.")
    if len(plan.regions) >= _MANY:
        found.append(
            f"{len(plan.regions)} regions: `dlarewrite optimize` may join them, `dlarewrite check` names the rules "
            "that cut them, and --max-loadables 1 keeps the best one."
        )
    if not plan.regions and plan.dropped and plan.objective == Objective.OFFLOAD.value:
        found.append("Only small islands suit the DLA: `dlarewrite optimize` may join them; --min-region 0 keeps them.")
    elif not plan.regions and plan.dropped:
        found.append("--objective offload moves what it can to the DLA all the same, to free the GPU.")
    if not plan.regions and not plan.dropped and plan.gpu:
        found.append("The DLA takes no node: `dlarewrite check` names the rules, `dlarewrite optimize` rewrites.")
    return tuple(found)

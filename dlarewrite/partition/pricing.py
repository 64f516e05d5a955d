"""What a division of a model costs under the cost model, and the sentence that says whether it is worth it."""

from __future__ import annotations

from collections.abc import Sequence

from dlarewrite.analysis.cost import macs
from dlarewrite.partition.cost import Cost, Device
from dlarewrite.partition.instance import Instance, handovers
from dlarewrite.partition.plan import Alternative, Estimate


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
    for handover in handovers(instance, energy=False):
        made = handover.maker in on_dla
        read = [r in on_dla for r in handover.readers]
        if made and not all(read):
            moved += instance.cost.crossing(handover.nbytes, Device.GPU)
        if not made and any(read):
            moved += instance.cost.crossing(handover.nbytes, Device.DLA)
    slowest = max((c.seconds for c in busy.values()), default=0.0)
    return Estimate(
        dla_ms=rounded(1e3 * dla.seconds),
        gpu_ms=rounded(1e3 * gpu.seconds),
        crossing_ms=rounded(1e3 * moved.seconds),
        millijoules=rounded(1e3 * (dla + gpu + moved).joules),
        bottleneck_ms=rounded(1e3 * max(slowest, (gpu + moved).seconds)),
    )


def rounded(value: float) -> float:
    """Six significant digits: more than the model knows, and text that reads back the same."""
    return float(f"{value:.6g}")


def alternative(
    instance: Instance, option: str, regions: Sequence[Sequence[int]], cores: Sequence[int] = (), name: str = ""
) -> Alternative:
    """A division in figures, under the ``option`` that asks for it."""
    work = [macs(n) for n in instance.graph.nodes]
    share = rounded(sum(work[i] for r in regions for i in r) / sum(work)) if sum(work) else 0.0
    return Alternative(option, len(regions), share, estimate(instance, regions, cores), name)


def verdict(predicted: Estimate, alone: Estimate, regions: int) -> str:
    """What the plan buys and what it costs, or that the GPU is the better place."""
    if not regions:
        return "Stay on the GPU: no region is worth a loadable."
    more = alone.bottleneck_ms / predicted.bottleneck_ms - 1 if predicted.bottleneck_ms else 0.0
    time = predicted.latency_ms / alone.latency_ms if alone.latency_ms else 1.0
    energy = predicted.millijoules / alone.millijoules if alone.millijoules else 1.0
    freed = 1 - (predicted.gpu_ms + predicted.crossing_ms) / alone.gpu_ms if alone.gpu_ms else 0.0
    figures = (
        f"predicted {predicted.latency_ms:.2f} ms and {predicted.millijoules:.1f} mJ an inference against "
        f"{alone.latency_ms:.2f} ms and {alone.millijoules:.1f} mJ on the GPU alone ({_against(time, 'time')}, "
        f"{_against(energy, 'energy')}); "
        + (f"{freed:.0%} of the GPU's time is freed" if freed > 0 else "the GPU gets no freer")
        + (f", and {more:.0%} more inferences fit into a second with both at work" if more > 0 else "")
    )
    if time < 1 and energy < 1:
        return f"Worth it: {figures}."
    if time < 1:
        return f"Worth it for latency, not for energy: {figures}."
    if energy < 1:
        gains = ["energy", *(["throughput"] if more > 0 else []), *(["a free GPU"] if freed > 0 else [])]
        return f"Worth it where {' or '.join(gains)} counts more than latency: {figures}."
    if more > 0:
        return f"Worth it for throughput, not for latency or energy: {figures}."
    if freed > 0:
        return f"Stay on the GPU, unless it has to be free for other work: {figures}."
    return f"Stay on the GPU: {figures}."


def _against(ratio: float, what: str) -> str:
    if ratio >= 1.5:
        return f"{ratio:.1f} times the {what}"
    return f"{abs(ratio - 1):.0%} {'more' if ratio >= 1 else 'less'} {what}"

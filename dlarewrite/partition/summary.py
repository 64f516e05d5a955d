"""Seven figures that tell how a graph sits on the DLA, and the regions they were counted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from dlarewrite.analysis.cost import macs, nbytes
from dlarewrite.ir.model import Model
from dlarewrite.partition.flow import Flow, flow
from dlarewrite.partition.regions import find_regions
from dlarewrite.target import Judgement, Precision, Target, Verdict


@dataclass(frozen=True)
class Summary:
    """Counts over one graph. Uncertain nodes are counted as not on the DLA.

    ``nodes`` excludes what TensorRT folds or drops; ``crossings`` are tensors that pass between a loadable and
    anything else but the network's own inputs and outputs, each once; ``bytes_crossed`` are theirs in the precision
    of the build.
    """

    nodes: int
    gpu_nodes: int
    macs: int
    dla_macs: int
    loadables: int
    crossings: int
    bytes_crossed: int
    uncertain_nodes: int = 0
    unknown_nodes: int = 0

    @property
    def dla_share(self) -> float:
        """Share of the MACs on the DLA, 0 … 1; 0 where the model has none."""
        return self.dla_macs / self.macs if self.macs else 0.0


@dataclass(frozen=True)
class Crossing:
    """A tensor that changes device or loadable."""

    tensor: gs.Tensor
    bytes: int


@dataclass(frozen=True)
class Placement:
    """The run-time graph with its regions (ascending positions) and crossings."""

    flow: Flow
    regions: tuple[tuple[int, ...], ...]
    crossings: tuple[Crossing, ...]


def element_bytes(precision: Precision) -> int:
    """Bytes of one activation element on the DLA."""
    return 1 if precision is Precision.INT8 else 2


def place(model: Model, judgement: Judgement, target: Target, keep: Sequence[bool] | None = None) -> Placement:
    """Regions and crossings that the verdicts allow; ``keep`` (per layer) takes layers away from the DLA."""
    graph = flow(model, judgement.verdicts)
    allowed = [judgement.verdicts[id(n)].verdict is Verdict.DLA for n in graph.nodes]
    if keep is not None:
        allowed = [a and k for a, k in zip(allowed, keep, strict=True)]
    regions = find_regions(graph, allowed)
    return Placement(graph, tuple(regions), crossings(graph, regions, element_bytes(target.precision)))


def summarise(model: Model, judgement: Judgement, target: Target, placement: Placement | None = None) -> Summary:
    """The figures of a judged model."""
    placed = placement or place(model, judgement, target)
    nodes = placed.flow.nodes
    on_dla = {position for region in placed.regions for position in region}
    verdicts = [judgement.verdicts[id(n)].verdict for n in nodes]
    work = [macs(n) for n in nodes]
    return Summary(
        nodes=len(nodes),
        gpu_nodes=len(nodes) - len(on_dla),
        macs=sum(work),
        dla_macs=sum(work[i] for i in on_dla),
        loadables=len(placed.regions),
        crossings=len(placed.crossings),
        bytes_crossed=sum(c.bytes for c in placed.crossings),
        uncertain_nodes=verdicts.count(Verdict.UNCERTAIN),
        unknown_nodes=verdicts.count(Verdict.UNKNOWN),
    )


def crossings(graph: Flow, regions: Sequence[Sequence[int]], float_bytes: int) -> tuple[Crossing, ...]:
    """Each tensor between two different places once, where at least one of them is a region."""
    home = {position: number for number, region in enumerate(regions) for position in region}
    crossed: dict[int, gs.Tensor] = {}
    for reader, sources in enumerate(graph.sources):
        for maker, tensors in sources.items():
            if home.get(maker) != home.get(reader):
                crossed.update((id(t), t) for t in tensors)
    return tuple(Crossing(t, nbytes(t, float_bytes)) for t in crossed.values())

"""What a table covers of a plan: which region runs INT8, what is missing, and what the DLA's own rules cost.

Rules: a layer without a scale on an input or output runs FP16 [Q-SCALE-MISSING]; a region is compiled as one unit, so
that one missing scale takes all of it along [Q-REGION]; some operators compute in FP16 whatever they are given
[Q-AUTOFP16]; some tensors have to share one scale, and the smaller of them lose resolution [Q-EQ].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import onnx_graphsurgeon as gs

from dlarewrite.analysis.cost import nbytes
from dlarewrite.ir.model import Model
from dlarewrite.ir.operand import value_of
from dlarewrite.ir.view import dtype, is_float, label
from dlarewrite.partition.cost import CostModel, Device
from dlarewrite.partition.plan import Plan, Region
from dlarewrite.precision.equal_scales import Equalised, equalise
from dlarewrite.precision.scales import ScaleTable
from dlarewrite.target import Precision, Target

AUTO_FP16: Mapping[str, str] = {
    **dict.fromkeys(("Sigmoid", "Tanh", "LRN"), "computed in FP16 in INT8 builds too [Q-AUTOFP16]"),
    **dict.fromkeys(("Softmax", "Slice", "Split"), "FP16 only [Q-AUTOFP16]"),
}
"""Operators that the DLA does not compute in INT8 (NVIDIA's developer guide, 8.6)."""


@dataclass(frozen=True)
class Border:
    """A tensor between an INT8 and an FP16 layer of one region: ``bytes`` of FP16 are reformatted."""

    tensor: str
    bytes: int


@dataclass(frozen=True)
class RegionCoverage:
    """One DLA region. ``seconds`` is the predicted time of its layers as it will run; ``covered_seconds`` with all
    scales given; ``fp16_seconds`` all in FP16. ``fp16`` maps layers to the reason they do not run INT8."""

    name: str
    precision: str
    layers: int
    tensors: int
    missing: tuple[str, ...]
    fp16: Mapping[str, str]
    borders: tuple[Border, ...]
    seconds: float
    covered_seconds: float
    fp16_seconds: float


@dataclass(frozen=True)
class Coverage:
    """``missing`` are all tensors of DLA regions without a scale; ``equalised`` what equal-scale rules cost them."""

    regions: tuple[RegionCoverage, ...]
    equalised: tuple[Equalised, ...]

    @property
    def tensors(self) -> int:
        """Activations that the regions touch; one between two regions counts in both."""
        return sum(r.tensors for r in self.regions)

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for r in self.regions for name in r.missing))

    @property
    def share(self) -> float:
        """Share of the regions' tensors that have a scale, 0 ... 1; 1 where there are none."""
        lacking = sum(len(r.missing) for r in self.regions)
        return 1.0 - lacking / self.tensors if self.tensors else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        regions = [{**asdict(r), "fp16": dict(r.fp16)} for r in self.regions]
        found = {"share": self.share, "tensors": self.tensors, "missing": list(self.missing), "regions": regions}
        return {**found, "equalised": [e.to_dict() for e in self.equalised]}


def cover(table: ScaleTable, model: Model, plan: Plan, target: Target) -> Coverage:
    """What ``table`` covers of the DLA regions of ``plan``, which was made for ``model`` and ``target``.

    Times are those of :class:`~dlarewrite.partition.cost.CostModel`, for the target's machine at full clocks.
    """
    nodes = {label(n): n for n in model.nodes}
    times = {p: CostModel.load(replace(target, precision=p)) for p in (Precision.INT8, Precision.FP16)}
    regions = tuple(_region(table, r, [nodes[n] for n in r.nodes if n in nodes], times) for r in plan.regions)
    on_dla = [nodes[n] for n in plan.dla_nodes if n in nodes]
    return Coverage(regions, equalise(table, on_dla))


def _region(
    table: ScaleTable, region: Region, nodes: Sequence[gs.Node], times: Mapping[Precision, CostModel]
) -> RegionCoverage:
    touched = {t.name: t for node in nodes for t in _activations(node)}
    missing = tuple(name for name in touched if table.get(name) is None)
    kept = {label(n): why for n in nodes if (why := _kept_in_fp16(table, n))}
    # One missing scale takes the whole region along.
    lacking = {label(n): _lacking(n, missing) for n in nodes if label(n) not in kept} if missing else {}
    fp16 = {**kept, **lacking}
    seconds = {p: {label(n): times[p].layer(n, Device.DLA).seconds for n in nodes} for p in times}
    return RegionCoverage(
        name=region.name,
        precision="fp16" if len(fp16) == len(nodes) else "mixed" if fp16 else "int8",
        layers=len(nodes),
        tensors=len(touched),
        missing=missing,
        fp16=fp16,
        borders=tuple(_borders(nodes, fp16)),
        seconds=_total(seconds, fp16),
        covered_seconds=_total(seconds, kept),
        fp16_seconds=sum(seconds[Precision.FP16].values()),
    )


def _kept_in_fp16(table: ScaleTable, node: gs.Node) -> str:
    chosen = table.layer_precisions.get(label(node), "int8")
    if chosen != "int8":
        return f"set to {chosen}"
    return AUTO_FP16.get(node.op, "")


def _lacking(node: gs.Node, missing: Sequence[str]) -> str:
    own = [t.name for t in _activations(node) if t.name in missing]
    if own:
        return f"no scale for {own[0]} [Q-SCALE-MISSING]"
    return f"compiled with layers that lack the scale of {missing[0]} [Q-REGION]"


def _total(seconds: Mapping[Precision, Mapping[str, float]], fp16: Mapping[str, str]) -> float:
    return sum(
        seconds[Precision.FP16][name] if name in fp16 else time for name, time in seconds[Precision.INT8].items()
    )


def _borders(nodes: Sequence[gs.Node], fp16: Mapping[str, str]) -> Iterator[Border]:
    """Tensors inside a region whose maker and some reader compute in different precisions."""
    inside = {id(n): label(n) in fp16 for n in nodes}
    for node in nodes:
        for tensor in node.outputs:
            if tensor.name and any(inside.get(id(r), inside[id(node)]) != inside[id(node)] for r in tensor.outputs):
                yield Border(tensor.name, nbytes(tensor, 2))


def _activations(node: gs.Node) -> Iterator[gs.Tensor]:
    for tensor in (*node.inputs, *node.outputs):
        if tensor.name and (is_float(tensor) or dtype(tensor) is None) and value_of(tensor) is None:
            yield tensor

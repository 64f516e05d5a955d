"""Which convolutions could use the DLA's structured sparsity, which do, and what published figures promise.

The rules are SP-HW, SP-24, SP-C64 and SP-MEM of the rule book. Factors are NVIDIA's for whole networks that were pruned
wherever it is possible (SP-GAIN): 1.24 to 1.47 times as fast, more where a network is bound by arithmetic. They are
published, not measured here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from dlarewrite.analysis.cost import macs
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import attr, input_at, label
from dlarewrite.rewrite.sparsity import energy_lost, is_2_4
from dlarewrite.target import Judgement, Precision, Target
from dlarewrite.target.constness import value

PUBLISHED = (1.24, 1.47)
"""SP-GAIN: least and greatest speed-up of whole networks on Orin's DLA (DLA-SW README)."""

LEAST_CHANNELS = 64
"""SP-C64: a sparse convolution has more input channels than this."""

REMEMBERED_ELEMENTS = 256 * 1024
"""SP-MEM: dense weight elements that an older guide allowed; NVIDIA says that its limits may be outdated."""


@dataclass(frozen=True)
class SparseConv:
    """One Conv. ``reasons`` keep it dense (empty: eligible); ``sparse``: 2:4 already; ``notes`` are not firm.

    ``energy_lost`` is the share of the squared weights that pruning by magnitude takes away, 0 where it is sparse.
    """

    node: str
    channels: int
    macs: int
    reasons: tuple[str, ...]
    sparse: bool = False
    energy_lost: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def eligible(self) -> bool:
        return not self.reasons


@dataclass(frozen=True)
class SparsityReport:
    """All Convs of a model, in order; ``macs`` is the work of the whole model."""

    convs: tuple[SparseConv, ...]
    macs: int
    target: str

    def share(self, *, sparse_only: bool = False) -> float:
        """Share of the model's MACs in eligible Convs, or in those of them that are sparse already; 0 … 1."""
        work = sum(c.macs for c in self.convs if c.eligible and (c.sparse or not sparse_only))
        return work / self.macs if self.macs else 0.0

    def gain(self, *, sparse_only: bool = False) -> tuple[float, float]:
        """Predicted speed-up if the share of the work that is eligible gains the published factors (Amdahl's law)."""
        share = self.share(sparse_only=sparse_only)
        low, high = (1 / (1 - share + share / factor) for factor in PUBLISHED)
        return low, high


def sparsity_report(
    model: Model,
    target: Target,
    judgement: Judgement,
    layer_precisions: Mapping[str, str] | None = None,
) -> SparsityReport:
    """Judge every Conv of a model for structured sparsity; shapes are static, the judgement is of the same target."""
    asked = layer_precisions or {}
    convs = tuple(_conv(node, target, judgement, asked) for node in model.standard("Conv"))
    return SparsityReport(convs, sum(map(macs, model.nodes)), str(target))


def _conv(node: gs.Node, target: Target, judgement: Judgement, asked: Mapping[str, str]) -> SparseConv:
    weights = value(input_at(node, 1))
    channels = int(weights.shape[1]) if weights is not None else 0
    reasons = []
    if not target.profile.orin:
        reasons.append(f"SP-HW: {target.profile.title} has a dense DLA")
    if target.precision is not Precision.INT8 or asked.get(label(node), "int8") != "int8":
        reasons.append("SP-MEM: not in INT8")
    if not judgement.verdicts[id(node)].verdict.on_dla:
        reasons.append("not on the DLA")
    if weights is None:
        reasons.append("its weights are not constant")
        return SparseConv(label(node), channels, macs(node), tuple(reasons))
    if int(attr(node, "group", 1)) != 1:
        reasons.append(f"SP-MEM: {attr(node, 'group')} groups")
    if channels <= LEAST_CHANNELS:
        reasons.append(f"SP-C64: {channels} input channels, more than {LEAST_CHANNELS} are needed")
    sparse = is_2_4(weights)
    notes: tuple[str, ...] = ()
    if weights.size > REMEMBERED_ELEMENTS:
        notes = (f"SP-MEM: {weights.size:,} weights, an older guide allows {REMEMBERED_ELEMENTS:,}",)
    lost = (0.0 if sparse else energy_lost(weights)) if not reasons else None
    return SparseConv(label(node), channels, macs(node), tuple(reasons), sparse, lost, notes)

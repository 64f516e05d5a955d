"""Tensors that the DLA quantises with one scale, and what that costs those that would do with a smaller one.

A pool's result and input, a concatenation's inputs and result, and both inputs of an element-wise layer share a scale
[POOL-INT8-SCALE, CAT-INT8, EW-INT8-RANGE]; TensorRT takes the largest. Where such layers meet, they all share it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import onnx_graphsurgeon as gs

from dlarewrite.ir.operand import value_of
from dlarewrite.ir.view import label
from dlarewrite.precision.scales import ScaleTable
from dlarewrite.precision.unary import stands_for_none

_IN_AND_OUT = {
    **dict.fromkeys(("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"), "POOL-INT8-SCALE"),
    "Concat": "CAT-INT8",
}
_INPUTS = dict.fromkeys(("Add", "Sub", "Mul", "Max", "Min"), "EW-INT8-RANGE")
_NOTHING = 1e-3
"""Bits below which two scales count as equal."""


@dataclass(frozen=True)
class Equalised:
    """Tensors that share ``amax``; ``lost`` is bits of resolution by tensor (log2 of amax over its own), the worst
    first; ``layers`` are those that demand it, ``rules`` why."""

    amax: float
    lost: Mapping[str, float]
    layers: tuple[str, ...]
    rules: tuple[str, ...]

    @property
    def worst(self) -> float:
        """The most bits that one tensor loses."""
        return max(self.lost.values(), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"amax": self.amax, "lost": dict(self.lost), "layers": list(self.layers), "rules": list(self.rules)}


def equalise(table: ScaleTable, nodes: Iterable[gs.Node]) -> tuple[Equalised, ...]:
    """The groups of tensors with different scales that these layers tie together, the dearest first.

    Tensors without a scale are left out.
    """
    groups = _Groups()
    for node in nodes:
        rule, tied = _tied(node)
        names = [t.name for t in tied if _has_scale(t, table)]
        for name in names:
            groups.tie(names[0], name)
        if len(names) > 1:
            groups.explain(names[0], label(node), rule)
    found = []
    for members, layers, rules in groups.all():
        amax = max(table.scales[m].amax for m in members)
        bits = {m: math.log2(amax / table.scales[m].amax) for m in members}
        lost = dict(sorted(((m, b) for m, b in bits.items() if b > _NOTHING), key=lambda item: -item[1]))
        if lost:
            found.append(Equalised(amax, lost, layers, rules))
    return tuple(sorted(found, key=lambda e: -e.worst))


def _has_scale(tensor: gs.Tensor, table: ScaleTable) -> bool:
    scale = table.get(tensor.name)
    return scale is not None and not stands_for_none(tensor, scale)


def _tied(node: gs.Node) -> tuple[str, list[gs.Tensor]]:
    inputs = [t for t in node.inputs if t.name and value_of(t) is None]
    if node.op in _IN_AND_OUT:
        return _IN_AND_OUT[node.op], [*inputs, *node.outputs[:1]]
    return _INPUTS.get(node.op, ""), inputs if node.op in _INPUTS else []


class _Groups:
    """Disjoint sets of tensor names, each with the layers and rules that made it."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}
        self._why: list[tuple[str, str, str]] = []

    def root(self, name: str) -> str:
        while self._parent.setdefault(name, name) != name:
            self._parent[name] = self._parent[self._parent[name]]
            name = self._parent[name]
        return name

    def tie(self, one: str, other: str) -> None:
        self._parent[self.root(other)] = self.root(one)

    def explain(self, member: str, layer: str, rule: str) -> None:
        self._why.append((member, layer, rule))

    def all(self) -> Iterable[tuple[list[str], tuple[str, ...], tuple[str, ...]]]:
        members: dict[str, list[str]] = {}
        for name in list(self._parent):
            members.setdefault(self.root(name), []).append(name)
        layers: dict[str, dict[str, None]] = {}
        rules: dict[str, dict[str, None]] = {}
        for member, layer, rule in self._why:
            layers.setdefault(self.root(member), {})[layer] = None
            rules.setdefault(self.root(member), {})[rule] = None
        for root, names in members.items():
            yield names, tuple(layers.get(root, ())), tuple(rules.get(root, ()))

"""Scales copied to neighbouring tensors, and which layers stay in FP16 for want of one: NVIDIA's translator's rules.

Sources: fact base Q-PROP, Q-SIGMOID, Q-CONVADD, Q-SCALE-MISSING (NVIDIA's qdq-translator and DLA software FAQ).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.model import Model
from dlarewrite.ir.operand import value_of
from dlarewrite.ir.view import attr, dtype, is_float, is_op, label, producer
from dlarewrite.precision.scales import FIXED_SIGMOID, Certainty, Scale, ScaleTable
from dlarewrite.precision.unary import UNARY, is_unary
from dlarewrite.target.constness import GraphConstness

BOTH_WAYS = frozenset(
    (
        *("MaxPool", "Flatten", "Relu", "Pad", "Transpose", "Reshape", "Squeeze"),
        *("Unsqueeze", "Identity", "Clip", "DepthToSpace", "SpaceToDepth"),
    )
)
"""Operators whose input and result share a scale; those of the second line move or cut values just as the first do."""
_SATURATE = frozenset(("MaxPool", "Relu", "Pad", "Clip"))
"""Of those, the ones that may take something away; another reader of the input may need it."""
FORWARD = frozenset(("Slice", "Split", "Gather"))
"""Operators whose result is a part of the input; the input may be larger than the part."""
AVERAGES = frozenset(("AveragePool", "GlobalAveragePool", "ReduceMean"))


@dataclass(frozen=True)
class Propagation:
    """Which operators hand scales on, beside those that always do: averages, Concat (the largest input's), Mul (the
    third of three scales), and ``more`` by name. ``unary`` gives scale 1.0 to what lies between a Conv and an Add.
    """

    average: bool = False
    concat: bool = False
    mul: bool = False
    more: frozenset[str] = frozenset()
    unary: bool = False

    @property
    def both_ways(self) -> frozenset[str]:
        return BOTH_WAYS | (AVERAGES if self.average else frozenset()) | self.more


def propagate(table: ScaleTable, model: Model, how: Propagation | None = None) -> ScaleTable:
    """Fill gaps of ``table`` by the rules, forwards and backwards until nothing is found; scales that are there stay.

    ``layer_precisions`` of the result has "fp16" for every layer that reads or makes a tensor without a scale.
    """
    work = _Work(dict(table.scales), how or Propagation())
    while sum(work.forwards(n) for n in model.nodes) + sum(work.backwards(n) for n in reversed(model.nodes)):
        pass
    if work.how.unary:
        for node in model.nodes:
            work.unary(node)
    given = {**dict.fromkeys(lacking(work.scales, model), "fp16"), **table.layer_precisions}
    order = [t.name for t in (*model.inputs, *(t for n in model.nodes for t in n.outputs)) if t.name in work.scales]
    return replace(table, scales={name: work.scales[name] for name in order}, layer_precisions=given)


def lacking(scales: Mapping[str, Scale], model: Model) -> tuple[str, ...]:
    """Layers that read or make a floating-point activation without a scale [Q-SCALE-MISSING]."""
    constness = GraphConstness(model.nodes)
    found = []
    for node in model.nodes:
        if constness.node(node):
            continue
        touched = [t for t in (*node.inputs, *node.outputs) if t.name and (is_float(t) or dtype(t) is None)]
        if any(t.name not in scales and not constness.tensor(t) for t in touched):
            found.append(label(node))
    return tuple(found)


class _Work:
    def __init__(self, scales: dict[str, Scale], how: Propagation) -> None:
        self.scales = scales
        self.how = how

    def _copy(self, source: gs.Tensor, to: gs.Tensor, node: gs.Node) -> bool:
        scale = self.scales.get(source.name)
        if scale is None or not self._open(to):
            return False
        self.scales[to.name] = Scale(scale.amax, f"of tensor {source.name} through {node.op}", Certainty.INHERITED)
        return True

    def _open(self, tensor: gs.Tensor) -> bool:
        free = bool(tensor.name) and tensor.name not in self.scales and value_of(tensor) is None
        return free and (is_float(tensor) or dtype(tensor) is None)

    def forwards(self, node: gs.Node) -> bool:
        """Whether the node's results got a scale."""
        if (node.domain or "") not in ("", "ai.onnx") or not node.inputs or not node.outputs:
            return False
        out = node.outputs[0]
        if node.op == "Sigmoid" and self._open(out):
            self.scales[out.name] = Scale(FIXED_SIGMOID, "1/127 behind a Sigmoid", Certainty.FIXED)
            return True
        if node.op == "Concat" and self.how.concat and self._open(out):
            known = [t for t in node.inputs if t.name in self.scales]
            best = max(known, key=lambda t: self.scales[t.name].amax, default=None)
            return best is not None and self._copy(best, out, node)
        if node.op in FORWARD:
            return sum(self._copy(node.inputs[0], t, node) for t in node.outputs) > 0
        if node.op in self.how.both_ways and not (node.op == "Pad" and self._pads_more(node)):
            return self._copy(node.inputs[0], out, node)
        return False

    def backwards(self, node: gs.Node) -> bool:
        """Whether the node's inputs got a scale."""
        if (node.domain or "") not in ("", "ai.onnx") or not node.inputs or not node.outputs:
            return False
        out = node.outputs[0]
        if node.op == "Concat" and self.how.concat:
            return sum(self._copy(out, t, node) for t in node.inputs) > 0
        if node.op == "Mul" and self.how.mul:
            return self._factor(node)
        if node.op == "Sigmoid":
            return self._logit(node)
        if node.op not in self.how.both_ways or (node.op in _SATURATE and len(node.inputs[0].outputs) > 1):
            return False
        return self._copy(out, node.inputs[0], node)

    def _factor(self, node: gs.Node) -> bool:
        """Of a product's three amax the third: |a| is |a b| / |b| at their largest."""
        result = self.scales.get(node.outputs[0].name)
        known = [t for t in node.inputs if t.name in self.scales]
        missing = [t for t in node.inputs if self._open(t)]
        if result is None or len(known) != 1 or len(missing) != 1:
            return False
        amax = result.amax / self.scales[known[0].name].amax
        source = f"amax of {node.outputs[0].name} / amax of {known[0].name}"
        self.scales[missing[0].name] = Scale(amax, source, Certainty.INHERITED)
        return True

    def _logit(self, node: gs.Node) -> bool:
        """What gives a Sigmoid's largest value, where that was not set by rule."""
        result = self.scales.get(node.outputs[0].name)
        if result is None or result.certainty is Certainty.FIXED or not 0.5 < result.amax < 1:
            return False
        if not self._open(node.inputs[0]):
            return False
        amax = math.log(result.amax / (1 - result.amax))
        source = f"of tensor {node.outputs[0].name} back through Sigmoid"
        self.scales[node.inputs[0].name] = Scale(amax, source, Certainty.INHERITED)
        return True

    def _pads_more(self, node: gs.Node) -> bool:
        """Whether a Pad adds a constant beyond the input's amax, or one that is computed."""
        if attr(node, "mode", "constant") != "constant":
            return False
        fill = value_of(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2].name else None
        if fill is None and len(node.inputs) > 2 and node.inputs[2].name:
            return True
        largest = float(np.abs(fill).max()) if fill is not None and fill.size else abs(float(attr(node, "value", 0.0)))
        scale = self.scales.get(node.inputs[0].name)
        return scale is not None and largest > scale.amax

    def unary(self, node: gs.Node) -> None:
        """Scale 1.0 for what a Conv, or its BatchNormalization, hands to an Add whose other operand has a scale."""
        if not is_op(node, "Add") or len(node.inputs) != 2:
            return
        for tensor, other in (node.inputs, node.inputs[::-1]):
            scale = self.scales.get(other.name)
            chain = self._from_conv(tensor)
            if chain and scale is not None and not is_unary(scale):
                for link in chain:
                    self.scales[link.name] = UNARY
                return

    def _from_conv(self, tensor: gs.Tensor) -> list[gs.Tensor]:
        """The scale-less tensors from a Conv to its only reader, through a BatchNormalization that will be folded."""
        maker = producer(tensor)
        if maker is None or not self._open(tensor) or len(tensor.outputs) != 1:
            return []
        if is_op(maker, "Conv"):
            return [tensor]
        before = self._from_conv(maker.inputs[0]) if is_op(maker, "BatchNormalization") else []
        return [*before, tensor] if before else []

"""Which layers of a model run in INT8 on the DLA, and which tensors between them exist there at all.

A convolution and the scale and activation behind it are one operation of the DLA: what lies between them is never
written, so it is never rounded to INT8. A group is such a chain, or a single node. The rules are Q-SCALE-MISSING,
Q-AUTOFP16 and Q-HYBRID of the rule book. A sum is not put into a group with a convolution before it: whether the
compiler does that depends on its release (Q-CONVADD), and counting the tensor between as rounded is the safe side. Only
where the table says by scale 1.0 that it is fused, the tensor between is neither written nor read.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

import onnx_graphsurgeon as gs

from dlarewrite.ir.model import Model
from dlarewrite.ir.view import consumers, is_float, is_op, label
from dlarewrite.precision.scales import ScaleTable
from dlarewrite.precision.unary import stands_for_none
from dlarewrite.target import Judgement, Verdict
from dlarewrite.target.constness import GraphConstness

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
FP16_ONLY = ("Sigmoid", "Tanh", "LRN", "Softmax", "LogSoftmax", "Slice", "Split")
"""Computed in FP16 in INT8 builds too (Q-AUTOFP16); TensorRT makes Slices of a Split."""

_SUMS = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum")
_ACTIVATIONS = ("Relu", "Clip", "LeakyRelu", "PRelu")
_SCALES = ("BatchNormalization", "Add", "Sub", "Mul", "Div")


class Arithmetic(str, Enum):
    """What a group computes in. FLOAT: off the DLA, where the precision is another question."""

    INT8 = "int8"
    FP16 = "fp16"
    FLOAT = "float"


@dataclass(frozen=True)
class Group:
    """One operation: its nodes in order, the activations it reads, those it writes, what in, and why not INT8."""

    nodes: tuple[gs.Node, ...]
    reads: tuple[gs.Tensor, ...]
    writes: tuple[gs.Tensor, ...]
    arithmetic: Arithmetic
    why: str = ""

    @property
    def name(self) -> str:
        """The first node's label: what TensorRT's layer precisions name."""
        return label(self.nodes[0])

    @property
    def op(self) -> str:
        return "+".join(str(node.op) for node in self.nodes)


def groups(model: Model, table: ScaleTable, judgement: Judgement | None = None) -> tuple[Group, ...]:
    """The model's operations in order; without a judgement all are taken to be on the DLA."""
    constness = GraphConstness(model.nodes)
    chains: dict[int, list[gs.Node]] = {}
    for node in model.nodes:
        if constness.node(node):
            continue
        before = _joined(model, node, chains, constness)
        if before is not None:
            before.append(node)
        chains[id(node)] = before if before is not None else [node]
    unique = {id(chain): chain for chain in chains.values()}
    return tuple(_group(model, chain, table, judgement, constness) for chain in unique.values())


def _joined(
    model: Model, node: gs.Node, chains: dict[int, list[gs.Node]], constness: GraphConstness
) -> list[gs.Node] | None:
    """The chain that the node goes on, or None where it begins one."""
    active = [t for t in node.inputs if t.name and not constness.tensor(t)]
    if len(active) != 1 or not is_op(node, *_ACTIVATIONS, *_SCALES) or not active[0].inputs:
        return None
    tensor = active[0]
    if model.is_pinned(tensor) or len(consumers(tensor)) != 1 or not is_float(tensor):
        return None
    chain = chains[id(tensor.inputs[0])]
    head, last = chain[0], chain[-1]
    if is_op(last, *_ACTIVATIONS) or not is_op(head, *WEIGHTED, *_SUMS, "BatchNormalization"):
        return None
    return chain if is_op(node, *_ACTIVATIONS) or is_op(head, *WEIGHTED) else None


def _group(
    model: Model, chain: list[gs.Node], table: ScaleTable, judgement: Judgement | None, constness: GraphConstness
) -> Group:
    inner = {id(t) for node in chain for t in node.outputs if t.name}
    last = {id(t) for t in chain[-1].outputs}
    touched = [t for n in chain for t in n.inputs if t.name and id(t) not in inner and not constness.tensor(t)]
    reads = {id(t): t for t in touched if not stands_for_none(t, table.get(t.name))}
    made = (t for n in chain for t in n.outputs if t.name and id(t) in last)
    writes = {id(t): t for t in made if not stands_for_none(t, table.get(t.name))}
    arithmetic, why = _arithmetic(model, chain, [*reads.values(), *writes.values()], table, judgement)
    return Group(tuple(chain), tuple(reads.values()), tuple(writes.values()), arithmetic, why)


def _arithmetic(
    model: Model, chain: list[gs.Node], tensors: Collection[gs.Tensor], table: ScaleTable, judgement: Judgement | None
) -> tuple[Arithmetic, str]:
    if any(model.envelope.has_subgraphs(node) for node in chain) or not all(is_float(t) for t in tensors):
        return Arithmetic.FLOAT, "not a layer of floating-point numbers"
    for node in chain:
        verdict = judgement.verdicts[id(node)] if judgement is not None else None
        if verdict is not None and not (verdict.verdict.on_dla or verdict.verdict is Verdict.NOOP):
            return Arithmetic.FLOAT, next((f.rule for f in verdict.findings if f.effect != "note"), "off the DLA")
    asked = [table.layer_precisions.get(label(node)) for node in chain]
    if "fp32" in asked:
        return Arithmetic.FLOAT, "asked for by the table"
    if "fp16" in asked:
        return Arithmetic.FP16, "asked for by the table"
    if is_op(chain[0], *FP16_ONLY):
        return Arithmetic.FP16, "Q-AUTOFP16"
    missing = next((t.name for t in tensors if table.get(t.name) is None), None)
    return (Arithmetic.INT8, "") if missing is None else (Arithmetic.FP16, f"tensor {missing!r} has no scale")

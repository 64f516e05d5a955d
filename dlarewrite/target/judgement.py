"""A whole graph's judgement: every node's verdict, what concerns the graph, and what nobody checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from dlarewrite.ir.view import dtype, is_float, rank, shape
from dlarewrite.target.constness import GraphConstness
from dlarewrite.target.legality import Judge, applies
from dlarewrite.target.profile import Target
from dlarewrite.target.rule import Rule, Scope
from dlarewrite.target.rules import rulebook
from dlarewrite.target.verdict import Finding, NodeVerdict, Precision, Verdict


@dataclass(frozen=True)
class Judgement:
    """``verdicts`` by ``id(node)``; ``findings`` on the graph; ``not_checked``: what an offline check cannot know."""

    verdicts: dict[int, NodeVerdict]
    findings: tuple[Finding, ...]
    not_checked: tuple[str, ...]


def judge_graph(
    nodes: Sequence[gs.Node],
    inputs: Sequence[gs.Tensor],
    outputs: Sequence[gs.Tensor],
    target: Target,
    opset: int,
) -> Judgement:
    """Judge all nodes (in any order) and the graph as a whole; ``inputs`` and ``outputs`` are the graph's."""
    judge = Judge(target, opset)
    constness = GraphConstness(nodes)
    verdicts = {id(node): judge.node(node, constness=constness) for node in nodes}
    on_dla = [node for node in nodes if verdicts[id(node)].verdict is Verdict.DLA]
    findings = [
        *_dynamic(inputs, target),
        *_ranks(inputs, outputs, target),
        *_batches(on_dla, target),
        *_memory(on_dla, outputs, target),
        *_quantizers(nodes, verdicts, target),
        *_typed(inputs, target),
    ]
    return Judgement(verdicts, tuple(findings), not_checked(target))


def not_checked(target: Target) -> tuple[str, ...]:
    """Caveats of a target: rules that only a build on the device, or a table of scales, can check."""
    rules = [r for r in rulebook() if r.scope in (Scope.CAVEAT, Scope.NOTE) and applies(r, target)]
    return tuple(f"{rule.id}: {rule.title}" for rule in rules) + target.profile.notes


def _rule(name: str, target: Target) -> Rule | None:
    rule = rulebook().get(name)
    return rule if applies(rule, target) else None


def _dynamic(inputs: Sequence[gs.Tensor], target: Target) -> list[Finding]:
    rule = _rule("GEN-STATIC", target)
    found = []
    for tensor in inputs:
        if rule is not None and shape(tensor) is None:
            dims = ", ".join(str(d) for d in tensor.shape) if tensor.shape is not None else "unknown"
            found.append(rule.finding(f"network input {tensor.name}'s", "shape", f"[{dims}]"))
    return found


def _ranks(inputs: Sequence[gs.Tensor], outputs: Sequence[gs.Tensor], target: Target) -> list[Finding]:
    rule = _rule("GEN-RANK", target)
    found = []
    for what, tensors in (("input", inputs), ("output", outputs)):
        for tensor in tensors:
            size = rank(tensor)
            if rule is not None and size is not None and size < 4 and is_float(tensor):
                found.append(rule.finding(f"network {what} {tensor.name}'s", rule.quantity[0], size))
    return found


def _batches(on_dla: Sequence[gs.Node], target: Target) -> list[Finding]:
    rule = _rule("GEN-SAMEBATCH", target)
    shapes = [shape(node.outputs[0]) for node in on_dla]
    sizes = sorted({math.prod(dims[:-3]) for dims in shapes if dims is not None and len(dims) > 3})
    if rule is None or len(sizes) < 2:
        return []
    return [rule.finding("", rule.quantity[0], " and ".join(str(size) for size in sizes))]


def _memory(on_dla: Sequence[gs.Node], outputs: Sequence[gs.Tensor], target: Target) -> list[Finding]:
    width = 1 if target.precision is Precision.INT8 else 2
    borders = {id(tensor) for tensor in outputs}
    weights: dict[int, int] = {}
    inner: dict[int, int] = {}
    for node in on_dla:
        for tensor in node.inputs:
            if isinstance(tensor, gs.Constant):
                weights[id(tensor)] = math.prod(tensor.shape) * width
        for tensor in node.outputs:
            dims = shape(tensor)
            if dims is not None and id(tensor) not in borders:
                inner[id(tensor)] = math.prod(dims) * width
    found = []
    for name, table in (("GEN-WEIGHTS", weights), ("GEN-LOCALMEM", inner)):
        rule, total = _rule(name, target), sum(table.values())
        if rule is not None and not rule.limit.holds(total):
            found.append(rule.finding("the network's", rule.quantity[0], total))
    return found


def _quantizers(nodes: Sequence[gs.Node], verdicts: dict[int, NodeVerdict], target: Target) -> list[Finding]:
    rule = _rule("Q-QDQ-NAIVE", target)
    ops = ("QuantizeLinear", "DequantizeLinear")
    count = sum(node.op in ops and not verdicts[id(node)].verdict.transparent for node in nodes)
    if rule is None or not count:
        return []
    return [rule.finding("the network's", rule.quantity[0], f"{count} of them")]


def _typed(inputs: Sequence[gs.Tensor], target: Target) -> list[Finding]:
    rule = _rule("Q-TYPED-FP16", target)
    kinds = [dtype(tensor) for tensor in inputs]
    if rule is None or not any(kind is not None and kind.kind == "f" and kind.itemsize == 4 for kind in kinds):
        return []
    return [rule.finding("the network's", rule.quantity[0], "an FP32 input")]

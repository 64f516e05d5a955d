"""The judge: one ONNX node against the rule book of one target."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.target.constness import LOCAL, Constness
from dlarewrite.target.cures import CHOOSERS
from dlarewrite.target.facts import NodeView, TensorFacts
from dlarewrite.target.lowering import Lowering, lowering_of
from dlarewrite.target.matrix import Row, support_matrix
from dlarewrite.target.noop import NOOPS
from dlarewrite.target.profile import Target
from dlarewrite.target.rule import Rule, Scope
from dlarewrite.target.rules import rulebook
from dlarewrite.target.sources import cite
from dlarewrite.target.verdict import Finding, NodeVerdict, Precision, Verdict, sentence

_FOLDED = NodeVerdict(Verdict.FOLDED)
_NOOP = NodeVerdict(Verdict.NOOP)
_LEGAL = NodeVerdict(Verdict.DLA)
_ANY_TYPE = frozenset({"Cast", "CastLike", "QuantizeLinear", "DequantizeLinear", "Shape", "Size"})
_BOOLEAN = frozenset({"Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"})
_LOGIC = frozenset({"And", "Or", "Xor", "Not"})

Check = tuple[Callable[[Any], tuple[Any, ...]], Callable[[Any], bool], Rule]


class Plan(NamedTuple):
    """What is asked of one kind of layer on one target."""

    row: Row | None
    mark: str
    checks: tuple[Check, ...]
    notes: tuple[Finding, ...]


def applies(rule: Rule, target: Target) -> bool:
    """Whether the rule holds for the target's profile and precision."""
    return target.profile.column in rule.profiles and target.precision in rule.precisions


class Judge:
    """Judges nodes one by one; remembers nothing about the graph, so that the caller may cache and edit.

    A verdict depends on the node, its tensors and its direct neighbours, and, for what is folded, on producers further
    up that are themselves free of activations. Nothing is changed, and weights are not read.
    """

    def __init__(self, target: Target, opset: int) -> None:
        self.target = target
        self.opset = opset
        self._element_bytes = 1 if target.precision is Precision.INT8 else 2
        rules = target.corrections.apply(rule for rule in rulebook() if applies(rule, target))
        self._layer_rules = [rule for rule in rules if rule.scope is Scope.LAYER and rule.measure is not None]
        self._note_rules = [rule for rule in rules if rule.scope is Scope.NOTE]
        self._tensor_rules = [rule for rule in rules if rule.scope is Scope.TENSOR and rule.measure is not None]
        self._plans: dict[str, Plan] = {}
        self._lowerings: dict[str, Lowering | None] = {}
        self._said: dict[tuple[str, str, str], Finding] = {}
        self._fine: set[tuple[Any, ...]] = set()

    def node(self, node: gs.Node, *, constness: Constness = LOCAL) -> NodeVerdict:
        """The verdict on one node with all its findings; ``constness`` may be a whole graph's, decided before."""
        op: str = node.op
        if node.domain and node.domain != "ai.onnx":
            return self._foreign(node)
        try:
            how = self._lowerings[op]
        except KeyError:
            how = self._lowerings[op] = lowering_of(op)
        if how is None:
            return self._foreign(node)
        if constness.node(node):
            return _FOLDED
        view = NodeView(node, self.opset, constness, self._element_bytes)
        noop = NOOPS.get(op)
        if noop is not None and noop(view):
            return _NOOP
        findings: list[Finding] = []
        self._tensors(view, findings)
        for kind, facts in how(view):
            plan = self._plans.get(kind) or self._plan(kind)
            if plan.mark:
                findings.append(self._permission(view, kind, plan))
            if plan.notes:
                findings.extend(plan.notes)
            if facts is None:
                continue
            for measure, holds, rule in plan.checks:
                for value in measure(facts):
                    if not holds(value):
                        findings.append(rule.broken(op, measure(facts), facts))
                        break
        if not findings:
            return _LEGAL
        return sentence(_distinct(findings))

    def _tensors(self, view: NodeView, findings: list[Finding]) -> None:
        """Type and shape of every activation that the node reads or writes."""
        node, fine = view.node, self._fine
        if view.op not in _ANY_TYPE:
            for tensor in (view.x, None if view.op in _BOOLEAN else view.y):
                if tensor is not None and not isinstance(tensor, gs.Constant) and _unfit(tensor.dtype):
                    findings.append(_type_finding(view, tensor))
                    break
        for tensors in (node.inputs, node.outputs):
            for tensor in tensors:
                if isinstance(tensor, gs.Constant) or tensor.name == "":
                    continue
                dims = tensor.shape
                key = None if dims is None else tuple(dims)
                if key in fine:
                    continue
                self._shape(view, tensor, key, findings)

    def _shape(self, view: NodeView, tensor: gs.Tensor, key: tuple[Any, ...] | None, findings: list[Finding]) -> None:
        if _whole(tensor.dtype) or (tensor.inputs and view.const.tensor(tensor)):
            return
        static = key is not None and all(isinstance(d, (int, np.integer)) and d >= 0 for d in key)
        facts = TensorFacts(tensor.name, key, key if static else None)
        before = len(findings)
        for rule in self._tensor_rules:
            measured = rule.measure(facts) if rule.measure is not None else ()
            if not all(map(rule.limit.holds, measured)) and all(f.rule != rule.id for f in findings):
                findings.append(rule.broken(view.op, measured, facts))
        if len(findings) == before and static and key is not None:
            self._fine.add(key)

    def _plan(self, kind: str) -> Plan:
        """The rules and the matrix's answer for a kind of layer."""
        row, column = support_matrix().layer(kind), self.target.profile.column
        mark = ""
        if row is not None:
            cell = row.cells[column]
            doubtful = not cell.evidence.firm or (cell.mark == "Y*" and bool(row.doubt))
            mark = cell.mark if cell.mark in ("N", "?") or doubtful else ""
            mark = self.target.corrections.mark(kind, mark, row.rule_for(column))
        checks = tuple(
            (rule.measure, rule.limit.holds, rule)
            for rule in self._layer_rules
            if rule.measure is not None
            and concerns(rule, kind)
            and not (mark == "N" and row is not None and rule.id == row.rule_for(column))
        )
        notes = tuple(
            Finding(rule.id, rule.evidence, rule.effect, rule.title, next(iter(rule.cures), ""), rule.source)
            for rule in self._note_rules
            if concerns(rule, kind) and mark != "N"
        )
        plan = self._plans[kind] = Plan(row, mark, checks, notes)
        return plan

    def _permission(self, view: NodeView, kind: str, plan: Plan) -> Finding:
        """What is said where the support matrix does not simply say yes."""
        row = plan.row
        if row is None:
            raise LookupError(f"the support matrix has no row for layer {kind}")
        choose = CHOOSERS.get(view.op)
        cure = choose(view) if choose is not None else row.cure_for(view.op)
        key = (view.op, kind, cure)
        known = self._said.get(key)
        if known is None:
            known = self._said[key] = self._sentence(view.op, kind, plan.mark, row, cure)
        return known

    def _sentence(self, op: str, kind: str, mark: str, row: Row, cure: str) -> Finding:
        column = self.target.profile.column
        evidence = row.cells[column].evidence
        source = "; ".join(cite(key) for key in row.sources)
        where = f"the DLA of {self.target.profile.name} (TensorRT {self.target.profile.version})"
        if mark == "N":
            text = f"{op} needs layer {kind}, which {where} does not have"
            if kind == "NoLayer":
                text = f"{op} has no TensorRT layer of its own; the parser refuses it or makes a plugin of it"
            return Finding(row.rule_for(column), evidence, "gpu", text, cure, source)
        text = f"whether {where} takes {op} as layer {kind} is not settled: {row.doubt}"
        return Finding(row.rule_for(column), evidence, "uncertain", text, cure, source)

    def _foreign(self, node: gs.Node) -> NodeVerdict:
        """Plugins run on the GPU; an operator that nobody knows is unknown."""
        plugin = node.op.endswith("_TRT") or (node.domain or "").startswith("trt")
        rule = rulebook().get("GEN-PLUGIN" if plugin else "NORULE")
        name = f"{node.domain}::{node.op}" if node.domain else node.op
        text = f"{name} is a TensorRT plugin, and no plugin runs on the DLA" if plugin else f"{name} has no rule"
        finding = Finding(rule.id, rule.evidence, "gpu", text, "", rule.source)
        return NodeVerdict(Verdict.GPU if plugin else Verdict.UNKNOWN, (finding,))


def concerns(rule: Rule, kind: str) -> bool:
    """Whether the rule is about this kind of layer."""
    family = kind.partition(".")[0]
    return any(layer in ("*", kind, family) for layer in rule.layer.split(", "))


def _distinct(findings: list[Finding]) -> list[Finding]:
    if len(findings) == 1:
        return findings
    return list(dict.fromkeys(findings))


@functools.lru_cache(maxsize=64)
def _unfit(dtype: Any) -> bool:
    """Whether no DLA precision can stand for the type: all but FP32 and FP16; an unknown type is taken to be fit."""
    if dtype is None:
        return False
    if isinstance(dtype, int):
        return True
    kind = np.dtype(dtype)
    return not (kind.kind == "f" and kind.itemsize in (2, 4))


@functools.lru_cache(maxsize=64)
def _whole(dtype: Any) -> bool:
    return dtype is not None and not isinstance(dtype, int) and np.dtype(dtype).kind in "iubSUO"


def _type_finding(view: NodeView, tensor: gs.Tensor) -> Finding:
    rule = rulebook().get("GEN-DTYPE")
    name = f"ONNX type {tensor.dtype}" if isinstance(tensor.dtype, int) else str(np.dtype(tensor.dtype))
    if isinstance(tensor.dtype, int) or np.dtype(tensor.dtype).kind == "f" or name == "bfloat16":
        cure = "narrow-types"
    else:
        cure = "logic" if view.op in _LOGIC else ""
    return Finding(rule.id, rule.evidence, rule.effect, rule.message(view.op, "element type", name), cure, rule.source)

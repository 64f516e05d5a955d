"""Asks a board about every rule that speaks of single nodes: small networks, one question each, through TensorRT.

Checked against the real bindings' signatures of 8.6 to 11.4; not run on a device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from dlarewrite.build.placement import node_of
from dlarewrite.build.tensorrt_callbacks import Watch, logger
from dlarewrite.target import Judge, Precision, Rule, Scope, Target, rulebook
from dlarewrite.target.constness import LOCAL
from dlarewrite.target.correction import Correction, Corrections
from dlarewrite.target.facts import NodeView
from dlarewrite.target.legality import applies
from dlarewrite.target.lowering import lower
from dlarewrite.target.probes import CASES, EDGES

_ASKED = "asked"
_SCOPES = (Scope.LAYER, Scope.TENSOR, Scope.MATRIX)
_OPSET, _ANTIALIAS_OPSET = 17, 18
# Scales, bounds of quantisation and the like stay FP32 in a network whose activations are FP16.
_KEEPS_FP32 = ("Resize", "QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True)
class Question:
    """One node to ask about: it keeps the rule or breaks it, at ``value`` where the rule has edges.

    ``expected`` is the rule book's verdict on the node ("dla", "uncertain", "gpu", ...), ``blamed`` whether the verdict
    names the rule, ``layer`` the TensorRT layer.
    """

    rule: str
    case: str
    keeps: bool
    value: Any
    layer: str
    expected: str
    blamed: bool
    make: Callable[[], gs.Node]


@dataclass(frozen=True)
class Answer:
    """What the board said: "dla", "gpu", "refused" (by the parser) or "none" (TensorRT made no layer of the node)."""

    question: Question
    observed: str

    @property
    def differs(self) -> bool:
        """Whether the board contradicts the rule book, or settles what the book leaves open."""
        if self.observed == "none":
            return False
        if self.question.expected == "dla":
            return self.observed != "dla"
        return self.question.blamed and (self.observed == "dla" or self.question.expected == "uncertain")


def questions(target: Target) -> tuple[Question, ...]:
    """Every question about the rules that hold for the target, in the order of the rule book."""
    return tuple(
        question
        for rule in rulebook()
        if rule.scope in _SCOPES and applies(rule, target)
        for question in _about(rule, target)
    )


def _about(rule: Rule, target: Target) -> Iterator[Question]:
    if rule.id in EDGES:
        for value, keeps in rule.limit.edges():
            name = rule.quantity[0] if rule.quantity else "value"
            yield _question(rule, f"{name} {_shown(value)}", keeps, value, _edge(rule.id, value), target)
    if rule.id in CASES:
        for keeps, make in zip((True, False), CASES[rule.id], strict=True):
            yield _question(rule, "keeps the rule" if keeps else "breaks the rule", keeps, None, make, target)


def _edge(rule: str, value: Any) -> Callable[[], gs.Node]:
    return lambda: EDGES[rule](value)


def _question(rule: Rule, case: str, keeps: bool, value: Any, make: Callable[[], gs.Node], target: Target) -> Question:
    node = make()
    verdict = Judge(target, _OPSET).node(node)
    blamed = any(finding.rule == rule.id for finding in verdict.findings)
    layers = lower(NodeView(node, _OPSET, LOCAL, 1 if target.precision is Precision.INT8 else 2))
    kind = layers[0].kind if layers else ""
    return Question(rule.id, f"{node.op}: {case}", keeps, value, kind, verdict.verdict.value, blamed, make)


def _shown(value: Any) -> str:
    return (
        " x ".join(map(str, value))
        if isinstance(value, tuple)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def network(node: gs.Node, *, half: bool = False) -> onnx.ModelProto:
    """The node and what hangs on it as a model; ``half`` makes its floats FP16, for strongly typed networks."""
    nodes = _connected(node)
    for index, made in enumerate(nodes):
        made.name = _ASKED if made is node else f"beside{index}"
    outputs = []
    for made in nodes:
        for tensor in made.outputs:
            if not tensor.outputs:
                tensor.shape = None  # TensorRT infers it; the sample's is right for legal nodes only
                outputs.append(tensor)
    inputs = [t for t in _tensors(nodes) if isinstance(t, gs.Variable) and t.name and not t.inputs]
    if half:
        _halve(nodes)
    for index, tensor in enumerate(_tensors(nodes)):
        if tensor.name:
            tensor.name = f"{tensor.name}_{index}"
    opset = _ANTIALIAS_OPSET if "antialias" in node.attrs else _OPSET
    graph = gs.Graph(nodes=nodes, inputs=inputs, outputs=outputs, opset=opset, name="probe")
    model: onnx.ModelProto = gs.export_onnx(graph, do_type_check=False)
    model.ir_version = 8
    return onnx.shape_inference.infer_shapes(model)


def _connected(node: gs.Node) -> list[gs.Node]:
    """The node's producers, itself, and its readers, in order."""
    before = [p for t in node.inputs for p in t.inputs]
    after = [r for t in node.outputs for r in t.outputs]
    return [*before, node, *after]


def _tensors(nodes: Sequence[gs.Node]) -> list[gs.Tensor]:
    found: dict[int, gs.Tensor] = {}
    for node in nodes:
        for tensor in (*node.inputs, *node.outputs):
            found.setdefault(id(tensor), tensor)
    return list(found.values())


def _halve(nodes: Sequence[gs.Node]) -> None:
    for node in nodes:
        if node.op == "Cast":
            node.attrs["to"] = int(onnx.TensorProto.FLOAT16)
        for tensor in (*(node.inputs[:1] if node.op in _KEEPS_FP32 else node.inputs), *node.outputs):
            if tensor.dtype is None or np.dtype(tensor.dtype) != np.float32:
                continue
            if isinstance(tensor, gs.Constant):
                tensor.values = tensor.values.astype(np.float16)
            else:
                tensor.dtype = np.dtype(np.float16)


def ask(trt: Any, model: onnx.ModelProto, precision: Precision) -> str:
    """What TensorRT says of the asked node of one network, in the words of :class:`Answer`."""
    listener = logger(trt, [], None)
    builder = trt.Builder(listener)
    explicit = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    definition = builder.create_network(0 if explicit is None else 1 << int(explicit))
    parser = trt.OnnxParser(definition, listener)
    if not parser.parse(model.SerializeToString()):
        return "refused"
    config = builder.create_builder_config()
    for name in ("FP16", "INT8") if precision is Precision.INT8 else ("FP16",):
        flag = getattr(trt.BuilderFlag, name, None)
        if flag is not None:
            config.set_flag(flag)
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = 0
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    layers = [definition.get_layer(i) for i in range(definition.num_layers)]
    mine = [
        layer
        for layer in layers
        if layer.type != trt.LayerType.CONSTANT and node_of(layer.name, getattr(layer, "metadata", "") or "", (_ASKED,))
    ]
    if not mine:
        return "none"
    return "dla" if all(config.can_run_on_DLA(layer) for layer in mine) else "gpu"


def probe(trt: Any, target: Target, watch: Watch | None = None) -> tuple[Answer, ...]:
    """Ask every question; ``trt`` is the tensorrt module. Equal networks are asked about once."""
    known: dict[bytes, str] = {}
    answers = []
    for question in questions(target):
        if watch is not None:
            watch(f"{question.rule}: {question.case}")
        model = network(question.make(), half=not hasattr(trt.BuilderFlag, "FP16"))
        key = model.SerializeToString(deterministic=True)
        if key not in known:
            known[key] = ask(trt, model, target.precision)
        answers.append(Answer(question, known[key]))
    return tuple(answers)


def corrections(target: Target, tensorrt: str, answers: Sequence[Answer]) -> Corrections:
    """What the board said otherwise, as a file's content; ``tensorrt`` is the version that answered."""
    entries = tuple(
        Correction(q.rule, q.case, q.layer, q.value, q.expected, answer.observed)
        for answer in answers
        if answer.differs
        for q in (answer.question,)
    )
    return Corrections(target.name, target.precision.value, tensorrt, entries)

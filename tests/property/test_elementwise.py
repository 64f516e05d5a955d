"""Activation and element-wise passes over random attributes: the rewritten model gives the same numbers."""

from __future__ import annotations

import re
from typing import Any

import hypothesis.strategies as st
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import assume, given, settings
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.catalogue import discover
from dlarewrite.rewrite.context import Settings
from dlarewrite.rewrite.pass_ import options
from dlarewrite.rewrite.spec import create
from dlarewrite.testing import Ran, run

QUICK = settings(max_examples=25, deadline=None, derandomize=True)
TARGETS = st.sampled_from(("xavier-jp4", "xavier-jp5", "orin-jp6"))
TYPES = st.sampled_from((TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT16))
FLOATS = st.floats(-3.0, 3.0, width=16)
SHAPE = (1, 3, 4, 5)
NUMPY = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16}


def model_of(
    nodes: list[onnx.NodeProto],
    opset: int,
    kind: int = TensorProto.FLOAT,
    inputs: tuple[str, ...] = ("x",),
    constants: dict[str, Any] | None = None,
    shape: tuple[int, ...] = SHAPE,
) -> onnx.ModelProto:
    """A checked model whose output is y; ``constants`` take the type ``kind``."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name in inputs],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(np.asarray(v, NUMPY[kind]), name) for name, v in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    return model


def rewrite(name: str, model: onnx.ModelProto, target: str = "orin-jp6") -> Ran:
    pass_ = discover().find(name)
    instance = create(pass_, "doubtful=true" if "doubtful" in options(pass_) else "")
    return run(instance, model, target=target)


def ops(ran: Ran) -> set[str]:
    return {node.op_type for node in ran.after.graph.node}


@QUICK
@given(FLOATS, FLOATS, st.booleans(), st.booleans(), st.sampled_from((7, 10, 11, 13, 21)), TYPES)
def test_clip(a: float, b: float, lower: bool, upper: bool, opset: int, kind: int) -> None:
    low, high = sorted((a, b))
    assume(high - low > 0.01)
    if opset < 11:
        bounds = {**({"min": low} if lower else {}), **({"max": high} if upper else {})}
        nodes, constants = [helper.make_node("Clip", ["x"], ["y"], **bounds)], {}
        assume(kind == TensorProto.FLOAT)
    else:
        inputs = ["x", "low" if lower else "", *(["high"] if upper else [])]
        nodes = [helper.make_node("Clip", inputs if lower or upper else ["x"], ["y"])]
        constants = {**({"low": low} if lower else {}), **({"high": high} if upper else {})}
    model = model_of(
        [helper.make_node("Mul", ["x", "four"], ["x4"]), *_reading("x4", nodes)],
        opset,
        kind,
        constants={**constants, "four": 4.0},
    )
    ran = rewrite("clip-bounds", model)
    if (lower and low != 0.0) or (upper and not lower):
        assert ran.changes or ran.reasons


def _reading(name: str, nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    for node in nodes:
        node.input[0] = name
    return nodes


@QUICK
@given(FLOATS, FLOATS, st.booleans(), st.booleans(), TYPES)
def test_min_and_max_with_scalars(a: float, b: float, max_first: bool, swapped: bool, kind: int) -> None:
    low, high = sorted((a, b))
    assume(high - low > 0.01)
    order = [("Max", "low"), ("Min", "high")][:: 1 if max_first else -1]
    nodes, last = [], "x"
    for place, (op, bound) in enumerate(order):
        operands = [bound, last] if swapped else [last, bound]
        last = ("t", "y")[place]
        nodes.append(helper.make_node(op, operands, [last]))
    ran = rewrite("clip-bounds", model_of(nodes, 13, kind, constants={"low": low, "high": high}))
    assert len(ran.changes) == 1
    assert ops(ran) <= {"Add", "Mul", "Clip", "Relu"}


UNARY: dict[str, tuple[str, int, dict[str, Any]]] = {
    "HardSigmoid": ("hard-sigmoid", 6, {"alpha": FLOATS, "beta": FLOATS}),
    "HardSwish": ("hard-swish", 14, {}),
    "LeakyRelu": ("leaky-forms", 7, {"alpha": FLOATS}),
    "Shrink": ("leaky-forms", 9, {"lambd": st.just(0.75), "bias": st.just(0.75)}),
    "ThresholdedRelu": ("leaky-forms", 10, {"alpha": st.just(0.0)}),
    "Abs": ("leaky-forms", 7, {}),
    "Mish": ("swish-mish", 18, {}),
    "Elu": ("elu", 7, {"alpha": FLOATS}),
    "Selu": ("elu", 7, {"alpha": FLOATS, "gamma": FLOATS}),
    "Celu": ("elu", 12, {"alpha": st.floats(0.125, 3.0, width=16)}),
    "Softsign": ("softsign", 7, {}),
    "Neg": ("logic", 7, {}),
    "Gelu": ("gelu-tanh", 20, {"approximate": st.just("tanh")}),
}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data(), st.sampled_from(sorted(UNARY)), TARGETS, TYPES, st.booleans())
def test_unary(data: st.DataObject, op: str, target: str, kind: int, twice: bool) -> None:
    name, since, attributes = UNARY[op]
    opset = max(since, data.draw(st.sampled_from((7, 11, 13, 18, 20))))
    assume(kind == TensorProto.FLOAT or (opset >= 13 and op not in ("Celu", "Mish", "Gelu", "Shrink")))
    attrs = {key: data.draw(value) for key, value in attributes.items()}
    nodes = [helper.make_node(op, ["x"], ["y" if not twice else "t"], **attrs)]
    if twice:
        nodes.append(helper.make_node("Add", ["t", "t"], ["y"]))
    ran = rewrite(name, model_of(nodes, opset, kind), target)
    assert bool(ran.changes) == (op not in ops(ran))


@QUICK
@given(st.sampled_from(((), (1,), (3, 1, 1), (1, 3, 1, 1), (4, 5), (1, 1, 1, 5), (3, 4, 1))), st.data(), TYPES)
def test_division_by_constants(shape: tuple[int, ...], data: st.DataObject, kind: int) -> None:
    value = np.asarray(data.draw(st.floats(0.25, 8.0, width=16))) * np.linspace(0.5, 2.0, max(1, int(np.prod(shape))))
    model = model_of([helper.make_node("Div", ["x", "c"], ["y"])], 13, kind, constants={"c": value.reshape(shape)})
    ran = rewrite("div-pow-by-const", model)
    assert ops(ran) == {"Mul"} or not ran.changes


@QUICK
@given(st.integers(1, 8), st.sampled_from((7, 12, 13, 15)), TARGETS)
def test_powers(power: int, opset: int, target: str) -> None:
    model = model_of([helper.make_node("Pow", ["x", "p"], ["y"])], opset, constants={"p": float(power)})
    assert ops(rewrite("div-pow-by-const", model, target)) <= {"Mul", "Identity"} or power == 1


@QUICK
@given(st.sampled_from(("Min", "Mean")), st.integers(2, 4), TARGETS, TYPES)
def test_several_operands(op: str, count: int, target: str, kind: int) -> None:
    inputs = tuple(f"x{i}" for i in range(count))
    model = model_of([helper.make_node(op, inputs, ["y"])], 13, kind, inputs)
    name = "min-max" if op == "Min" else "div-pow-by-const"
    ran = rewrite(name, model, target)
    assert op not in ops(ran) or not ran.changes


@QUICK
@given(
    st.sampled_from(("Add", "Sub", "Mul")),
    st.sampled_from(((4, 5), (5,), (4, 1), (1, 1, 1, 5), (3, 4, 5), (3, 1, 5), (1, 3, 4, 5), (3, 1, 1))),
    st.booleans(),
    TYPES,
)
def test_constant_operands(op: str, shape: tuple[int, ...], swapped: bool, kind: int) -> None:
    value = np.linspace(-1.0, 1.0, int(np.prod(shape))).reshape(shape)
    operands = ["c", "x"] if swapped else ["x", "c"]
    ran = rewrite("const-operand", model_of([helper.make_node(op, operands, ["y"])], 13, kind, constants={"c": value}))
    if ran.changes:
        assert list(ran.after.graph.initializer[0].dims) == list(SHAPE)


@QUICK
@given(st.sampled_from(((3, 1, 1), (1,), (), (4, 5), (1, 3, 1, 1))), TARGETS, TYPES)
def test_prelu(shape: tuple[int, ...], target: str, kind: int) -> None:
    value = np.linspace(-0.5, 1.5, max(1, int(np.prod(shape)))).reshape(shape)
    for name in ("const-operand", "leaky-forms"):
        rewrite(
            name, model_of([helper.make_node("PRelu", ["x", "c"], ["y"])], 16, kind, constants={"c": value}), target
        )


LOSSY = {
    "Gelu": ("gelu", 20, {}),
    "Erf": ("gelu", 13, {}),
    "Mish": ("mish-polynomial", 18, {}),
    "Elu": ("elu-polynomial", 13, {"alpha": 1.0}),
    "Celu": ("elu-polynomial", 13, {"alpha": 1.0}),
    "Softplus": ("softplus", 13, {}),
}


@pytest.mark.parametrize("op", LOSSY)
def test_lossy_forms_keep_their_bound(op: str) -> None:
    """The largest error over [-30, 30] is within the bound that the pass states, and not far below it."""
    name, opset, attrs = LOSSY[op]
    pass_ = discover().find(name)
    model = model_of([helper.make_node(op, ["x"], ["y"], **attrs)], opset, shape=(1, 1, 100, 6001))
    ran = run(pass_, model, settings=Settings(lossy=True, growth_macs=100.0))
    assert ran.changes
    x = np.linspace(-30.0, 30.0, 600100, dtype=np.float32).reshape(1, 1, 100, 6001)
    before, after = (
        onnxruntime.InferenceSession(m.SerializeToString()).run(None, {"x": x})[0] for m in (ran.before, ran.after)
    )
    stated = dict(zip(("Gelu", "Erf"), re.findall(r"\d\S*e-\d", pass_.bound), strict=False)).get(op)
    bound = float(stated or re.findall(r"\d\S*e-\d", pass_.bound)[0])
    error = float(np.abs(before - after).max())
    assert bound / 2 < error <= bound

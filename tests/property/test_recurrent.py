"""Recurrent nodes written out, over random attributes: the rewritten model gives the same numbers."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from dlarewrite.catalogue import discover
from dlarewrite.rewrite.spec import create
from dlarewrite.testing import Ran, run

QUICK = settings(max_examples=20, deadline=None, derandomize=True)
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
OUTPUTS = {"LSTM": 3, "GRU": 2, "RNN": 2}
I, H = 3, 2  # noqa: E741 - ONNX's own letter


def model_of(
    op: str,
    steps: int,
    batch: int,
    wanted: tuple[int, ...],
    given_: frozenset[str],
    opset: int = 14,
    kind: int = TensorProto.FLOAT,
    **attrs: object,
) -> onnx.ModelProto:
    """A recurrent node behind a Relu; ``given_``: bias, lengths, h, c (states read at run time), zero, peepholes."""
    rng = np.random.default_rng(steps * 7 + batch)
    d = 2 if attrs.get("direction") == "bidirectional" else 1
    g = GATES[op]
    first, state = ([batch, steps, I], [batch, d, H]) if attrs.get("layout") else ([steps, batch, I], [d, batch, H])
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    held = {"w": rng.standard_normal((d, g * H, I)), "r": rng.standard_normal((d, g * H, H))}
    inputs, names = [helper.make_tensor_value_info("x", kind, first)], ["t", "w", "r", "", "", "", "", ""]
    if "bias" in given_:
        held["b"], names[3] = rng.standard_normal((d, 2 * g * H)), "b"
    if "h" in given_:
        names[5] = "h"
        inputs.append(helper.make_tensor_value_info("h", kind, state))
    elif "zero" in given_:
        held["h"], names[5] = np.zeros(state), "h"
    if op == "LSTM" and "c" in given_:
        held["c"], names[6] = rng.standard_normal(state), "c"
    if op == "LSTM" and "peepholes" in given_:
        held["p"], names[7] = rng.standard_normal((d, 3 * H)), "p"
    weights = [numpy_helper.from_array(v.astype(dtype), k) for k, v in held.items()]
    if "lengths" in given_:
        names[4] = "n"
        weights.append(numpy_helper.from_array(np.full(batch, steps, dtype=np.int32), "n"))
    while not names[-1]:
        names.pop()
    made = [f"y{i}" if i in wanted else "" for i in range(OUTPUTS[op])]
    while not made[-1]:
        made.pop()
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["t"]), helper.make_node(op, names, made, hidden_size=H, **attrs)],
        "g",
        inputs,
        [helper.make_tensor_value_info(n, kind, None) for n in made if n],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def written_out(model: onnx.ModelProto, options: str = "", *, numeric: bool = True) -> Ran:
    ran = run(create(discover().find("recurrent"), options), model, numeric=numeric)
    assert len(ran.changes) == 1, ran.reasons
    assert not {n.op_type for n in ran.after.graph.node} & set(GATES)
    return ran


@QUICK
@given(
    st.sampled_from(("LSTM", "GRU", "RNN")),
    st.integers(1, 4),
    st.integers(1, 2),
    st.sampled_from(("forward", "reverse", "bidirectional")),
    st.sampled_from(((0,), (1,), (0, 1))),
    st.frozensets(st.sampled_from(("bias", "lengths", "h", "c", "zero", "peepholes"))),
    st.booleans(),
    st.sampled_from((9, 13, 14, 21)),
    st.sampled_from(("", "doubtful=true")),
)
def test_recurrent(
    op: str,
    steps: int,
    batch: int,
    direction: str,
    wanted: tuple[int, ...],
    given_: frozenset[str],
    linear: bool,
    opset: int,
    options: str,
) -> None:
    extra = {"linear_before_reset": int(linear)} if op == "GRU" else {}
    written_out(model_of(op, steps, batch, wanted, given_, opset, direction=direction, **extra), options)


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
def test_rectified_activations_and_the_last_cell_state(op: str) -> None:
    count = {"LSTM": ["Sigmoid", "Tanh", "Relu"], "GRU": ["Sigmoid", "Relu"], "RNN": ["Relu"]}[op]
    written_out(model_of(op, 3, 1, (OUTPUTS[op] - 1,), frozenset({"bias"}), activations=count))


def test_half_precision() -> None:
    ran = written_out(model_of("GRU", 2, 1, (0,), frozenset({"bias"}), kind=TensorProto.FLOAT16), numeric=False)
    weights = [numpy_helper.to_array(t) for t in ran.after.graph.initializer]
    assert {w.dtype for w in weights} <= {np.dtype(np.float16), np.dtype(np.int64)}


@pytest.mark.parametrize("op", ["GRU", "RNN"])
def test_batch_first(op: str) -> None:
    """onnxruntime has no layout 1: the standard's own evaluator is the judge."""
    model = model_of(op, 3, 2, (0, 1), frozenset({"bias"}), layout=1)
    ran = written_out(model, numeric=False)
    x = np.random.default_rng(0).standard_normal((2, 3, I)).astype(np.float32)
    before, after = (ReferenceEvaluator(m).run(None, {"x": x}) for m in (_time_first(model), ran.after))
    for old, new in zip(before, after, strict=True):
        assert np.allclose(np.moveaxis(old, -2, 0), new, atol=1e-6)


def _time_first(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with layout 0 between Transposes."""
    old = onnx.ModelProto()
    old.CopyFrom(model)
    cell = old.graph.node[1]
    kept = [a for a in cell.attribute if a.name != "layout"]
    del cell.attribute[:]
    cell.attribute.extend(kept)
    cell.input[0] = "turned"
    old.graph.node.insert(1, helper.make_node("Transpose", ["t"], ["turned"], perm=[1, 0, 2]))
    return old

"""Softmax forms, truth values as numbers and normalizations with given statistics: the same numbers."""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.catalogue import discover
from dlarewrite.errors import UsageError
from dlarewrite.rewrite.spec import create
from dlarewrite.target import Precision
from dlarewrite.testing import Ran, run

QUICK = settings(max_examples=20, deadline=None, derandomize=True)


def model_of(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int, ...]],
    opset: int = 13,
    constants: dict[str, np.ndarray] | None = None,
    kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(n, kind, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(v, n) for n, v in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def rewrite(name: str, model: onnx.ModelProto, options: str = "", target: str = "orin-jp6", built: str = "fp16") -> Ran:
    return run(create(discover().find(name), options), model, target=target, precision=Precision(built))


def outputs(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feeds)[0])


@QUICK
@given(
    st.tuples(*(st.integers(1, 4),) * 4),
    st.sampled_from(("Flatten", "Reshape")),
    st.booleans(),
    st.sampled_from((13, 18)),
    st.sampled_from((TensorProto.FLOAT, TensorProto.FLOAT16)),
)
def test_softmax_axis(shape: tuple[int, int, int, int], move: str, back: bool, opset: int, kind: int) -> None:
    rows = [shape[0], int(np.prod(shape[1:]))]
    constants = {"rows": np.asarray(rows, np.int64), "form": np.asarray(shape, np.int64)}
    nodes = [
        helper.make_node(move, ["x"] if move == "Flatten" else ["x", "rows"], ["f"]),
        helper.make_node("Softmax", ["f"], ["p" if back else "y"], axis=1),
        *([helper.make_node("Reshape", ["p", "form"], ["y"])] if back else []),
    ]
    ran = rewrite("softmax-axis", model_of(nodes, {"x": shape}, opset, constants, kind))
    assert ran.changes, ran.reasons


@QUICK
@given(st.integers(1, 3), st.sampled_from((1, -3)), st.sampled_from((13, 21)), st.floats(0.5, 30.0))
def test_softmax_pair(batch: int, axis: int, opset: int, spread: float) -> None:
    nodes = [
        helper.make_node("Mul", ["x", "k"], ["t"]),
        helper.make_node("Softmax", ["t"], ["y"], axis=axis),
    ]
    constants = {"k": np.asarray(spread, np.float32)}
    ran = rewrite("softmax-pair", model_of(nodes, {"x": (batch, 2, 3, 4)}, opset, constants), target="xavier-jp5")
    assert {n.op_type for n in ran.after.graph.node} == {"Mul", "Conv", "Sigmoid"}


@pytest.mark.parametrize("spread", [1.0, 20.0, 200.0])
def test_log_softmax_is_exact_above_its_floor(spread: float) -> None:
    model = model_of([helper.make_node("LogSoftmax", ["x"], ["y"], axis=1)], {"x": (1, 40, 1, 1)})
    ran = rewrite("log-softmax", model)
    assert ran.changes
    feeds = {"x": spread * np.random.default_rng(0).standard_normal((1, 40, 1, 1)).astype(np.float32)}
    before, after = outputs(ran.before, feeds), outputs(ran.after, feeds)
    floor = np.log(2.0**-24)
    above = before > floor + 1e-3
    assert np.allclose(before[above], after[above], rtol=1e-5, atol=1e-5)
    assert np.allclose(after[~above], floor, atol=1e-3)


@QUICK
@given(st.lists(st.sampled_from(("And", "Or", "Xor", "Not")), min_size=1, max_size=5), st.data())
def test_logic(chain: list[str], data: st.DataObject) -> None:
    nodes = [
        helper.make_node("Greater", ["a", "b"], ["t0"]),
        helper.make_node("Less", ["b", "c"], ["t1"]),
    ]
    for number, op in enumerate(chain, 2):
        read = [f"t{data.draw(st.integers(max(0, number - 2), number - 1))}" for _ in range(1 if op == "Not" else 2)]
        read[0] = f"t{number - 1}"
        nodes.append(helper.make_node(op, read, [f"t{number}"]))
    nodes.append(helper.make_node("Cast", [f"t{len(chain) + 1}"], ["y"], to=TensorProto.FLOAT))
    shape = (1, 2, 3, 3)
    ran = rewrite("logic", model_of(nodes, {"a": shape, "b": shape, "c": shape}), built="int8")
    assert ran.changes, ran.reasons
    assert not {n.op_type for n in ran.after.graph.node} & {"And", "Or", "Xor", "Not"}


@pytest.mark.parametrize("op", ["InstanceNormalization", "GroupNormalization", "LayerNormalization"])
def test_norm_to_affine_with_the_very_statistics_of_the_input(op: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((1, 4, 3, 5)).astype(np.float32) * 2 + 1
    axes = (2, 3)
    if op == "GroupNormalization":
        grouped = x.reshape(1, 2, 2 * 15)
        mean, variance, count = grouped.mean(-1)[0], grouped.var(-1)[0], 4
        attrs: dict[str, object] = {"num_groups": 2}
    elif op == "LayerNormalization":
        # One statistic for every position holds only where all positions have the same.
        x = np.broadcast_to(x[:, :1, :1], x.shape).copy()
        mean, variance, count = x[0, 0, 0].mean(), x[0, 0, 0].var(), 5
        attrs = {"axis": -1}
    else:
        mean, variance, count = x.mean(axes)[0], x.var(axes)[0], 4
        attrs = {}
    np.savez(tmp_path / "s.npz", **{"y.mean": mean, "y.variance": variance})
    constants = {k: rng.standard_normal(count).astype(np.float32) for k in ("s", "b")}
    model = model_of([helper.make_node(op, ["x", "s", "b"], ["y"], **attrs)], {"x": x.shape}, 21, constants)
    ran = rewrite("norm-to-affine", model, f"statistics={tmp_path / 's.npz'}")
    assert {n.op_type for n in ran.after.graph.node} == {"Mul", "Add"}
    assert np.allclose(outputs(ran.before, {"x": x}), outputs(ran.after, {"x": x}), atol=1e-4)


def test_norm_to_affine_names_the_file_that_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "s.npz").write_text("no archive")
    for path in (tmp_path / "none.npz", tmp_path / "s.npz"):
        with pytest.raises(UsageError, match="cannot read the statistics"):
            create(discover().find("norm-to-affine"), f"statistics={path}")

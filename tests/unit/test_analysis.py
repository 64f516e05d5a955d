"""Shapes, small values and constants; the editor's in-place reform; the errors of freeze-shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.analysis import constants, kernels, shapes
from dlarewrite.analysis.values import Values
from dlarewrite.errors import EditError, ModelError, UsageError
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.model import Model
from dlarewrite.ir.text import render
from dlarewrite.ir.view import Array, shape
from dlarewrite.rewrite.context import Settings
from dlarewrite.testing import run
from dlarewrite_passes.fold_constants import FoldConstants
from dlarewrite_passes.freeze_shapes import FreezeShapes
from dlarewrite_passes.upgrade_legacy import UpgradeLegacy

HEAD = '<ir_version: 8, opset_import: ["" : 17]>\n'
CHAIN = """g (float[N,3,8] x) => (float[A,B] y) <int64[1] zero = {0}, int64[1] last = {-1}> {
  dims = Shape(x)
  batch = Gather<axis = 0>(dims, zero)
  twice = Add(batch, batch)
  half = Div(twice, twice)
  target = Concat<axis = 0>(batch, last)
  y = Reshape(x, target)
}"""


def load(body: str, head: str = HEAD) -> Model:
    return Model.load(onnx.parser.parse_model(head + body))


def propagate(model: Model, *, fresh: bool = False) -> Values:
    edit = Editor(model)
    with edit.rewrite("test"):
        return shapes.propagate(model, edit, fresh=fresh)


def tensors(model: Model) -> dict[str, list[int | str] | None]:
    return {t.name: t.shape for n in model.nodes for t in n.outputs}


class TestShapes:
    def test_unknown_tensors_are_filled_in(self) -> None:
        model = load("g (float[2,3,8] x) => (float[A,B] y) <int64[2] s = {2, -1}> { a = Relu(x) y = Reshape(a, s) }")
        propagate(model)
        assert tensors(model) == {"a": [2, 3, 8], "y": [2, 24]}
        assert model.nodes[0].outputs[0].dtype == np.float32

    def test_open_dims_stay_open_and_known_parts_are_followed(self) -> None:
        model = load(CHAIN)
        values = propagate(model)
        assert tensors(model)["y"] == ["A", "B"]
        for place, known in ((0, [None, 3, 8]), (4, [None, -1])):
            found = values.partial(model.nodes[place].outputs[0])
            assert found is not None
            assert found.tolist() == known
        assert values.of(model.nodes[4].outputs[0]) is None

    def test_what_is_written_down_stands_unless_asked_afresh(self) -> None:
        body = "g (float[4,3] x) => (float[1,3] y) { y = Relu(x) }"
        model = load(body)
        propagate(model)
        assert shape(model.outputs[0]) == (1, 3)
        propagate(model, fresh=True)
        assert shape(model.outputs[0]) == (4, 3)

    def test_a_contradiction_names_the_node(self) -> None:
        model = load("g (float[4,3] x, float[2,3] z) => (float[4,3] y) { [sum] y = Add(x, z) }")
        with pytest.raises(ModelError, match="'sum'"):
            propagate(model, fresh=True)
        propagate(model)

    def test_dynamic_inputs(self) -> None:
        model = load("g (float[N,3] x, float[2] z) => (float[N,3] y) { y = Relu(x) }")
        assert shapes.dynamic_inputs(model) == {"x": ("N", 3)}

    def test_bodies_are_left_alone(self) -> None:
        model = load(
            """g (bool c, float[2] x) => (float[K] y) {
              y = If (c) <then_branch = t () => (float[2] p) { p = Neg(x) },
                          else_branch = e () => (float[2] q) { q = Abs(x) }>
            }"""
        )
        propagate(model, fresh=True)
        assert tensors(model)["y"] == ["K"]


class TestFreeze:
    BODY = "g (float[N,3,H] x, float[N,3] z) => (float[N,3,H] y) { y = Relu(x) }"

    def freeze(self, body: str, **settings: object) -> Model:
        ran = run(FreezeShapes, onnx.parser.parse_model(HEAD + body), settings=Settings(**settings), numeric=False)  # type: ignore[arg-type]
        return Model.load(ran.after)

    def test_batch_sets_leading_symbols_everywhere(self) -> None:
        model = self.freeze(self.BODY, batch=4)
        assert [t.shape for t in model.inputs] == [[4, 3, "H"], [4, 3]]
        assert tensors(model)["y"] == [4, 3, "H"]

    def test_one_input_binds_the_symbol_of_another(self) -> None:
        model = self.freeze(self.BODY, shapes={"x": (5, 3, 7)})
        assert [t.shape for t in model.inputs] == [[5, 3, 7], [5, 3]]

    def test_one_symbol_for_two_numbers_binds_nothing(self) -> None:
        model = self.freeze("g (float[N,N] x, float[N] z) => (float[N,N] y) { y = Relu(x) }", shapes={"x": (5, 6)})
        assert [t.shape for t in model.inputs] == [[5, 6], ["N"]]

    @pytest.mark.parametrize(
        ("body", "settings", "message"),
        [
            (BODY, {"shapes": {"w": (1,)}}, "no input 'w'"),
            (BODY, {"shapes": {"x": (1, 4, 7)}}, r"'x' has shape \[N, 3, H\], and cannot be given \[1, 4, 7\]"),
            (BODY, {"shapes": {"x": (1, 3)}}, r"cannot be given \[1, 3\]"),
            (BODY, {"shapes": {"x": (-1, 3, 7)}}, "cannot be given"),
            ("g (float[2,3] x) => (float[2,3] y) { y = Relu(x) }", {"batch": 4}, r"every input is fixed \(x: 2\)"),
            (
                "g (float[N,K] x) => (float[N,2] y) <float[3,2] w = {1,1,1,1,1,1}> { [fc] y = MatMul(x, w) }",
                {"shapes": {"x": (1, 5)}},
                r"does not work with x \[1, 5\]: node 'fc'",
            ),
        ],
    )
    def test_impossible_requests(self, body: str, settings: dict[str, object], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            self.freeze(body, **settings)

    def test_a_batch_that_is_there_already_is_no_error(self) -> None:
        assert tensors(self.freeze("g (float[2,3] x) => (float[2,3] y) { y = Relu(x) }", batch=2))["y"] == [2, 3]


INTS = np.array([-7, -1, 3, 8], np.int64)
OTHERS = np.array([2, -3, -2, 5], np.int64)
CASES = [
    ("Div", {}, [INTS, OTHERS]),
    ("Mod", {}, [INTS, OTHERS]),
    ("Mod", {"fmod": 1}, [INTS, OTHERS]),
    ("Slice", {}, [INTS, np.array([-1]), np.array([-9]), np.array([0]), np.array([-2])]),
    (
        "Slice",
        {},
        [np.arange(24.0).reshape(2, 3, 4), np.array([5, -2]), np.array([0, 99]), np.array([-1, 1]), np.array([-3, 1])],
    ),
    ("Gather", {"axis": -1}, [np.arange(6.0).reshape(2, 3), np.array([[-1, 0]])]),
    ("Concat", {"axis": -1}, [INTS, OTHERS]),
    ("Squeeze", {}, [np.zeros((1, 2, 1)), np.array([-1])]),
    ("Unsqueeze", {}, [INTS, np.array([0, -1])]),
    ("Reshape", {}, [np.arange(12.0).reshape(2, 6), np.array([0, -1, 3])]),
    ("Flatten", {"axis": -1}, [np.arange(12.0).reshape(2, 3, 2)]),
    ("Flatten", {"axis": 0}, [np.arange(12.0).reshape(2, 3, 2)]),
    ("Transpose", {"perm": [1, 0]}, [np.arange(6.0).reshape(2, 3)]),
    ("Transpose", {}, [np.arange(6.0).reshape(2, 3)]),
    ("Expand", {}, [np.arange(3.0).reshape(3, 1), np.array([2, 1, 4])]),
    ("Tile", {}, [np.arange(3.0), np.array([2])]),
    ("Split", {"axis": -1}, [np.arange(6.0).reshape(2, 3), np.array([1, 2])]),
    ("Split", {"axis": 0}, [np.arange(6.0).reshape(2, 3)]),
    ("Range", {}, [np.array(9), np.array(-1), np.array(-3)]),
    ("ConstantOfShape", {"value": numpy_helper.from_array(np.array([7], np.int32))}, [np.array([2, 3])]),
    ("ConstantOfShape", {}, [np.array([2, 0])]),
    ("Cast", {"to": TensorProto.INT32}, [np.array([-2.7, 2.7, 0.0])]),
    ("Cast", {"to": TensorProto.BOOL}, [np.array([-2.7, np.nan, 0.0])]),
    ("Cast", {"to": TensorProto.FLOAT16}, [np.array([1e9, 0.1, -3.0], np.float32)]),
    ("Where", {}, [np.array([True, False]), np.array([[1.0], [2.0]]), np.array([3.0, 4.0])]),
    ("ReduceProd", {"axes": [0], "keepdims": 0}, [INTS.reshape(2, 2)]),
    ("ReduceSum", {"keepdims": 0}, [INTS.reshape(2, 2), np.array([-1])]),
    ("ReduceMax", {}, [INTS.reshape(2, 2)]),
    ("Min", {}, [INTS, OTHERS, np.array([0])]),
    ("Equal", {}, [INTS, OTHERS]),
    ("Not", {}, [np.array([True, False])]),
    ("Sqrt", {}, [np.array([2.0, 3.0, 1e-30])]),
    ("Floor", {}, [np.array([-1.5, 2.5])]),
    ("Shape", {"start": 1}, [np.zeros((2, 3, 4))]),
    ("Size", {}, [np.zeros((2, 3, 4))]),
]


@pytest.mark.parametrize(("op", "attrs", "inputs"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_kernels_agree_with_onnxruntime(op: str, attrs: dict[str, object], inputs: list[Array]) -> None:
    names = [f"i{i}" for i in range(len(inputs))]
    outputs = ["o0", "o1"] if op == "Split" else ["o0"]
    graph = helper.make_graph(
        [helper.make_node(op, names, outputs, **attrs)],
        "g",
        [],
        [helper.make_value_info(name, onnx.TypeProto()) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in zip(names, inputs, strict=True)],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = Model.load(onnx.shape_inference.infer_shapes(proto))
    propagate(model)
    node = model.nodes[0]
    made = kernels.evaluate(node, inputs, 17)
    assert made is not None
    wanted = constants.run([node], dict(zip(names, inputs, strict=True)), list(node.outputs), 17)
    for mine, theirs in zip(made, wanted, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


def test_conversions_out_of_range_are_left_to_the_runtime() -> None:
    model = load("g (float[1] x) => (int32[1] y) { y = Cast<to = 6>(x) }")
    for value in (np.nan, np.inf, 3e9, -3e9):
        assert kernels.evaluate(model.nodes[0], [np.array([value], np.float32)], 17) is None


class TestConstants:
    def test_the_budget_counts_what_stays(self) -> None:
        """A transposed weight takes the place of the weight: nothing is added, however big it is."""
        body = (
            "g (float[1,64] x) => (float[1,64] y) <float[64,64] w> { t = Transpose<perm = [1,0]>(w) y = MatMul(x, t) }"
        )
        proto = onnx.parser.parse_model(HEAD + body)
        proto.graph.initializer.append(numpy_helper.from_array(np.ones((64, 64), np.float32), "w"))
        del proto.graph.value_info[:]
        assert [c.op for c in run(FoldConstants(max_bytes=1), onnx.shape_inference.infer_shapes(proto)).changes] == [
            "Transpose"
        ]
        shared = body.replace("y = MatMul(x, t)", "s = MatMul(x, t) y = MatMul(s, w)")
        again = onnx.parser.parse_model(HEAD + shared)
        again.graph.initializer.extend(proto.graph.initializer)
        del again.graph.value_info[:]
        ran = run(FoldConstants(max_bytes=1), onnx.shape_inference.infer_shapes(again))
        assert not ran.changes
        assert ran.reasons == ["folding it would add 16,384 bytes of weights of 1 allowed"]

    def test_a_node_that_cannot_be_evaluated_is_refused(self) -> None:
        body = """g (float[2] x) => (float[2] y) <int64[2] w = {1, 2}, int64[1] far = {9}> {
          a = Gather(w, far)
          b = Cast<to = 1>(a)
          y = Add(x, b)
        }"""
        ran = run(FoldConstants, HEAD + body, numeric=False)
        assert not ran.changes
        assert "constant inputs do not fit" in ran.reasons[0]

    def test_one_bad_node_does_not_stop_the_others(self) -> None:
        """The session over all constant nodes fails at run time; each node is then evaluated by itself."""
        body = """g (float[2] x, float[2] u) => (float[2] y, float[2] z)
          <float[2] a = {1.0, 2.0}, int64[2,1] far = {5, 6}> {
          b = Exp(a)
          y = Mul(x, b)
          bad = GatherND(a, far)
          z = Add(u, bad)
        }"""
        ran = run(FoldConstants, HEAD + body, numeric=False)
        assert [n.op_type for n in ran.after.graph.node] == ["Mul", "GatherND", "Add"]
        assert "cannot be evaluated" in ran.reasons[0]


class TestReform:
    BODY = "g (float[1,2] x) => (float[1,2] y) <float[2] c = {1.0, 2.0}> { [first] a = Mul(x, c) [last] y = Relu(a) }"

    def test_the_output_tensor_stays(self) -> None:
        model = load(self.BODY)
        edit = Editor(model)
        node = model.nodes[0]
        with edit.rewrite("test", node):
            edit.reform(node, "Add", [node.inputs[0], node.inputs[1]], name="other")
        assert "a: float32[1,2] = Add" in render(model)
        assert [(c.removed, c.added) for c in edit.changes] == [((("first", "Mul"),), (("other", "Add"),))]
        onnx.checker.check_model(model.to_proto())

    def test_it_is_undone_with_its_group(self) -> None:
        model = load(self.BODY)
        before = render(model)
        edit = Editor(model)
        node = model.nodes[0]
        with pytest.raises(ValueError, match="stop"), edit.rewrite("test", node):
            edit.set_opset(18)
            edit.reform(node, "Transpose", [node.inputs[0]], {"perm": [0, 1]})
            raise ValueError("stop")
        assert render(model) == before
        assert model.to_proto().graph.node[0].op_type == "Mul"

    def test_another_shape_is_refused(self) -> None:
        model = load("g (float[1,4] x) => (float[1,4] y) { y = Relu(x) }")
        edit = Editor(model)
        node = model.nodes[0]
        with pytest.raises(EditError, match="instead of"), edit.rewrite("test", node):
            edit.reform(node, "Transpose", [node.inputs[0]], {"perm": [1, 0]})
        assert model.nodes[0].op == "Relu"

    def test_attributes_of_the_old_operator_are_not_written(self) -> None:
        model = load("g (float[1,4] x) => (float[1,4] y) { y = LeakyRelu<alpha = 0.5>(x) }")
        edit = Editor(model)
        node = model.nodes[0]
        with edit.rewrite("test", node):
            edit.reform(node, "Relu", [node.inputs[0]])
        assert not model.to_proto().graph.node[0].attribute


class TestUpgrade:
    def test_backend_models_of_old_opsets_give_their_recorded_outputs(self) -> None:
        """Models of opset 6, which onnxruntime does not run in part, agree with the outputs stored beside them."""
        root = Path(onnx.__file__).parent / "backend" / "test" / "data"
        names = ("test_AvgPool2d_stride", "test_BatchNorm2d_eval", "test_PReLU_2d_multiparam", "test_Softmin")
        folders = [root / "pytorch-converted" / n for n in names]
        folders += [root / "pytorch-operator" / f"test_operator_{n}" for n in ("add_broadcast", "addmm", "pow")]
        for folder in folders:
            shaped = run(FreezeShapes, onnx.load(folder / "model.onnx"), numeric=False).after
            ran = run(UpgradeLegacy, shaped, numeric=False)
            assert ran.after.opset_import[0].version == 13, ran.reasons
            assert _recorded(ran.after, folder / "test_data_set_0") < 1e-5

    def test_a_higher_opset_can_be_asked_for(self) -> None:
        body = "g (float[1,4] x) => (float[1,4] y) { y = Softmax(x) }"
        ran = run(UpgradeLegacy(opset=17), onnx.parser.parse_model(HEAD.replace("17", "11") + body))
        assert ran.after.opset_import[0].version == 17

    def test_older_than_six_is_refused(self) -> None:
        body = "g (float[1,4] x) => (float[1,4] y) { y = Relu(x) }"
        ran = run(UpgradeLegacy, onnx.parser.parse_model(HEAD.replace("17", "5") + body), numeric=False)
        assert not ran.changes
        assert "older than 6" in ran.reasons[0]


def _recorded(model: onnx.ModelProto, folder: Path) -> float:
    """The largest difference to the stored outputs, as a share of their largest value."""
    import onnxruntime

    def read(path: Path) -> Array:
        return np.asarray(numpy_helper.to_array(TensorProto.FromString(path.read_bytes())))

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    known = {i.name for i in session.get_inputs()}
    feeds = {v.name: read(folder / f"input_{i}.pb") for i, v in enumerate(model.graph.input) if v.name in known}
    made = session.run(None, feeds)
    worst = 0.0
    for i, value in enumerate(made):
        stored = read(folder / f"output_{i}.pb")
        worst = max(worst, float(np.max(np.abs(value - stored)) / np.max(np.abs(stored))))
    return worst

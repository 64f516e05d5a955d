"""Reading and writing: what was not changed comes back byte for byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.errors import ModelError, UsageError
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.model import Model
from dlarewrite.ir.structure import check_structure

LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data").glob("*/*/model.onnx"))
LIGHT += sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))


@pytest.mark.parametrize("path", LIGHT, ids=lambda p: p.parent.name + "-" + p.stem)
def test_round_trip_keeps_every_node(path: Path) -> None:
    original = onnx.load(path)
    model = Model.load(path)
    check_structure(model)
    again = model.to_proto()
    onnx.checker.check_model(again)
    if not original.functions:
        assert [n.SerializeToString(deterministic=True) for n in again.graph.node] == [
            n.SerializeToString(deterministic=True) for n in original.graph.node
        ]
        assert {v.name for v in again.graph.input} <= {v.name for v in original.graph.input}
        assert list(map(str, again.graph.output)) == list(map(str, original.graph.output))


def decorated() -> onnx.ModelProto:
    """A model with all that graphsurgeon's own import and export lose."""
    node = helper.make_node("Relu", ["x"], ["y"], name="act", doc_string="about act")
    node.metadata_props.add(key="owner", value="vision")
    scan = helper.make_node("Add", ["y", "w"], ["z"], name="add")
    graph = helper.make_graph(
        [node, scan],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3], doc_string="the input"),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [3]),
        ],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 3])],
        initializer=[numpy_helper.from_array(np.ones(3, np.float32), "w")],
        doc_string="about the graph",
    )
    graph.metadata_props.add(key="stage", value="train")
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.acme", 3)], domain="acme"
    )
    model.doc_string, model.model_version, model.producer_name = "about the model", 7, "acme-export"
    model.metadata_props.add(key="license", value="ours")
    return model


def test_envelope_brings_back_what_graphsurgeon_loses() -> None:
    original = decorated()
    again = Model.load(original).to_proto()
    assert again == original


def test_overridable_initializer_is_not_an_input_but_is_written_back() -> None:
    model = Model.load(decorated())
    assert [t.name for t in model.inputs] == ["x"]
    assert [v.name for v in model.to_proto().graph.input] == ["x", "w"]


def test_the_callers_model_is_not_changed() -> None:
    original = decorated()
    copy = original.SerializeToString(deterministic=True)
    model = Model.load(original)
    edit = Editor(model)
    with edit.rewrite("test", model.nodes[0]):
        edit.replace_uses(model.nodes[0].outputs[0], edit.op("Sigmoid", [model.inputs[0]]))
    model.to_proto()
    assert original.SerializeToString(deterministic=True) == copy


def test_graphsurgeon_graph_is_a_source() -> None:
    x = gs.Variable("x", np.float32, [1, 2])
    y = gs.Variable("y", np.float32, [1, 2])
    graph = gs.Graph([gs.Node("Relu", inputs=[x], outputs=[y])], [x], [y], opset=17)
    assert [n.op for n in Model.load(graph).nodes] == ["Relu"]


def test_local_functions_are_inlined() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["": 17, "local": 1]>
        g (float[1,4] x) => (float[1,4] y) { y = local.twice(x) }
        <domain: "local", opset_import: ["": 17]> twice (a) => (b) { t = Relu(a) b = Add(t, t) }"""
    )
    assert [n.op for n in Model.load(model).nodes] == ["Relu", "Add"]


def subgraph_model() -> onnx.ModelProto:
    return onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["": 17]>
        g (bool c, float[4] x) => (float[4] y) {
            t = Relu(x)
            y = If (c) <
                then_branch = a () => (float[4] u) { u = Neg(t) },
                else_branch = b () => (float[4] v) { v = Abs(t) }
            >
        }"""
    )


def test_a_captured_tensor_keeps_its_name_and_its_producer() -> None:
    model = Model.load(subgraph_model())
    relu = model.nodes[0]
    edit = Editor(model)
    with edit.rewrite("test", relu):
        edit.replace_uses(relu.outputs[0], edit.op("Abs", [model.inputs[1]]))
        edit.sweep([relu])
    check_structure(model)
    proto = model.to_proto()
    onnx.checker.check_model(proto, full_check=True)
    assert [n.op_type for n in proto.graph.node] == ["Abs", "If"]
    assert proto.graph.node[0].output[0] == "t"


def external(folder: Path, elements: int = 2048) -> Path:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [elements])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [elements])
    weight = numpy_helper.from_array(np.arange(elements, dtype=np.float32), "w")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [weight])
    path = folder / "m.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        path,
        save_as_external_data=True,
        location="m.data",
        size_threshold=0,
    )
    return path


def test_external_data_stays_external_and_lazy(tmp_path: Path) -> None:
    model = Model.load(external(tmp_path))
    (tmp_path / "out").mkdir()
    model.save(tmp_path / "out" / "o.onnx")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["o.onnx", "o.onnx.data"]
    again = onnx.load(tmp_path / "out" / "o.onnx")
    assert np.array_equal(numpy_helper.to_array(again.graph.initializer[0]), np.arange(2048, dtype=np.float32))


def test_models_beyond_the_protobuf_limit_get_a_data_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = onnx.load(external(tmp_path))
    monkeypatch.setattr("dlarewrite.ir.exporter.PROTO_LIMIT", 4096)
    Model.load(source).save(tmp_path / "big.onnx")
    assert (tmp_path / "big.onnx.data").stat().st_size == 2048 * 4
    again = onnx.load(tmp_path / "big.onnx")
    assert again.graph.node == source.graph.node
    assert again.graph.initializer[0].raw_data == source.graph.initializer[0].raw_data


def test_missing_and_short_external_data(tmp_path: Path) -> None:
    path = external(tmp_path)
    data = tmp_path / "m.data"
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(ModelError, match="ends at byte 100, tensor 'w' needs 8192"):
        Model.load(path)
    data.unlink()
    with pytest.raises(ModelError, match=r"m\.data.*is missing"):
        Model.load(path)


def test_bad_sources_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        Model.load(tmp_path / "none.onnx")
    with pytest.raises(UsageError, match="is a folder"):
        Model.load(tmp_path)
    (tmp_path / "text.onnx").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ModelError, match="not an ONNX model"):
        Model.load(tmp_path / "text.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match="holds no ONNX graph"):
        Model.load(tmp_path / "empty.onnx")


def test_an_opset_that_onnx_does_not_know_yet_is_named() -> None:
    graph = helper.make_graph([], "g", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])])
    graph.input.append(graph.output[0])
    newest = onnx.defs.onnx_opset_version()
    Model.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", newest)]))
    with pytest.raises(ModelError, match=f"of opset {newest + 1}"):
        Model.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", newest + 1)]))


def test_a_cycle_is_named() -> None:
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "b"], ["a"], name="one"), helper.make_node("Relu", ["a"], ["b"], name="two")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, [1])],
    )
    with pytest.raises(ModelError, match="cycle through node 'one'"):
        Model.load(helper.make_model(graph))


def test_a_dangling_read_is_named() -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["nowhere"], ["y"], name="act")],
        "g",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    with pytest.raises(ModelError, match="reads tensor 'nowhere', which nothing produces"):
        Model.load(helper.make_model(graph))


def test_an_unwritable_folder_leaves_nothing(tmp_path: Path) -> None:
    model = Model.load(decorated())
    with pytest.raises(ModelError, match="cannot write"):
        model.save(tmp_path / "no" / "such" / "out.onnx")
    assert not list(tmp_path.iterdir())

from __future__ import annotations

import onnx
import pytest
from onnx import parser

from dlarewrite.numerics import Numerics
from dlarewrite.verify import CannotRun, prove

EXACT, ROUNDING = Numerics.EXACT, Numerics.ROUNDING
KNOWN = "<float[2,8] h, float[2,8] c>"


def model(text: str) -> onnx.ModelProto:
    return parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17, "lab" : 1]> {text}')


def custom(
    before: str = "h = Relu(x)", node: str = "lab.Voxelise<size = 4>(h)", after: str = "Neg(c)"
) -> onnx.ModelProto:
    proto = model(f"g (float[2,8] x) => (float[2,8] y) {KNOWN} {{ {before} c = {node} y = {after} }}")
    for item in proto.graph.node:
        if item.domain == "lab":
            item.name = "voxels"
    return proto


def test_both_sides_of_a_custom_node_are_proven_and_the_cut_is_said() -> None:
    evidence = prove(custom(), custom(), numerics=EXACT)
    assert evidence.ok
    assert evidence.cut == ("voxels (lab.Voxelise)",)
    assert [output.name for output in evidence.outputs] == ["y", "cut/0/input/0"]
    assert [given.name for given in evidence.inputs] == ["x", "cut/0/output/0"]
    assert "cut at: voxels" in str(evidence)


def test_a_change_before_the_cut_and_one_behind_it_are_both_found() -> None:
    upstream = prove(custom(), custom(before="h = Abs(x)"), numerics=ROUNDING)
    assert {output.name: output.ok for output in upstream.outputs} == {"y": True, "cut/0/input/0": False}
    downstream = prove(custom(), custom(after="Abs(c)"), numerics=ROUNDING)
    assert {output.name: output.ok for output in downstream.outputs} == {"y": False, "cut/0/input/0": True}


def test_values_around_the_cut_may_be_renamed() -> None:
    renamed = custom()
    renamed.graph.node[1].output[0] = renamed.graph.node[2].input[0] = "renamed"
    assert prove(custom(), renamed, numerics=EXACT).ok


def test_users_inputs_are_completed_at_the_cut() -> None:
    import numpy as np

    evidence = prove(custom(), custom(), numerics=EXACT, feeds={"x": np.ones((2, 8), np.float32)})
    assert evidence.ok
    assert evidence.inputs[0].low == evidence.inputs[0].high == 1


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (custom(node="lab.Voxelise<size = 5>(h)"), "no such node with the same attributes"),
        (custom(node="lab.Voxelise<size = 4>(h, h)"), "no such node with the same attributes"),
        (custom(node="lab.Other<size = 4>(h)"), "no such node with the same attributes"),
        (custom(node="Relu(h)"), "no such node with the same attributes"),
    ],
)
def test_a_custom_node_that_changed_cannot_be_proven(after: onnx.ModelProto, reason: str) -> None:
    with pytest.raises(CannotRun, match=reason) as caught:
        prove(custom(), after, numerics=EXACT)
    assert caught.value.message.startswith("onnxruntime cannot prove node voxels (lab.Voxelise): ")
    assert "--no-verify" in caught.value.hint


def test_a_custom_node_that_only_the_rewritten_model_has_cannot_be_proven() -> None:
    with pytest.raises(CannotRun, match="the original has no such node"):
        prove(custom(node="Relu(h)"), custom(), numerics=EXACT)


def test_an_output_of_unknown_shape_cannot_be_cut_at() -> None:
    unknown = custom()
    del unknown.graph.value_info[:]
    with pytest.raises(CannotRun, match="the shape of its output 'c' is not known"):
        prove(unknown, unknown, numerics=EXACT)
    # Either model may know it.
    assert prove(unknown, custom(), numerics=EXACT).ok


def test_a_custom_node_that_no_output_needs_is_left_out() -> None:
    dead = model("g (float[2] x) => (float[2] y) { c = lab.Frob(x) y = Relu(x) }")
    with pytest.raises(CannotRun, match="Frob"):
        prove(dead, dead, numerics=EXACT)


def test_a_custom_node_inside_a_body_cannot_be_cut_at() -> None:
    looped = model(
        """g (bool go, float[2] x) => (float[2] y) { y = If (go) <
          then_branch = t () => (float[2] a) { a = lab.Frob(x) }, else_branch = e () => (float[2] b) { b = Relu(x) }
        > }"""
    )
    with pytest.raises(CannotRun, match="inside a control-flow body"):
        prove(looped, looped, numerics=EXACT)


@pytest.mark.parametrize(
    "node",
    [
        "RandomNormalLike(h)",
        "RandomUniformLike<seed = 3.0>(h)",
        "Bernoulli(h)",
        "Dropout(h, ratio, training)",
    ],
)
def test_random_nodes_are_cut(node: str) -> None:
    text = (
        f"g (float[2,8] x) => (float[2,8] y) <float ratio = {{0.5}}, bool training = {{1}}>"
        f" {{ h = Sigmoid(x) c = {node} y = Add(c, h) }}"
    )
    evidence = prove(model(text), model(text), numerics=EXACT)
    assert evidence.ok
    assert len(evidence.cut) == 1
    assert not prove(model(text), model(text.replace("Sigmoid", "Tanh")), numerics=ROUNDING).ok


def test_dropout_at_inference_is_not_cut() -> None:
    text = "g (float[2,8] x) => (float[2,8] y) { h = Dropout(x) y = Relu(h) }"
    assert prove(model(text), model(text.replace("h = Dropout(x)", "h = Identity(x)")), numerics=EXACT).cut == ()


def test_a_node_without_a_kernel_is_cut_when_it_turns_up() -> None:
    text = "g (float[8] x) => (float[8] y) { s = Cast<to = 5>(x) c = Relu(s) y = Cast<to = 1>(c) }"
    evidence = prove(model(text), model(text), numerics=EXACT)
    assert evidence.ok
    assert evidence.cut == ("Relu -> c",)


def test_a_node_without_a_kernel_that_was_rewritten_is_named() -> None:
    text = "g (float[8] x) => (float[8] y) { s = Cast<to = 5>(x) c = Relu(s) y = Cast<to = 1>(c) }"
    with pytest.raises(CannotRun, match="no CPU implementation for the types of node"):
        prove(model(text), model(text.replace("Relu(s)", "Abs(s)")), numerics=EXACT)


def test_the_same_node_under_another_opset_may_mean_something_else() -> None:
    upgraded = custom()
    upgraded.opset_import[1].version = 2
    with pytest.raises(CannotRun, match="operator set has another version"):
        prove(custom(), upgraded, numerics=EXACT)
    text = "g (float[8] x) => (float[8] y) { c = RandomNormalLike(x) y = Add(c, x) }"
    for version, proven in ((21, True), (22, False)):  # RandomNormalLike was redefined in opset 22
        later = model(text)
        later.opset_import[0].version = version
        if proven:
            assert prove(model(text), later, numerics=EXACT).ok
            continue
        with pytest.raises(CannotRun, match="operator set has another version"):
            prove(model(text), later, numerics=EXACT)

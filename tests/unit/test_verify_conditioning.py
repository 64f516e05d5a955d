from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from dlarewrite.numerics import Numerics
from dlarewrite.verify import Evidence, Prover, conditioning, prove
from dlarewrite.verify.conditioning import DRAWS, Conditioning, movement
from dlarewrite.verify.jitter import jittered, jittered_feed, jittered_model, weight_bytes
from dlarewrite.verify.reference import Sample
from dlarewrite.verify.resummed import resum

EXACT, ROUNDING, LOSSY = Numerics.EXACT, Numerics.ROUNDING, Numerics.LOSSY
WIDTH = 16


def chain(layers: int, gain: float, *, halves: bool = False, wrong: float = 0.0, tail: str = "") -> onnx.ModelProto:
    """x -> (MatMul -> Sin) * layers: every layer multiplies a small difference by about `gain`.

    `halves` computes every MatMul as a sum of two, `wrong` puts a relative error on the first weight of the last layer.
    """
    rng = np.random.default_rng(1)
    nodes, weights, value = [], [], "x"
    for number in range(layers):
        weight = (rng.standard_normal((WIDTH, WIDTH)) * gain / np.sqrt(WIDTH)).astype(np.float32)
        if number == layers - 1:
            weight[:, 0] *= np.float32(1 + wrong)
        made = f"m{number}"
        if halves:
            nodes.append(helper.make_node("Split", [value], [f"{made}a", f"{made}b"], axis=1))
            for half, part in zip("ab", np.split(weight, 2), strict=True):
                weights.append(numpy_helper.from_array(part, f"w{number}{half}"))
                nodes.append(helper.make_node("MatMul", [f"{made}{half}", f"w{number}{half}"], [f"{made}{half}p"]))
            nodes.append(helper.make_node("Add", [f"{made}bp", f"{made}ap"], [made]))
        else:
            weights.append(numpy_helper.from_array(weight, f"w{number}"))
            nodes.append(helper.make_node("MatMul", [value, f"w{number}"], [made]))
        value = f"s{number}"
        nodes.append(helper.make_node("Sin", [made], [value]))
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, WIDTH])]
    nodes.append(helper.make_node("Identity", [value], ["y"]))
    if tail:
        nodes.append(helper.make_node("ArgMax", [value], ["i"], axis=1, keepdims=0))
        outputs.append(helper.make_tensor_value_info("i", TensorProto.INT64, [1]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, WIDTH])]
    graph = helper.make_graph(nodes, "chain", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def text_model(text: str, **weights: Any) -> onnx.ModelProto:
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    for name, array in weights.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return proto


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry per run of a moved original."""
    counted: list[int] = []

    class Counted(conditioning.Session):
        def run(self, feeds: Any) -> dict[str, Any]:
            counted.append(1)
            return super().run(feeds)

    monkeypatch.setattr(conditioning, "Session", Counted)
    return counted


ILL = (8, 3.0)
WELL = (3, 1.0)


def plainly(after: onnx.ModelProto) -> Evidence:
    """What the declared tolerance alone says: 1e-5 given by the user is judged as it stands."""
    return prove(chain(*ILL), after, numerics=ROUNDING, rtol=1e-5)


def test_nothing_is_measured_where_nothing_fails(runs: list[int]) -> None:
    evidence = prove(chain(*WELL), chain(*WELL, halves=True), numerics=ROUNDING)
    assert evidence.ok
    assert evidence.outputs[0].max_abs > 0
    assert evidence.outputs[0].conditioning is None
    assert (runs, evidence.notes) == ([], ())


def test_a_wrong_weight_in_a_well_conditioned_model_fails(runs: list[int]) -> None:
    evidence = prove(chain(*WELL), chain(*WELL, wrong=1e-3), numerics=ROUNDING)
    assert not evidence.ok
    assert 0 < (evidence.outputs[0].conditioning or 0) < 1e-5
    assert "one ulp on weights and inputs moves the original by" in evidence.reason
    assert evidence.notes == ()
    assert len(runs) == 3 * DRAWS


def test_another_order_in_an_ill_conditioned_model_passes_and_is_noted() -> None:
    after = chain(*ILL, halves=True)
    assert not plainly(after).ok
    evidence = prove(chain(*ILL), after, numerics=ROUNDING)
    assert evidence.ok, evidence.reason
    output = evidence.outputs[0]
    assert output.max_rel_of_max > 1e-5
    assert output.max_rel_of_max <= 2 * (output.conditioning or 0)
    assert f"{2 * (output.conditioning or 0):g} * max|reference|" in output.tolerance
    assert any("output 'y' (seed " in note and "the model is ill-conditioned" in note for note in evidence.notes)
    assert json.loads(json.dumps(evidence.to_dict()))["outputs"][0]["conditioning"] == output.conditioning


def test_a_wrong_rewrite_of_an_ill_conditioned_model_fails() -> None:
    measured = prove(chain(*ILL), chain(*ILL, halves=True), numerics=ROUNDING).outputs[0].conditioning or 0
    evidence = prove(chain(*ILL), chain(*ILL, halves=True, wrong=10 * measured), numerics=ROUNDING)
    assert not evidence.ok
    assert evidence.outputs[0].conditioning is not None


@pytest.mark.parametrize("given", [{"atol": 1e-7}, {"rtol": 1e-5}, {"rtol": {"y": 1e-5}}])
def test_a_tolerance_of_the_users_is_judged_as_it_stands(given: dict[str, Any], runs: list[int]) -> None:
    evidence = prove(chain(*ILL), chain(*ILL, halves=True), numerics=ROUNDING, **given)
    assert (evidence.ok, evidence.outputs[0].conditioning, runs) == (False, None, [])


@pytest.mark.parametrize(("numerics", "bound"), [(EXACT, None), (LOSSY, 1e-7)])
def test_exact_and_lossy_are_never_explained(numerics: Numerics, bound: float | None, runs: list[int]) -> None:
    assert not prove(chain(*ILL), chain(*ILL, halves=True), numerics=numerics, bound=bound).ok
    assert runs == []


def test_the_original_is_moved_once_and_only_on_samples_that_fail(runs: list[int]) -> None:
    text = "g (float[8] x) => (float[8] y) { a = MatMul(x, w) y = Relu(a) }"
    right, weight = text_model(text), np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32)
    wrong = text_model(text)
    for model, scale in ((right, 1.0), (wrong, 1.001)):
        model.graph.initializer.append(numpy_helper.from_array(weight * np.float32(scale), "w"))
    samples = [{"x": np.zeros(8, np.float32)}, {"x": np.full(8, 0.3, np.float32)}]
    prover = Prover(right, feeds=samples)
    assert not prover.prove(wrong, numerics=ROUNDING).ok
    assert len(runs) == DRAWS
    assert not prover.prove(wrong, numerics=ROUNDING).ok
    assert len(runs) == DRAWS


def test_a_model_that_one_ulp_throws_about_proves_nothing_by_itself() -> None:
    chaotic = (30, 5.0)
    evidence = prove(chain(*chaotic), chain(*chaotic, halves=True), numerics=ROUNDING)
    assert not evidence.ok
    assert "proves nothing: one ulp on weights and inputs" in evidence.reason
    steady = {"x": np.zeros((1, WIDTH), np.float32)}
    shaky = {"x": np.full((1, WIDTH), 0.7, np.float32)}
    both = prove(chain(*chaotic), chain(*chaotic, halves=True), numerics=ROUNDING, feeds=[steady, shaky])
    assert both.ok
    assert "this sample proves nothing by itself" in both.notes[0]


def ties(body: str) -> onnx.ModelProto:
    """Scores of two classes in rows of `x`, the number of the better one, and whether that is the second."""
    text = """g (float[n,2] x) => (int64[n] i, bool[n] b) <int64[1] one = {1}> {
        BODY i = ArgMax<axis=1, keepdims=0>(s) b = Equal(i, one) }"""
    return text_model(text.replace("BODY", body), w=np.array([0.7, 0.7], np.float32))


def favouring(factor: float) -> onnx.ModelProto:
    """As `ties(PLAIN)`, with the second class's score times `factor`."""
    model = ties("e = Mul(x, v) s = Mul(e, w)")
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, factor], np.float32), "v"))
    return model


def scores(tied: int, size: int = 200) -> dict[str, Any]:
    """Rows of which the first `tied` have two equal values, the others far apart ones."""
    x = np.random.default_rng(3).uniform(0.1, 0.9, (size, 1)).astype(np.float32)
    return {"x": np.concatenate([x, np.where(np.arange(size)[:, None] < tied, x, x / 2)], axis=1)}


PLAIN = "s = Mul(x, w)"


def test_ties_may_flip_as_often_as_the_original_flips_them(runs: list[int]) -> None:
    evidence = prove(ties(PLAIN), favouring(1 + 2.0**-22), numerics=ROUNDING, feeds=scores(8))
    assert evidence.ok, evidence.reason
    picks = evidence.outputs[0]
    assert picks.tolerance.endswith("of 200 elements may differ")
    assert 0 < (picks.conditioning or 0) <= 8 / 200
    assert "8 of 200 elements differ, but one ulp on weights and inputs changes" in evidence.notes[0]
    assert len(runs) == DRAWS


def test_more_flips_than_ties_fail() -> None:
    evidence = prove(ties(PLAIN), favouring(3), numerics=ROUNDING, feeds=scores(8))
    assert not evidence.ok
    assert "200 of 200 elements differ" in evidence.reason
    assert "one ulp on weights and inputs changes" in evidence.reason


def test_integers_without_ties_must_be_equal() -> None:
    evidence = prove(ties(PLAIN), favouring(3), numerics=ROUNDING, feeds=scores(0))
    assert [output.conditioning for output in evidence.outputs] == [0.0, 0.0]
    assert not evidence.ok


def test_a_tie_in_the_only_element_proves_nothing() -> None:
    before, after = chain(30, 5.0, tail="ArgMax"), chain(30, 5.0, tail="ArgMax", halves=True)
    seed = next(
        s
        for s in range(20)
        if not prove(before, after, numerics=ROUNDING, seeds=[s], atol={"y": 9.0, "i": 0.0}).outputs[1].ok
    )
    evidence = prove(before, after, numerics=ROUNDING, seeds=[seed], atol={"y": 9.0})
    assert evidence.outputs[1].conditioning == 1.0
    assert "proves nothing" in evidence.outputs[1].reason


def test_nan_is_never_explained() -> None:
    before = chain(*ILL)
    after = chain(*ILL, halves=True)
    next(n for n in after.graph.node if n.op_type == "Identity").op_type = "Sqrt"
    evidence = prove(before, after, numerics=ROUNDING)
    assert not evidence.ok
    assert "nan instead of" in evidence.reason


def test_weights_too_large_to_move_are_a_note_not_a_crash(monkeypatch: pytest.MonkeyPatch, runs: list[int]) -> None:
    monkeypatch.setattr(conditioning.Conditioning.__init__, "__kwdefaults__", {**_defaults(), "max_bytes": 1000})
    evidence = prove(chain(*ILL), chain(*ILL, halves=True), numerics=ROUNDING)
    assert not evidence.ok
    assert evidence.notes == ("conditioning not measured: the weights are too large to be moved in memory",)
    assert runs == []


def _defaults() -> dict[str, Any]:
    return dict(conditioning.Conditioning.__init__.__kwdefaults__ or {})


def test_external_weights_are_moved_and_counted(tmp_path: Path) -> None:
    proto, size = chain(*ILL), weight_bytes(chain(*ILL))
    onnx.save(chain(*ILL), tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0, location="w.bin")
    stored = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    assert weight_bytes(stored) == ILL[0] * WIDTH * WIDTH * 4 <= size
    inside, outside = (jittered_model(m, d, 0, 0.0) for m, d in ((proto, None), (stored, tmp_path)))
    assert [t.raw_data for t in inside.graph.initializer] == [t.raw_data for t in outside.graph.initializer]
    assert prove(tmp_path / "m.onnx", chain(*ILL, halves=True), numerics=ROUNDING).ok
    (tmp_path / "w.bin").unlink()
    gone = Conditioning(stored, tmp_path)
    assert gone.measure([Sample("seed 0", {}, {}, ())]) == {}
    assert gone.note.startswith("conditioning not measured: ")


def test_floats_of_rank_one_and_more_move_by_an_ulp_and_nothing_else_does() -> None:
    text = """g (float[1,1,4,4] x) => (float[1,1,8,8] y) {
        k = Constant<value = float[2] {0.3, 0.7}>()
        z = Constant<value = float[4] {1.0, 1.0, 1.5, 1.5}>()
        y = Resize(x, , z)
        u = Resize(x, , scales) }"""
    weights = {
        "w": np.array([0.1, 3.3], np.float32),
        "h": np.array([0.1, 3.3], np.float16),
        "whole": np.array([1.0, 2.0, -4.0], np.float32),
        "scalar": np.float32(0.1),
        "scales": np.array([1, 1, 1.5, 1.5], np.float32),
        "n": np.array([3]),
    }
    model = text_model(text, **weights)
    moved = jittered_model(model, None, 0, 0.0)
    new = {t.name: numpy_helper.to_array(t) for t in moved.graph.initializer}
    assert {name for name, old in weights.items() if not np.array_equal(old, new[name])} == {"w", "h"}
    assert [t.name for t in moved.graph.initializer] == [t.name for t in model.graph.initializer]
    assert np.all(np.abs(new["w"] / weights["w"] - 1) <= 2.0**-22)
    assert np.all(np.abs(new["h"].astype(float) / weights["h"].astype(float) - 1) <= 2.0**-9)
    constants = [numpy_helper.to_array(n.attribute[0].t) for n in moved.graph.node if n.op_type == "Constant"]
    assert not np.array_equal(constants[0], np.array([0.3, 0.7], np.float32))
    assert np.array_equal(constants[1], np.array([1, 1, 1.5, 1.5], np.float32))
    assert numpy_helper.to_array(model.graph.node[0].attribute[0].t)[0] == np.float32(0.3)


def test_inputs_move_up_and_down_by_the_step_of_the_shorter_dtype() -> None:
    feed = {"d": np.full(64, 1.25), "i": np.arange(3), "s": [np.full(2, 0.3, np.float32)], "t": np.float32(0.3)}
    moved = jittered_feed(feed, 0, 2.0**-23)
    assert set(np.round((moved["d"] / 1.25 - 1) * 2**23, 6)) == {-1.0, 1.0}
    assert moved["i"] is feed["i"]
    assert not np.array_equal(moved["s"][0], feed["s"][0])
    assert moved["t"] != feed["t"]
    assert not np.array_equal(jittered_feed(feed, 1, 2.0**-23)["d"], moved["d"])
    assert np.array_equal(jittered_feed(feed, 0, 2.0**-23)["d"], moved["d"])


def test_the_largest_number_never_becomes_infinite() -> None:
    largest = np.full(64, np.finfo(np.float32).max)
    assert np.isfinite(jittered(largest, np.random.default_rng(0), 0.0)).all()


def test_movement_is_defined_only_between_alike_outputs() -> None:
    old = np.array([1.0, np.nan, np.inf])
    assert movement(old, np.array([1.5, np.nan, np.inf])) == 0.5
    assert movement(old, np.array([1.5, np.nan, 2.0])) is None
    assert movement(old, np.array([np.inf, np.nan, np.inf])) is None
    assert movement(old, old[:2]) is None
    assert movement(np.array([1, 2, 3]), np.array([1, 3, 2])) == 2
    assert movement(np.array(["a"]), np.array(["b"])) is None


def test_a_moved_original_that_stops_measures_nothing() -> None:
    text = """g (float[4] x) => (float[4] y) <int64[1] zero = {0}> {
        k = Mul(x, w) c = Cast<to = 7>(k) o = Gather(x, c) y = Sin(o) }"""
    model = text_model(text, w=np.array([0.5, 0.25, 0.125, 1.5], np.float32))
    feed = {"x": np.array([0.0, 4.0, 8.0, -2.6666667], np.float32)}
    before = conditioning.Session(model).run(feed)
    found = Conditioning(model).measure([Sample("seed 0", feed, before, ())])
    assert set(found) == {"seed 0"}
    shrunk = dataclasses.replace(Sample("short", feed, before, ()), outputs={"y": before["y"][:2]})
    assert Conditioning(model).measure([shrunk])["short"] == {}


def gated(slope: float = 1.0, *, halves: bool = False) -> onnx.ModelProto:
    """A chain that nothing but noise comes out of, read only where |x| > 2.5, beside slope * x."""
    model = chain(60, 5.0, halves=halves)
    first = model.graph.node[0]
    first.input[0] = "z"
    front = [
        helper.make_node("Abs", ["x"], ["a"]),
        helper.make_node("Sub", ["a", "c"], ["d"]),
        helper.make_node("Relu", ["d"], ["z"]),
        helper.make_node("Mul", ["x", "k"], ["line"]),
    ]
    last = model.graph.node[-1]
    last.CopyFrom(helper.make_node("Add", [last.input[0], "line"], ["y"]))
    nodes = [*front, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    for name, value in (("c", 2.5), ("k", slope)):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    return model


def test_where_no_sample_is_steady_a_smaller_one_is_drawn() -> None:
    evidence = prove(gated(), gated(halves=True), numerics=ROUNDING)
    assert evidence.ok, evidence.reason
    assert "seed 0 at scale 0.25: drawn for a steadier sample" in evidence.notes
    assert evidence.inputs[0].high == pytest.approx(8.0)


def test_the_smaller_sample_shows_what_is_wrong() -> None:
    evidence = prove(gated(), gated(1.001, halves=True), numerics=ROUNDING)
    assert not evidence.ok
    assert "at scale 0.25" in evidence.reason


def test_given_inputs_are_not_drawn_again() -> None:
    feed = {"x": np.full((1, WIDTH), 6.0, np.float32)}
    evidence = prove(gated(), gated(halves=True), numerics=ROUNDING, feeds=feed)
    assert not evidence.ok
    assert "proves nothing" in evidence.reason


def normalised(form: tuple[int, ...], opset: int = 17, scale: float = 1.0) -> onnx.ModelProto:
    """An InstanceNormalization of two scales on an input of this shape."""
    values = [np.full(form[1], scale, np.float32), np.linspace(-1, 1, form[1], dtype=np.float32)]
    graph = helper.make_graph(
        [helper.make_node("InstanceNormalization", ["x", "s", "b"], ["y"], epsilon=1e-5)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, form)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, form)],
        [numpy_helper.from_array(value, name) for name, value in zip("sb", values, strict=True)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def written_out(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    assert resum(copy, {})
    assert "InstanceNormalization" not in {node.op_type for node in copy.graph.node}
    return copy


@pytest.mark.parametrize("opset", [11, 13, 17, 18, 21])
@pytest.mark.parametrize("form", [(2, 3, 4, 6), (1, 2, 7), (1, 2, 2, 3, 5)])
def test_norms_written_out_are_the_same(opset: int, form: tuple[int, ...]) -> None:
    model = normalised(form, opset)
    assert prove(model, written_out(model), numerics=ROUNDING).ok


def test_a_norm_of_a_large_map_is_judged_by_its_own_rounding() -> None:
    large = (1, 1, 2048, 1024)
    evidence = prove(normalised(large), written_out(normalised(large)), numerics=ROUNDING, seeds=(0,))
    assert evidence.ok and evidence.outputs[0].max_rel_of_max > 1e-5
    assert any("summed in another order" in note for note in evidence.notes)
    assert not prove(normalised(large), written_out(normalised(large, scale=1.001)), numerics=ROUNDING, seeds=(0,)).ok


def test_a_norm_whose_scale_is_computed_is_left() -> None:
    model = normalised((1, 2, 4, 4))
    model.graph.node.insert(0, helper.make_node("Abs", ["s"], ["t"]))
    model.graph.node[1].input[1] = "t"
    assert not resum(model, {})

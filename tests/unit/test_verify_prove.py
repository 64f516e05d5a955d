from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from dlarewrite.errors import UsageError
from dlarewrite.numerics import Numerics
from dlarewrite.verify import CannotRun, Evidence, IoChange, Prover, not_proven, prove

EXACT, ROUNDING, LOSSY = Numerics.EXACT, Numerics.ROUNDING, Numerics.LOSSY


def model(text: str, **weights: Any) -> onnx.ModelProto:
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    for name, array in weights.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return proto


def conv(delta: float = 0.0, at: int = 5) -> onnx.ModelProto:
    weight = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    weight.reshape(-1)[at] += np.float32(delta)
    return model("g (float[1,3,8,8] x) => (float[1,4,6,6] y) { c = Conv(x, w) y = HardSwish(c) }", w=weight)


def edited(text: str, old: str, new: str) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    assert old in text
    return model(text), model(text.replace(old, new))


def test_equal_models_are_proven_on_three_seeds() -> None:
    evidence = prove(conv(), conv(), numerics=EXACT)
    assert evidence.ok
    assert evidence.seeds == (0, 1, 2)
    assert evidence.outputs[0].max_abs == 0
    assert not evidence.constant_output
    assert evidence.inputs[0].shape == (1, 3, 8, 8)
    assert (evidence.inputs[0].low or 0) <= -8
    assert evidence.tolerance == "EXACT: within 1 ulp"


def test_a_changed_weight_is_reported_with_output_seed_and_size() -> None:
    evidence = prove(conv(), conv(1e-2), numerics=ROUNDING)
    assert not evidence.ok
    assert evidence.outputs[0].max_abs > 1e-3
    assert evidence.reason.startswith("output 'y' (seed ")
    assert evidence.outputs[0].where is not None


def test_a_change_within_rounding_passes_rounding_and_not_exact() -> None:
    assert prove(conv(), conv(1e-6), numerics=ROUNDING).ok
    assert not prove(conv(), conv(1e-6), numerics=EXACT).ok


def test_two_ulp_fail_exact_and_one_passes() -> None:
    text = "g (float[16] x) => (float[16] y) <float k = {K}> { y = Mul(x, k) }"
    ones = {"x": np.ones(16, np.float32)}
    for steps, ok in ((1, True), (2, False)):
        after = model(text.replace("K", repr(1 + steps * 2.0**-23)))
        evidence = prove(model(text.replace("K", "1")), after, numerics=EXACT, feeds=ones)
        assert evidence.ok is ok
        assert evidence.outputs[0].max_ulp == steps


def test_a_swapped_output_order_is_reported() -> None:
    text = "g (float[4] x) => (float[4] a, float[4] b) { a = Relu(x) b = Neg(x) }"
    before, after = edited(text, "(float[4] a, float[4] b)", "(float[4] b, float[4] a)")
    assert "output order changed from a, b to b, a" in prove(before, after, numerics=LOSSY).reason


def test_swapped_output_values_are_reported() -> None:
    text = "g (float[4] x) => (float[4] a, float[4] b) { a = Relu(x) b = Neg(x) }"
    before, after = edited(text, "a = Relu(x) b = Neg(x)", "b = Relu(x) a = Neg(x)")
    evidence = prove(before, after, numerics=ROUNDING)
    assert [output.ok for output in evidence.outputs] == [False, False]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("(float[4] y)", "(float[4] z)", "output 'y' is missing; output 'z' is new"),
        ("=> (float[4] y)", "=> (float[4] y, float[4] h)", "output 'h' is new"),
        ("(float[4] x)", "(float[4] x, float[4] extra)", "input 'extra' is new"),
        ("(float[4] x)", "(float[n] x)", "input 'x' changed from float 4 to float n"),
        ("(float[4] y)", "(float16[4] y)", "output 'y' changed from float 4 to float16 4"),
        ("(float[4] y)", "(float[2,2] y)", "output 'y' changed from float 4 to float 2x2"),
    ],
)
def test_changed_inputs_and_outputs_are_reported_before_anything_runs(old: str, new: str, reason: str) -> None:
    text = "g (float[4] x) => (float[4] y) { h = Relu(x) y = Neg(h) z = Neg(h) }"
    evidence = prove(*edited(text, old, new), numerics=LOSSY)
    assert not evidence.ok
    assert reason in evidence.reason
    assert evidence.outputs == ()


def test_a_dtype_that_only_shows_at_run_time_is_reported() -> None:
    text = "g (float[4] x) => (y) { y = Identity(x) }"
    before, after = edited(text, "Identity(x)", "Cast<to = 11>(x)")
    assert "dtype float64 instead of float32" in prove(before, after, numerics=LOSSY).reason


def test_nan_in_the_candidate_is_reported_even_when_lossy() -> None:
    text = "g (float[64] x) => (float[64] y) { a = Abs(x) y = Sqrt(a) }"
    before, after = edited(text, "Sqrt(a)", "Sqrt(x)")
    evidence = prove(before, after, numerics=LOSSY)
    assert not evidence.ok
    assert "nan instead of" in evidence.reason


def test_a_rewritten_model_that_does_not_load_or_run_is_evidence_not_an_exception() -> None:
    broken = model("g (float[4] x) => (float[4] y) { y = Relu(x, x) }")
    before = model("g (float[4] x) => (float[4] y) { y = Relu(x) }")
    assert "the rewritten model: onnxruntime refuses" in prove(before, broken, numerics=EXACT).reason
    reshape = "g (float[4] x) => (float[a] y) <int64[1] s = {4}> { y = Reshape(x, s) }"
    stops = model(reshape.replace("{4}", "{5}"))
    assert "the rewritten model: onnxruntime stops" in prove(model(reshape), stops, numerics=EXACT).reason


def test_lossy_is_measured_and_judged_only_by_a_stated_bound() -> None:
    text = "g (float[64] x) => (float[64] y) { y = Tanh(x) }"
    before, after = edited(text, "y = Tanh(x)", "h = Clip(x, low, high) y = Identity(h)")
    after.graph.initializer.extend(
        [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in (("low", -1.0), ("high", 1.0))]
    )
    evidence = prove(before, after, numerics=LOSSY)
    assert evidence.ok
    assert 0.2 < evidence.outputs[0].max_abs < 0.24
    assert prove(before, after, numerics=LOSSY, bound=0.24).ok
    assert not prove(before, after, numerics=LOSSY, bound=0.1).ok


def test_overrides_widen_or_narrow_by_output() -> None:
    assert prove(conv(), conv(1e-2), numerics=EXACT, atol=1.0).ok
    assert prove(conv(), conv(1e-2), numerics=EXACT, rtol={"y": 0.1}).ok
    assert not prove(conv(), conv(1e-6), numerics=ROUNDING, atol={"y": 0.0}).ok
    with pytest.raises(UsageError, match="no output"):
        prove(conv(), conv(), numerics=EXACT, atol={"x": 1.0})


def test_a_nonfinite_reference_is_said_and_positions_must_match() -> None:
    text = "g (float[64] x) => (float[64] y) { n = Neg(x) y = Sqrt(n) }"
    evidence = prove(model(text), model(text), numerics=EXACT)
    assert evidence.ok
    assert evidence.outputs[0].nonfinite > 0
    assert any(note.startswith("seed 0: y holds") for note in evidence.notes)
    moved = model(text.replace("y = Sqrt(n)", "m = Relu(n) y = Sqrt(m)"))
    assert not prove(model(text), moved, numerics=LOSSY).ok


def test_smaller_inputs_are_drawn_where_nothing_is_finite() -> None:
    # exp(exp(x)) summed over many elements overflows until the inputs are small
    text = "g (float[4096] x) => (float y) { e = Exp(x) f = Exp(e) y = ReduceSum<keepdims = 0>(f) }"
    evidence = prove(model(text), model(text), numerics=EXACT)
    assert evidence.ok
    assert any("y not finite, inputs drawn again at scale 0.25" in note for note in evidence.notes)
    assert (evidence.inputs[0].high or 99) <= 3


def test_a_model_that_only_yields_nan_proves_nothing() -> None:
    text = "g (float[4] x) => (float[4] y) <float k = {-1}> { r = Sqrt(k) y = Mul(x, r) }"
    evidence = prove(model(text), model(text), numerics=LOSSY)
    assert not evidence.ok
    assert "proves nothing" in evidence.reason


def test_a_constant_output_is_marked() -> None:
    text = "g (float[64] x) => (float[64] y, float[64] z) { a = Abs(x) n = Neg(a) z = Relu(n) y = Relu(x) }"
    evidence = prove(model(text), model(text), numerics=EXACT)
    assert evidence.ok
    assert evidence.constant_output
    assert {output.name: output.constant for output in evidence.outputs} == {"y": False, "z": True}


def test_a_symbolic_input_takes_the_size_the_rewrite_froze_it_to() -> None:
    text = "g (float[n,3,h,h] x) => (float[n,3,h,h] y) { y = Relu(x) }"
    before, after = model(text), model(text.replace("[n,3,h,h]", "[2,3,5,5]"))
    assert prove(before, after, numerics=EXACT).inputs[0].shape == (2, 3, 5, 5)
    assert prove(before, before, numerics=EXACT, shapes={"x": (1, 3, 4, 4)}).inputs[0].shape == (1, 3, 4, 4)


def test_users_inputs_replace_the_seeds(tmp_path: Path) -> None:
    given = {"x": np.full((1, 3, 8, 8), 0.5, np.float32)}
    evidence = prove(conv(), conv(), numerics=EXACT, feeds=given)
    assert (evidence.seeds, evidence.inputs_from) == ((), "given inputs")
    assert (evidence.inputs[0].low, evidence.inputs[0].high) == (0.5, 0.5)
    path = tmp_path / "data.npz"
    np.savez(path, **{"0/x": given["x"], "1/x": given["x"] * 2})
    evidence = prove(conv(), conv(1.0), numerics=EXACT, feeds=path)
    assert evidence.inputs_from == str(path)
    assert evidence.outputs[0].sample in ("sample 0", "sample 1")
    assert not evidence.ok


def test_inputs_the_original_does_not_run_on_cannot_prove() -> None:
    gather = model("g (float[3] x, int64 k) => (float y) { y = Gather(x, k) }")
    with pytest.raises(CannotRun, match="the original model does not run on sample 0") as caught:
        prove(gather, gather, numerics=EXACT, feeds={"x": np.ones(3, np.float32), "k": np.array(9)})
    assert "--inputs" in caught.value.hint


def test_narrowed_fp64_is_held_to_fp32s_rounding() -> None:
    text = "g (double[64] x) => (double[64] y) { y = Tanh(x) }"
    narrowed = text.replace("y = Tanh(x)", "f = Cast<to = 1>(x) t = Tanh(f) y = Cast<to = 11>(t)")
    evidence = prove(model(text), model(narrowed), numerics=ROUNDING)
    assert evidence.ok
    assert evidence.outputs[0].max_abs > 1e-9
    assert not prove(model(text), model(narrowed), numerics=EXACT).ok


def test_changed_io_is_carried_over_when_declared() -> None:
    rows = np.arange(4, dtype=np.float32).reshape(4, 1)
    before = model(
        "g (uint8[1,4,4,3] x) => (float[1,3] y)"
        " { f = Cast<to = 1>(x) t = Transpose<perm = [0, 3, 1, 2]>(f) s = Mul(t, rows)"
        " r = ReduceMean<axes = [2, 3], keepdims = 0>(s) y = Neg(r) }",
        rows=rows,
    )
    after = model(
        "g (float[1,3,4,4] image) => (float[1,3,1,1] pooled)"
        " { s = Mul(image, rows) r = ReduceMean<axes = [2, 3], keepdims = 1>(s) pooled = Neg(r) }",
        rows=rows,
    )
    changed = {"x": IoChange("image", (0, 2, 3, 1)), "y": IoChange("pooled")}
    assert "input 'x' is missing" in prove(before, after, numerics=ROUNDING).reason
    assert prove(before, after, numerics=ROUNDING, io_changed=changed).ok
    mirrored = {**changed, "x": IoChange("image", (0, 3, 2, 1))}
    assert not prove(before, after, numerics=ROUNDING, io_changed=mirrored).ok


def test_paths_and_external_data_are_taken(tmp_path: Path) -> None:
    for name, proto in (("a", conv()), ("b", conv(1.0))):
        onnx.save(
            proto, tmp_path / f"{name}.onnx", save_as_external_data=True, location=f"{name}.bin", size_threshold=0
        )
    assert prove(tmp_path / "a.onnx", str(tmp_path / "a.onnx"), numerics=EXACT).ok
    assert not prove(tmp_path / "a.onnx", tmp_path / "b.onnx", numerics=ROUNDING).ok
    loose = onnx.load(tmp_path / "a.onnx", load_external_data=False)
    assert prove(loose, loose, numerics=EXACT, base_dir=tmp_path).ok
    assert prove(loose, conv(), numerics=EXACT, base_dir=tmp_path).ok


def test_one_prover_judges_many_candidates_and_runs_the_original_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from dlarewrite.verify import numeric

    loaded: list[object] = []

    class Counted(numeric.Session):
        def __init__(self, source: onnx.ModelProto, **options: Any) -> None:
            loaded.append(source)
            super().__init__(source, **options)

    monkeypatch.setattr(numeric, "Session", Counted)
    before = conv()
    prover = Prover(before)
    assert [prover.prove(conv(delta), numerics=ROUNDING).ok for delta in (0.0, 1.0, 1e-6)] == [True, False, True]
    assert len(loaded) == 4
    assert sum(source is before for source in loaded) == 1


def test_neither_model_is_changed() -> None:
    before, after = conv(), conv(1e-6)
    texts = [proto.SerializeToString() for proto in (before, after)]
    prove(before, after, numerics=ROUNDING)
    assert [proto.SerializeToString() for proto in (before, after)] == texts


def test_evidence_is_json_with_a_stable_schema() -> None:
    failed = prove(
        *edited("g (float[64] x) => (float[64] y) { a = Abs(x) y = Sqrt(a) }", "Sqrt(a)", "Sqrt(x)"), numerics=EXACT
    )
    proven = prove(conv(), conv(), numerics=EXACT)
    plain = [json.loads(json.dumps(e.to_dict(), allow_nan=False)) for e in (failed, proven, not_proven("--verify off"))]
    assert {tuple(p) for p in plain} == {tuple(Evidence(ok=True).to_dict())}
    assert plain[0]["outputs"][0]["where"]
    assert plain[1]["inputs"][0]["shape"] == [1, 3, 8, 8]
    assert (plain[2]["ok"], plain[2]["skipped"]) == (False, "--verify off")
    assert str(proven).startswith("equal (EXACT: within 1 ulp; onnxruntime")
    assert str(failed).startswith("not equal: output 'y'")


def test_infinite_errors_are_none_in_json() -> None:
    zero = model("g (float[64] x) => (float[64] y) <float z = {0}> { y = Mul(x, z) }")
    one = model("g (float[64] x) => (float[64] y) <float z = {1}> { y = Mul(x, z) }")
    assert prove(zero, one, numerics=LOSSY).to_dict()["outputs"][0]["max_rel_of_max"] is None


def test_sequence_outputs_are_compared() -> None:
    def split(axis: int) -> onnx.ModelProto:
        node = helper.make_node("SplitToSequence", ["x"], ["s"], axis=axis, keepdims=1)
        tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
        outputs = [helper.make_value_info("s", helper.make_sequence_type_proto(tensor))]
        graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])], outputs)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    assert [o.name for o in prove(split(0), split(0), numerics=EXACT).outputs] == ["s[0]", "s[1]"]
    assert not prove(split(0), split(1), numerics=EXACT).ok


def test_a_proof_needs_an_input() -> None:
    with pytest.raises(UsageError, match="at least one"):
        prove(conv(), conv(), numerics=EXACT, seeds=())


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_one_failing_sample_of_three_fails_the_proof(failing: int) -> None:
    text = "g (float[4] x) => (float[4] y) <float top = {100}> { y = Min(x, top) }"
    feeds = [{"x": np.full(4, 50 if number == failing else 1, np.float32)} for number in range(3)]
    evidence = prove(model(text), model(text.replace("100", "49")), numerics=ROUNDING, feeds=feeds)
    assert not evidence.ok
    assert evidence.outputs[0].sample == f"sample {failing}"
    assert evidence.outputs[0].max_abs == 1

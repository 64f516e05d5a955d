from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, parser

from dlarewrite.errors import ModelError, UsageError
from dlarewrite.verify import feeds, load_npz, run
from dlarewrite.verify.inputs import Feeder

HEAD = '<ir_version: 8, opset_import: ["" : 18]>'


def model(text: str) -> onnx.ModelProto:
    return parser.parse_model(HEAD + text)


RELU = model("g (float[1,3,16,16] x) => (float[1,3,16,16] y) { y = Relu(x) }")


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    first, again, other = (feeds(RELU, seed)["x"] for seed in (7, 7, 8))
    assert first.dtype == np.float32
    assert first.shape == (1, 3, 16, 16)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_an_input_does_not_depend_on_its_neighbours() -> None:
    both = model("g (float[1,3,16,16] w, float[1,3,16,16] x) => (float[1,3,16,16] y) { y = Add(w, x) }")
    drawn = feeds(both, 0)
    assert np.array_equal(drawn["x"], feeds(RELU, 0)["x"])
    assert not np.array_equal(drawn["x"], drawn["w"])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_floats_reach_both_flat_ends_of_activations_and_zero(seed: int) -> None:
    drawn = feeds(RELU, seed)["x"]
    assert drawn.max() >= 8
    assert drawn.min() <= -8
    assert (drawn == 0).any()
    assert ((np.abs(drawn) > 0) & (np.abs(drawn) < 1)).mean() > 0.2
    assert np.isfinite(drawn).all()


def test_seeds_differ_in_spread() -> None:
    spreads = [np.median(np.abs(feeds(RELU, seed)["x"])) for seed in (0, 1, 2)]
    assert spreads[1] > 2 * spreads[0] > 2 * spreads[2]


def test_bytes_use_their_whole_range() -> None:
    drawn = feeds(model("g (uint8[1,3,64,64] x) => (float[1,3,64,64] y) { y = Cast<to = 1>(x) }"), 0)["x"]
    assert drawn.dtype == np.uint8
    assert (drawn.min(), drawn.max()) == (0, 255)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("g (float[5,3] w, int64[200] k) => (float[200,3] y) { y = Gather(w, k) }", 0, 4),
        ("g (float[3,7] w, int64[3,200] k) => (float[3,200] y) { y = GatherElements<axis = 1>(w, k) }", 0, 6),
        ("g (float[5,3] w, int32[200] i) => (float[200,3] y) { k = Cast<to = 7>(i) y = Gather(w, k) }", 0, 4),
        ("g (int64[200] k) => (float[200,6] y) <int64[1] d = {6}, float[2] v = {0, 1}> { y = OneHot(k, d, v) }", 0, 5),
        ("g (int64[200] k) => (float[200] y) { y = Cast<to = 1>(k) }", 0, 3),
    ],
)
def test_integers_are_valid_indices_for_what_reads_them(text: str, low: int, high: int) -> None:
    proto = model(text)
    drawn = feeds(proto, 0)
    name = proto.graph.input[-1].name
    assert (drawn[name].min(), drawn[name].max()) == (low, high)
    run(proto, drawn)


def test_scattered_rows_are_valid_and_do_not_repeat() -> None:
    proto = model(
        "g (float[4,5,2] d, int64[12,2] k, float[12,2] u) => (float[4,5,2] y) { y = ScatterND(d, k, u) }",
    )
    rows = feeds(proto, 0)["k"]
    assert rows.min() == 0
    assert (rows.max(axis=0) <= [3, 4]).all()
    assert len(np.unique(rows, axis=0)) == 12


@pytest.mark.parametrize(
    "text",
    [
        "g (float[2,6] x, int64[2] s) => (float[3,4] y) { y = Reshape(x, s) }",
        "g (float[1,6] x, int64[2] s) => (float[5,6] y) { y = Expand(x, s) }",
        "g (float[2,6] x, int64[2] s) => (float[4,6] y) { y = Tile(x, s) }",
        "g (float[2,6] x, int64[1] k) => (float[2,3] y, int64[2,3] i) { y, i = TopK(x, k) }",
        "g (float[4,6] x, int64[2] s, int64[2] e) => (float[2,5] y) { y = Slice(x, s, e) }",
        "g (float[4,6] x, int64[4] p) => (float[5,6] y) { y = Pad(x, p) }",
        "g (float[4,6] x, int64[2] s) => (float[4,2] a, float[4,4] b) { a, b = Split<axis = 1>(x, s) }",
        "g (int64[3] s) => (float[2,3,4] y) { y = ConstantOfShape(s) }",
        "g (float[4,6] x, int64[1] a) => (float[4,1] y) { y = ReduceSum(x, a) }",
        "g (float[4,1,6] x, int64[1] a) => (float[4,6] y) { y = Squeeze(x, a) }",
        "g (float[1,1,4,4] x, float[4] s) => (float[1,1,8,8] y) { y = Resize(x, , s) }",
        "g (float[1,1,4,4] x, int64[4] s) => (float[1,1,12,8] y) { y = Resize(x, , , s) }",
        "g (float[1,2,8,8] x, float[3,4] r, int64[3] b) => (float[3,2,1,1] y) { y = RoiAlign(x, r, b) }",
    ],
)
def test_shapes_and_axes_fit_the_operator_and_the_stated_output(text: str) -> None:
    proto = model(text)
    outputs = run(proto, feeds(proto, 0))
    for info in proto.graph.output:
        assert list(outputs[info.name].shape) == [d.dim_value for d in info.type.tensor_type.shape.dim]


@pytest.mark.parametrize(
    "text",
    [
        "g (float[64] x) => (float[64] y) { y = Sqrt(x) }",
        "g (float[64] x) => (float[64] y) { y = Log(x) }",
        "g (float[8,8] x) => (float[64] y) <int64[1] s = {64}> { r = Reshape(x, s) y = Log(r) }",
        "g (float[64] a, float[64] x) => (float[64] y) { y = Div(a, x) }",
        "g (float[64] x) => (float[64] y) <float e = {0.3}> { y = Pow(x, e) }",
        "g (int64[64] a, int64[64] x) => (int64[64] y) { y = Div(a, x) }",
        "g (float[64] x) => (float[64] y) { y = Acos(x) }",
        "g (float16[64] x) => (float16[64] y) { y = Exp(x) }",
        "g (float[1,4,2] x, float[4] s, float[4] b, float[4] m, float[4] v) => (float[1,4,2] y)"
        " { y = BatchNormalization(x, s, b, m, v) }",
    ],
)
def test_operators_with_a_domain_get_finite_results(text: str) -> None:
    proto = model(text)
    for seed in (0, 1, 2):
        assert np.isfinite(run(proto, feeds(proto, seed))["y"]).all()


def test_a_whole_exponent_leaves_negative_bases_in() -> None:
    proto = model("g (float[64] x) => (float[64] y) <float e = {2}> { y = Pow(x, e) }")
    assert feeds(proto, 0)["x"].min() < -1


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "double", "bool", "int8", "uint16", "float8e4m3fn", "int4"])
def test_every_dtype_is_drawn_and_runs(kind: str) -> None:
    text = f'<ir_version: 10, opset_import: ["" : 21]> g ({kind}[32] x) => (float[32] y) {{ y = Cast<to = 1>(x) }}'
    proto = parser.parse_model(text)
    drawn = feeds(proto, 0)["x"]
    assert drawn.dtype == onnx.helper.tensor_dtype_to_np_dtype(proto.graph.input[0].type.tensor_type.elem_type)
    assert np.array_equal(run(proto, {"x": drawn})["y"], drawn.astype(np.float32))


def test_strings_that_are_cast_spell_numbers() -> None:
    proto = model("g (string[8] x) => (float[8] y) { y = Cast<to = 1>(x) }")
    assert np.isfinite(run(proto, feeds(proto, 0))["y"]).all()


def test_overridable_initializers_are_not_fed() -> None:
    proto = model("g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { y = Add(x, w) }")
    proto.graph.input.append(helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [2]))
    assert list(feeds(proto, 0)) == ["x"]


def container(type_proto: onnx.TypeProto, op: str, **attributes: Any) -> onnx.ModelProto:
    node = helper.make_node(op, ["x"], ["y"], **attributes)
    outputs = [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)]
    graph = helper.make_graph([node], "g", [helper.make_value_info("x", type_proto)], outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_sequences_and_optionals_of_tensors_are_drawn() -> None:
    tensor = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [2, 3])
    sequence = container(helper.make_sequence_type_proto(tensor), "ConcatFromSequence", axis=0)
    assert run(sequence, feeds(sequence, 0))["y"].shape == (6, 3)
    optional = container(helper.make_optional_type_proto(tensor), "OptionalGetElement")
    assert run(optional, feeds(optional, 0))["y"].shape == (2, 3)


def test_a_map_is_refused_by_name() -> None:
    tensor = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [2])
    type_proto = onnx.TypeProto()
    type_proto.map_type.key_type = onnx.TensorProto.INT64
    type_proto.map_type.value_type.CopyFrom(tensor)
    with pytest.raises(ModelError, match="input 'x' is a map"):
        feeds(container(type_proto, "Identity"), 0)


def test_symbols_take_given_sizes_and_the_batch_is_one() -> None:
    proto = model("g (float[n,3,h,w] x, float[n,3,h,w] z) => (float[n,3,h,w] y) { y = Add(x, z) }")
    with pytest.raises(UsageError, match="input 'x' has dimensions that are not static") as caught:
        feeds(proto, 0)
    assert "--shape x:1x3x1x1" in caught.value.hint
    drawn = feeds(proto, 0, shapes={"x": (2, 3, 4, 5)})
    assert drawn["z"].shape == (2, 3, 4, 5)
    with pytest.raises(UsageError, match="rank 2"):
        feeds(proto, 0, shapes={"x": (2, 3)})
    batch = model("g (float[n,3] x) => (float[n,3] y) { y = Relu(x) }")
    assert feeds(batch, 0)["x"].shape == (1, 3)


def test_positive_and_smaller_redraws() -> None:
    feeder = Feeder(RELU)
    assert np.abs(feeder.draw(0, 0.25)["x"]).max() <= np.abs(feeder.draw(0)["x"]).max() / 4
    assert feeder.draw(0, positive=True)["x"].min() >= 0


def test_a_shape_beyond_all_memory_is_refused() -> None:
    with pytest.raises(ModelError, match="an input of 1x99999999999 is too large"):
        feeds(model("g (float[1,99999999999] x) => (float[1,99999999999] y) { y = Relu(x) }"), 0)


def test_a_body_of_a_loop_is_looked_into() -> None:
    proto = model(
        """g (int64[3] k, float[5,2] w) => (float[3,3,2] y) <int64 n = {3}, bool go = {1}> {
          y = Loop (n, go) <body = b (int64 i, bool c) => (bool d, float[3,2] r) { d = Identity(c) r = Gather(w, k) }>
        }"""
    )
    drawn = feeds(proto, 0)
    assert drawn["k"].max() <= 4
    assert run(proto, drawn)["y"].shape == (3, 3, 2)


class TestArchive:
    def check(self, tmp_path: Path, **arrays: Any) -> tuple[dict[str, Any], ...]:
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        return load_npz(path, model("g (float[2] x, int64[n] k) => (float[2] y) { y = Relu(x) }"))

    def test_one_sample_by_name(self, tmp_path: Path) -> None:
        (sample,) = self.check(tmp_path, x=np.ones(2, np.float32), k=np.arange(3))
        assert list(sample) == ["x", "k"]

    def test_numbered_samples_share_what_has_no_number(self, tmp_path: Path) -> None:
        first, second = np.zeros(2, np.float32), np.ones(2, np.float32)
        samples = self.check(tmp_path, **{"1/x": second, "0/x": first, "k": np.arange(2)})
        assert [sample["x"][0] for sample in samples] == [0, 1]
        assert all(sample["k"].shape == (2,) for sample in samples)

    def test_every_problem_is_named_in_one_line(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError) as caught:
            self.check(tmp_path, x=np.ones(2), z=np.ones(2))
        assert caught.value.message == (
            "data.npz does not fit the model: z is no input; k is missing; x is float64, expected float32"
        )
        with pytest.raises(UsageError, match=r"x has shape \[3\], expected float 2"):
            self.check(tmp_path, x=np.ones(3, np.float32), k=np.arange(2))

    def test_what_is_no_archive_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "junk.npz").write_bytes(b"no archive")
        for name in ("junk.npz", "absent.npz"):
            with pytest.raises(UsageError, match="cannot read"):
                load_npz(tmp_path / name, RELU)

"""The table of scales and its two files: exact round trips, joining, and one clear line for every bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlarewrite.errors import UsageError
from dlarewrite.precision import cache
from dlarewrite.precision.files import from_json, to_json
from dlarewrite.precision.scales import Certainty, Scale, ScaleTable

HEADER = "TRT-8600-EntropyCalibration2"
LINES = "images: 3c00f9f4\ninput_tensor:0: 3d2\n(Unnamed Layer* 0) [Convolution]_output: 3d00abcd\nz b: 7effffff\n"
CACHE = f"{HEADER}\n{LINES}"


def measured(amax: float, source: str = "min-max") -> Scale:
    return Scale(amax, source, Certainty.MEASURED)


def test_a_scale_is_the_float32_that_a_cache_holds() -> None:
    scale = Scale.from_bits(0x3C00F9F4, "a")
    assert scale.scale == pytest.approx(0.00787, rel=1e-3)
    assert scale.amax == scale.scale * 127
    assert scale.bits == 0x3C00F9F4
    assert Scale(0.1, "b", Certainty.MEASURED).amax == pytest.approx(0.1, rel=1e-7)


@pytest.mark.parametrize("amax", [0.0, -1.0, float("nan"), float("inf"), 1e-45, 1e41])
def test_no_scale_comes_from_an_amax_without_a_float32_step(amax: float) -> None:
    with pytest.raises(UsageError, match="is no amax"):
        Scale(amax, "a", Certainty.MEASURED)


def test_cache_to_table_to_cache_is_byte_exact(tmp_path: Path) -> None:
    table = cache.parse(CACHE)
    assert list(table.scales) == ["images", "input_tensor:0", "(Unnamed Layer* 0) [Convolution]_output", "z b"]
    assert cache.render(table) == CACHE
    path = tmp_path / "t.json"
    table.save(path)
    assert cache.render(ScaleTable.load(path)) == CACHE
    table.save(tmp_path / "calibration.cache")
    assert (tmp_path / "calibration.cache").read_bytes() == CACHE.encode()


def test_a_byte_order_mark_crlf_padding_and_equal_duplicates_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "windows.cache"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\na: 0x3C00F9F4\r\n\r\na: 3c00f9f4\r\n".encode())
    assert cache.render(ScaleTable.load(path)) == f"{HEADER}\na: 3c00f9f4\n"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("a: 7fc00000", "scale of tensor 'a' is nan"),
        ("a: 7f800000", "is inf"),
        ("a: 0", "is 0; it has to be finite and above 0"),
        ("a: bc00f9f4", "is -0.00787"),
        ("a: 3c00f9f4f", "'3c00f9f4f' is not the hex of a float32, for tensor 'a'"),
        ("a: zebra", "'zebra' is not the hex"),
        ("a", "'a' is not 'tensor: hex'"),
        (": 3c00f9f4", "is not 'tensor: hex'"),
        ("b: 3c00f9f5", "a second scale for tensor 'b', 3c00f9f5 after 3c00f9f4 on line 2"),
        ("a: " + "f" * 1_000_000, "f...' is not the hex"),
    ],
)
def test_a_bad_line_is_named_with_its_number(line: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        cache.parse(f"{HEADER}\nb: 3c00f9f4\n{line}\n", "x.cache")
    assert caught.value.message.startswith("x.cache:3: ")
    assert what in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("text", ["", "images: 3c00f9f4\n", "TRT-x\n", "\0\0"])
def test_a_wrong_header_is_said(text: str) -> None:
    with pytest.raises(UsageError, match=r":1: .* is not the header"):
        cache.parse(text)


def test_a_cache_refuses_what_it_cannot_hold() -> None:
    with pytest.raises(UsageError, match="zero point 3"):
        cache.render(ScaleTable({"a": Scale(1, "", Certainty.EXACT, zero_point=3)}))
    with pytest.raises(UsageError, match="cannot hold the tensor name"):
        cache.render(ScaleTable({"a\nb": measured(1)}))
    with pytest.raises(UsageError, match="is not the header"):
        cache.render(ScaleTable({"a": measured(1)}, header="x\ny: 3c00f9f4"))


def test_json_keeps_everything() -> None:
    whole = Scale(0.3, "entropy, 500 samples", Certainty.MEASURED, -0.1, 0.4, 7)
    table = ScaleTable({"a:0": whole, "ü b": measured(2)}, {"n": "fp16"}, "entropy", "abc", HEADER)
    assert from_json(to_json(table)) == table


def entry(**changes: object) -> str:
    given = {"amax": 1.0, **changes}
    return json.dumps(
        {"schema_version": 1, "tensors": {"x": {k: v for k, v in given.items() if v is not None}}}, indent=1
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "t:1: not JSON"),
        ('{"schema_version": 2}', "schema_version is 2"),
        ('{"schema_version": 1, "tensors": []}', "'tensors' is not an object"),
        ('{"schema_version": 1,\n"tensors": {"x": {"amax": NaN}}}', "t:2: 'x': NaN is no amax"),
        ('{"schema_version": 1, "tensors": {"x": {"amax": 1},\n "x": {"amax": 2}}}', "'x' is given twice"),
        ('{"schema_version": 1, "tensors": {"x": {"amax": 1e999}}}', "amax is not finite"),
        ('{"schema_version": 1, "tensors": {"x": 3}}', "expected an object with 'amax'"),
        ('{"schema_version": 1, "layer_precisions": {"n": "int4"}}', "layer 'n' has precision 'int4'"),
        (entry(amax=0), "t:4: tensor 'x': 0.0 is no amax"),
        (entry(amax=-1), "-1.0 is no amax"),
        (entry(amax="1"), "amax is '1', and no number"),
        (entry(amax=True), "amax is True, and no number"),
        (entry(amax=None), "expected an object with 'amax'"),
        (entry(scale="zz"), "scale 'zz' is not the hex of a float32"),
        (entry(scale="3c00f9f4ff"), "is not the hex of a float32"),
        (entry(scale="3c00f9f4"), "amax 1.0 and scale '3c00f9f4' disagree"),
        (entry(certainty="sure"), "certainty 'sure' is none of exact, measured"),
        (entry(zero_point=300), "zero_point is 300"),
        (entry(amux=1), "unknown field 'amux'"),
    ],
)
def test_bad_json_is_one_clear_line(text: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_json(text, "t")
    assert what.replace("'x': NaN", "NaN") in caught.value.message
    assert "\n" not in caught.value.message


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read scales"):
        ScaleTable.load(tmp_path / "none")
    with pytest.raises(UsageError, match="cannot read scales"):
        ScaleTable.load(tmp_path)
    binary = tmp_path / "m.onnx"
    binary.write_bytes(b"\x08\x09\xff\xfe")
    with pytest.raises(UsageError, match="neither JSON nor a calibration cache"):
        ScaleTable.load(binary)
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(2 << 30)
    with pytest.raises(UsageError, match="no table of scales is that large"):
        ScaleTable.load(huge)


def test_the_surer_scale_wins_and_the_other_is_reported() -> None:
    one = ScaleTable({"a": measured(1), "b": measured(2), "c": measured(5)}, {"n": "int8"}, "min-max", "m1")
    exact = Scale(3, "Q/DQ", Certainty.EXACT)
    two = ScaleTable({"a": exact, "b": measured(4), "c": measured(5, "again")}, {"n": "fp16"}, "entropy", "m2")
    joined, found = one.merge(two)
    assert {k: s.amax for k, s in joined.scales.items()} == pytest.approx({"a": 3, "b": 4, "c": 5}, rel=1e-6)
    assert [(c.tensor, c.why) for c in found] == [
        ("a", "exact is surer than measured"),
        ("b", "the larger clips nothing"),
    ]
    assert (joined.layer_precisions, joined.method, joined.model) == ({"n": "fp16"}, "min-max; entropy", "")


def test_names_that_meet_are_merged() -> None:
    table, found = ScaleTable({"a": measured(1), "b": measured(2)}).renamed({"a": "b"})
    assert table.scales["b"].amax == pytest.approx(2, rel=1e-6)
    assert [str(c).startswith("b: 1 (min-max) against 2 (min-max)") for c in found] == [True]

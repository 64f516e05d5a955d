"""--shape in every spelling that users of other tools know."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlarewrite.cli.shapes import Shape, parse, resolve
from dlarewrite.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("images:1x3x640x640", [("images", (1, 3, 640, 640))]),
        ("images:1,3,640,640", [("images", (1, 3, 640, 640))]),
        ("images:[1,3,640,640]", [("images", (1, 3, 640, 640))]),
        ("images:[1, 3, 640, 640]", [("images", (1, 3, 640, 640))]),
        ("input:0:1x3x8x8", [("input:0", (1, 3, 8, 8))]),
        ("a/b:c:d:1x3", [("a/b:c:d", (1, 3))]),
        ("1x3x640x640", [("", (1, 3, 640, 640))]),
        ("1,3,640,640", [("", (1, 3, 640, 640))]),
        ("[1,3,640,640]", [("", (1, 3, 640, 640))]),
        ("length:7", [("length", (7,))]),
        ("a:1x3x8x8,b:1x4", [("a", (1, 3, 8, 8)), ("b", (1, 4))]),
        ("a:[1,3],b:[1,4],c:5", [("a", (1, 3)), ("b", (1, 4)), ("c", (5,))]),
        ("a:1,3,b:1,4", [("a", (1, 3)), ("b", (1, 4))]),
        ("x:0:1x3,y:1:2x4", [("x:0", (1, 3)), ("y:1", (2, 4))]),
    ],
)
def test_spellings(text: str, expected: list[tuple[str, tuple[int, ...]]]) -> None:
    assert [(shape.name, shape.dims) for shape in parse(text)] == expected


@pytest.mark.parametrize(
    "text", ["", "images", "images:", "images:1x", "images:axb", "images:1x-3", "images:0x3", "input:0"]
)
def test_what_is_no_shape(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert "1x3x640x640" in caught.value.hint


@pytest.mark.parametrize("shape", [Shape("input:0", (1, 3)), Shape("", (4, 5, 6)), Shape("a", (1,))])
def test_a_shape_reads_back(shape: Shape) -> None:
    assert parse(str(shape)) == (shape,)


def test_dims_alone_go_to_the_only_input(model: Path) -> None:
    assert resolve(parse("1x8x8x8"), model) == {"images": (1, 8, 8, 8)}


def test_dims_alone_with_two_inputs(tmp_path: Path) -> None:
    from conftest import make

    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,2] a, float[1,2] b) => (float[1,2] y) { y = Add(a, b) }'
    with pytest.raises(UsageError, match="names no input, and the model has 2") as caught:
        resolve(parse("1x2"), make(text, tmp_path / "two.onnx"))
    assert "a, b" in caught.value.hint


def test_two_shapes_for_one_input(model: Path) -> None:
    with pytest.raises(UsageError, match="given two shapes: 1x2 and 1x3"):
        resolve((*parse("a:1x2"), *parse("a:1x3")), model)


def test_dynamic_input_is_frozen(run, dynamic: Path, tmp_path: Path) -> None:
    import onnx

    for number, word in enumerate(("images:1x8x8x8", "images:1,8,8,8", "images:[1,8,8,8]", "1x8x8x8")):
        out = tmp_path / f"out{number}.onnx"
        result = run("optimize", dynamic, out, "--shape", word)
        assert result.exit_code == 0, result.stderr
        dims = onnx.load(out).graph.input[0].type.tensor_type.shape.dim
        assert [d.dim_value for d in dims] == [1, 8, 8, 8]

"""Calibration data: numpy files, functions and pictures become feeds, in a fixed order, or one clear line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dlarewrite.errors import ModelError, UsageError
from dlarewrite.ir.model import Model
from dlarewrite.precision.images import Preprocess, parse_scale
from dlarewrite.precision.preview import write_preview
from dlarewrite.precision.source import open_data
from dlarewrite.testing import parse


def net(inputs: str = "float[1,3,8,10] x") -> Model:
    first = inputs.split(",")[-1].split()[-1] if inputs.count(" ") == 1 else inputs.split()[1].rstrip(",")
    kind = inputs.split()[0]
    return Model.load(
        parse(f'<ir_version: 8, opset_import: ["" : 17]> g ({inputs}) => ({kind} y) {{ y = Relu({first}) }}')
    )


def ramp(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def labels(spec: object, model: Model, start: int = 0) -> list[str]:
    return [sample.label for sample in open_data(str(spec), model)[0].begin(start)]


def picture(path: Path, size: tuple[int, int] = (40, 20), colour: Any = (255, 128, 0)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def test_npz_forms(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", x=ramp(1, 3, 8, 10))
    np.savez(tmp_path / "many.npz", x=ramp(4, 3, 8, 10))
    np.savez(tmp_path / "numbered.npz", **{f"{n}/x": ramp(1, 3, 8, 10) + n for n in (0, 2, 10)})
    np.save(tmp_path / "plain.npy", ramp(2, 3, 8, 10))
    model = net()
    assert labels(tmp_path / "one.npz", model) == ["one.npz"]
    assert labels(tmp_path / "many.npz", model) == [f"many.npz[{n}]" for n in range(4)]
    assert labels(tmp_path / "numbered.npz", model) == ["numbered.npz:0", "numbered.npz:2", "numbered.npz:10"]
    found, _ = open_data(str(tmp_path), model)
    assert found.count == 10
    everything = [sample.feed["x"] for sample in found.begin(0)]
    assert all(array.shape == (1, 3, 8, 10) for array in everything)
    for start in range(10):
        for expected, sample in zip(everything[start:], found.begin(start), strict=True):
            assert (sample.feed["x"] == expected).all()
    assert (everything[2] == ramp(4, 3, 8, 10)[2:3]).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": ramp(1, 3, 8, 10)}, "z is no input; x is missing"),
        ({"x": ramp(1, 3, 8, 9)}, "x has shape .1, 3, 8, 9., expected float 1x3x8x10"),
        ({"x": ramp(1, 3, 8, 10).astype(np.uint8)}, "x is uint8, expected float32"),
        ({"x": np.full((1, 3, 8, 10), np.nan, np.float32)}, "x holds NaN"),
        ({"x": np.full((1, 3, 8, 10), np.inf, np.float32)}, "x holds infinity"),
        ({"x": ramp(3, 8, 10)}, "x has shape"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(UsageError, match=f"data.npz does not fit the model: .*{message}") as raised:
        labels(tmp_path / "data.npz", net())
    assert raised.value.hint == "the model's inputs: x (float 1x3x8x10)"


def test_what_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 not really")
    (tmp_path / "data.txt").write_text("1 2 3")
    (tmp_path / "empty").mkdir()
    model = net()
    for spec, message in (
        ("broken.npz", "as a numpy file"),
        ("data.txt", "neither a numpy file nor a picture"),
        ("empty", "holds no pictures"),
        ("nowhere", "does not exist"),
        ("none.py:f", "does not exist"),
        ("no.such.module:f", "there is no data"),
    ):
        with pytest.raises(UsageError, match=message):
            labels(spec if ":" in spec and "py" not in spec else tmp_path / spec, model)
    picture(tmp_path / "a.png")
    with pytest.raises(UsageError, match="both pictures and arrays"):
        labels(tmp_path, model)


FUNCTIONS = """
import numpy as np
def good():
    for n in range(3):
        yield {"x": np.full((1, 3, 8, 10), n, np.float32)}
def bare():
    return [np.zeros((1, 3, 8, 10), np.float32)]
def raises():
    yield {"x": np.zeros((1, 3, 8, 10), np.float32)}
    raise OSError("disk is gone")
def wrong():
    return ["text"]
def other():
    return [{"z": np.zeros(3)}]
def number():
    return 7
constant = 3
"""


def test_functions(tmp_path: Path) -> None:
    script = tmp_path / "loader.py"
    script.write_text(FUNCTIONS)
    model = net()
    assert labels(f"{script}:good", model, 1) == [f"{script}:good[1]", f"{script}:good[2]"]
    assert len(labels(f"{script}:bare", model)) == 1
    for name, message in (
        ("raises", "raised OSError: disk is gone"),
        ("wrong", "str is no feed"),
        ("other", "z is no input; x is missing"),
        ("number", "raised TypeError"),
        ("constant", "is a int, not a function"),
        ("nothing", "has no 'nothing'"),
    ):
        with pytest.raises(UsageError, match=message):
            labels(f"{script}:{name}", model)


def test_pictures_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("b/1.png", "a/2.JPG", "a/10.png", "c.png", ".hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture(tmp_path / name)
    (tmp_path / "readme.txt").write_text("not a picture")
    assert labels(tmp_path, net()) == ["10.png", "2.JPG", "1.png", "c.png"]
    assert labels(tmp_path, net("float[3,3,8,10] x")) == ["10.png … 1.png"]
    with pytest.raises(UsageError, match="batch is 5, and there are 4 pictures"):
        labels(tmp_path, net("float[5,3,8,10] x"))


def test_pixels_are_scaled_then_normalised_by_channel_and_order(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    how = Preprocess((8, 10), mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0))
    values = how.read(path)
    assert values.shape == (3, 8, 10) and values.dtype == np.float32
    assert values[:, 0, 0] == pytest.approx([1.0, 128 / 255 - 0.25, 0.0], abs=1e-6)
    assert Preprocess((8, 10), order="bgr").read(path)[:, 0, 0] == pytest.approx([0, 128 / 255, 1], abs=1e-6)
    assert Preprocess((8, 10), layout="nhwc", scale=1.0).read(path)[0, 0] == pytest.approx([255, 128, 0])
    assert Preprocess((8, 10), order="gray", scale=1.0).read(path).shape == (1, 8, 10)
    for order in ("rgb", "bgr"):
        for layout in ("nchw", "nhwc"):
            there = Preprocess((8, 10), layout, order, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
            assert (there.pixels(there.read(path)) == np.array([255, 128, 0])).all()


def test_fits(tmp_path: Path) -> None:
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 255
    path = tmp_path / "wide.png"
    Image.fromarray(wide).save(path)
    crop = Preprocess((20, 20), scale=1.0).read(path)
    assert (crop == 255).all()
    assert Preprocess((20, 20), scale=1.0, fit="stretch").read(path)[0, 10].mean() == pytest.approx(85, abs=3)
    boxed = Preprocess((30, 30), scale=1.0, fit="letterbox", fill=7).read(path)
    assert (boxed[:, :10] == 7).all() and (boxed[:, 20:] == 7).all() and boxed[0, 15, 15] == 255
    larger = Preprocess((10, 10), scale=1.0, resize=20).read(path)
    assert larger.shape == (3, 10, 10) and (larger == 255).all()
    with pytest.raises(UsageError, match="--resize 5"):
        Preprocess((10, 10), resize=5)


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(tmp_path / "b.jpg").read_bytes()[:50])
    with pytest.raises(ModelError, match=r"cannot read picture .*a\.jpg"):
        labels(tmp_path, net())


@pytest.mark.parametrize(
    ("inputs", "chosen", "message"),
    [
        ("float[1,3,8,10] x, float[1] z", {}, "pictures feed a model with one input"),
        ("float[1,7,8,10] x", {}, "takes no pictures"),
        ("float[1,3,8,10] x", {"layout": "nhwc"}, "takes no pictures in layout nhwc"),
        ("float[1,3,8,10] x", {"size": (9, 9)}, "takes 8x10, --size is 9x9"),
        ("float[1,3,8,10] x", {"order": "gray"}, "has 3 channels, --order is gray"),
        ("float[1,3,8,10] x", {"mean": (1.0, 2.0)}, "--mean has 2 values"),
        ("float[1,3,8,10] x", {"std": (0.0,)}, "standard deviation of 0"),
    ],
)
def test_models_and_options_that_do_not_go_with_pictures(
    tmp_path: Path, inputs: str, chosen: dict[str, Any], message: str
) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(UsageError, match=message):
        open_data(str(tmp_path), net(inputs), chosen)


def test_the_preview_shows_what_the_network_gets(tmp_path: Path) -> None:
    how = Preprocess((8, 10), order="bgr", mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    paths = [picture(tmp_path / f"{n}.png", colour=(50 * n, 100, 10)) for n in range(3)]
    write_preview([how.read(path) for path in paths], how, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape == (8 + 4 + 8, 10 + 4 + 10, 3)
    assert pixels[0, 0].tolist() == [0, 100, 10] and pixels[0, 14].tolist() == [50, 100, 10]
    assert pixels[12, 0].tolist() == [100, 100, 10] and pixels[9, 0].tolist() == [255, 255, 255]


def test_factors() -> None:
    assert parse_scale("1/255") == 1 / 255 and parse_scale("0.5") == 0.5
    for text in ("", "a", "1/x", "0", "nan", "1//2"):
        with pytest.raises(ValueError):
            parse_scale(text)

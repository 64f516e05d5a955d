from __future__ import annotations

import pytest

from dlarewrite.explain.versions import choose, version_in
from dlarewrite.target.layer_names import anonymous, ends, foreign, is_reformat, old_regions, parts, stems


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Conv_0 + Relu_1", ("Conv_0", "Relu_1")),
        ("/cv1/Conv || /cv2/Conv", ("/cv1/Conv", "/cv2/Conv")),
        ("PWN(/act/Sigmoid)", ("/act/Sigmoid",)),
        ("PWN(PWN(a, PWN(b/y:0_clone_1 + (Unnamed Layer* 481) [Shuffle], c)), d)",
         ("a", "b/y:0_clone_1", "(Unnamed Layer* 481) [Shuffle]", "c", "d")),
        ("name (v2) + other", ("name (v2)", "other")),
        ("Tanh_3", ("Tanh_3",)),
        ("", ()),
        (" + ", ("+",)),
    ],
)  # fmt: skip
def test_parts(name: str, expected: tuple[str, ...]) -> None:
    assert parts(name) == expected


def test_a_known_name_with_separators_is_not_taken_apart() -> None:
    known = {"a + b", "c"}.__contains__
    assert parts("a + b", known) == ("a + b",)
    assert parts("c + a + b", known) == ("c", "a + b")


def test_foreign_takes_the_outer_brackets() -> None:
    inside = foreign("{ForeignNode[/fc/Gemm + (Unnamed Layer* 125) [ElementWise]]} successfully")
    assert inside == "/fc/Gemm + (Unnamed Layer* 125) [ElementWise]"
    assert foreign("Conv_0") is None
    assert foreign("{ForeignNode[cut off") is None
    assert foreign("]} {ForeignNode[") is None


@pytest.mark.parametrize(
    ("inside", "names", "expected"),
    [
        ("Conv_0...Relu_9", {"Conv_0", "Relu_9"}, ("Conv_0", "Relu_9")),
        ("Conv_0", set(), ("Conv_0", "Conv_0")),
        ("a...b...c", {"a...b", "c"}, ("a...b", "c")),
        ("a...b...c", {"a", "b...c"}, ("a", "b...c")),
        ("x...y", {"x...y"}, ("x...y", "x...y")),
        ("/c/Conv + /c/Relu.../d/Conv", {"/c/Conv", "/d/Conv"}, ("/c/Conv + /c/Relu", "/d/Conv")),
    ],
)
def test_ends(inside: str, names: set[str], expected: tuple[str, str]) -> None:
    assert ends(inside, names.__contains__) == expected


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("conv [Convolution]", "conv"),
        ("/model.23/Split_25", "/model.23/Split"),
        ("reshape_after_/fc/Gemm", "/fc/Gemm"),
        ("283 copy", "283"),
        ("y:0_clone_1", "y"),
        ("x_output", "x"),
    ],
)
def test_stems(name: str, stem: str) -> None:
    found = [text for text, _ in stems(name)]
    assert found[0] == name
    assert stem in found


def test_stems_of_a_plain_name_are_the_name() -> None:
    assert list(stems("conv")) == [("conv", "name")]


def test_anonymous() -> None:
    assert anonymous("(Unnamed Layer* 10) [Slice]") == "Slice"
    assert anonymous("(Unnamed Layer* 481) [Shuffle]_output") == "Shuffle"
    assert anonymous("ONNXTRT_Broadcast") == "layer"
    assert not anonymous("Unnamed")
    assert is_reformat("Reformatting CopyNode for Input Tensor 0 to {ForeignNode[a]}")
    assert not is_reformat("Reshape_1")


def test_old_regions() -> None:
    assert old_regions("{conv_1,batch_norm_1}, {conv_2}, {}") == ("conv_1,batch_norm_1", "conv_2")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v8502] # trtexec", (8, 5, 2)),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v8612] # trtexec", (8, 6, 12)),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v7103] # trtexec", (7, 1, 3)),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v100300] [b26] # trtexec", (10, 3, 0)),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v110401] # trtexec", (11, 4, 1)),
        ("TensorRT version: 8.6.1", (8, 6, 1)),
        ("TensorRT version 5.0.0", (5, 0, 0)),
        ("starting export with TensorRT 8.5.2.2...", (8, 5, 2, 2)),
        ("&&&& RUNNING TensorRT.trtexec # trtexec", ()),
        ("TensorRT 10 is new", ()),
    ],
)
def test_version(text: str, version: tuple[int, ...]) -> None:
    assert version_in(text) == version


@pytest.mark.parametrize(
    ("version", "device", "target", "assumes"),
    [
        ((8, 2, 1), "Xavier", "xavier-jp4", False),
        ((8, 5, 2), "Xavier", "xavier-jp5", False),
        ((8, 5, 2), "Orin", "orin-jp5", False),
        ((8, 5, 2), "", "orin-jp5", True),
        ((8, 6, 2), "", "orin-jp6.0", False),
        ((8, 6, 12), "", "drive-orin-6.0.9", False),
        ((10, 3, 0), "Orin", "orin-jp6", False),
        ((11, 4, 1), "", "agx-orin-jp7", False),
        ((7, 1, 3), "Xavier", "xavier-jp4", True),
        ((8, 4, 1), "Orin", "orin-jp5", True),
        ((10, 7, 0), "", "orin-jp6", True),
    ],
)
def test_choose(version: tuple[int, ...], device: str, target: str, assumes: bool) -> None:
    profile, assumed = choose(version, device, None, None)
    assert (profile.name, bool(assumed)) == (target, assumes)


def test_choose_by_the_sentences_alone() -> None:
    assert choose((), "", None, (8, 2))[0].name == "xavier-jp4"
    profile, assumed = choose((), "", (8, 4), None)
    assert profile.name == "orin-jp6"
    assert "--target" in assumed
    assert choose((), "", (10, 15), None)[0].name == "agx-orin-jp7"

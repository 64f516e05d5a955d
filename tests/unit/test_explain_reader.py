from __future__ import annotations

import io
from pathlib import Path

import pytest

from dlarewrite.errors import UsageError
from dlarewrite.explain import Reader, Reading, open_log, read_lines
from dlarewrite.explain.lines import LONGEST

LOGS = Path(__file__).parents[1] / "logs"


def read(data: bytes | str) -> Reading:
    raw = data.encode() if isinstance(data, str) else data
    return Reader().read(read_lines(io.BytesIO(raw), "log"))


def read_file(name: str) -> Reading:
    with open_log(LOGS / name) as stream:
        return Reader().read(read_lines(stream, name))


def rules(reading: Reading) -> dict[str, tuple[str, ...]]:
    return {layer.name: tuple(r for said in layer.said for r in said.rules) for layer in reading.refused}


def test_tensorrt_8_2() -> None:
    found = read_file("trt82_xavier.log")
    assert (found.version, found.device, found.outcome, found.precision) == ((8, 2, 1), "Xavier", "passed", "fp16")
    assert rules(found) == {
        "Reshape_3": (),
        "Transpose_4": (),
        "Reshape_5": (),
        "(Unnamed Layer* 10) [Slice]": (),
        "Concat_6": ("CAT-N",),
        "Mul_7": ("GEN-BATCH-OLD", "GEN-BATCH"),
        "(Unnamed Layer* 12) [Gather]": ("GEN-DTYPE",),
        "Conv_8": ("GEN-STATIC",),
    }
    assert all(layer.left for layer in found.refused)
    assert [region.name for region in found.regions] == ["Conv_0...MaxPool_2"]
    assert (found.until, found.strange) == ((8, 2), ())


def test_tensorrt_8_5() -> None:
    found = read_file("trt85_orin.log")
    assert (found.version, found.outcome, found.precision) == ((8, 5, 2), "failed", "int8")
    assert found.shapes == {"input": (1, 3, 64, 64)}
    assert found.candidates == (2, 3)
    assert [(r.name, r.compiled) for r in found.regions] == [("/enc/Conv.../enc/Relu", True), ("/dec/Conv", False)]
    assert rules(found)["/mid/Conv"] == ("CONV-CBUF", "CONV-CBUF-WARN")
    assert rules(found)["/head/Reshape"] == ("SHUF-NEIGH",)
    assert rules(found)["/head/Concat"] == ("CAT-AXIS",)
    capped = [layer.name for layer in found.layers if layer.capped]
    assert capped == ["/fuse2/act_1/Relu"]
    assert found.scales.count == 2
    assert [(e.said.pattern.id, e.region) for e in found.failures] == [
        ("no-implementation", "{ForeignNode[/dec/Conv]}")
    ]
    assert not found.strange


def test_tensorrt_8_6() -> None:
    found = read_file("trt86_orin.log")
    assert found.version == (8, 6, 2)
    assert not found.placed
    assert rules(found)["/model.22/Div_1"] == ("EW-DIV",)
    assert rules(found)["/model.22/Slice_1"] == ("SLICE-4D",)
    assert rules(found)["/model.22/Ceil"] == ("UNARY-NO",), "a reason without a name belongs to the layer that follows"
    assert {layer.name: layer.type for layer in found.layers}["/model.22/dfl/MatMul"] == "MATRIX_MULTIPLY"
    assert [s.text for s in found.strange] == ["The frobnication of DLA core 7 was postponed."]


def test_tensorrt_10_3() -> None:
    found = read_file("trt103_orin.log")
    assert (found.version, found.device) == ((10, 3, 0), "Orin")
    assert rules(found)["/avgpool/GlobalAveragePool"] == ("RED-AVG", "RED-MAX")
    assert rules(found)["/wide/Relu"] == ("GEN-DIM",)
    assert [r.name for r in found.regions] == [
        "/conv1/Conv.../layer1/relu/Relu",
        "/fc/Gemm + (Unnamed Layer* 125) [ElementWise]",
    ]
    assert all(region.compiled for region in found.regions)
    assert found.reformats == 1
    assert {layer.name: layer.left for layer in found.layers}["/fc/Gemm"] is False, "a Shuffle beside it left, not it"


UNSUPPORTED = "Layer '/a/Reshape' (SHUFFLE): Unsupported on DLA. Switching this layer's device type to GPU."


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "[12/31/2024-10:11:12] [W] [TRT] ",
        "[12/31/2024-10:11:12] [TRT] [W] ",
        "[12/31/2024-10:11:12] [12/31/2024-10:11:12] [W] [TRT] ",
        "12/31/2024-10:11:12] [W] [TRT] ",
        "[TRT] [W] ",
        "[W] [TRT] ",
        "WARNING: [TRT]: ",
        "[TensorRT] WARNING: ",
        "[2024-12-31 10:11:12 WARNING] ",
        "2024-12-31 10:11:12.123456 [W:onnxruntime:Default, provider.h:28 log] [2024-12-31 10:11:12 WARNING] ",
        "WARNING: [Torch-TensorRT TorchScript Conversion Context] - ",
        "> [W] [TRT] ",
        "#[02/19/2022-05:35:26] [I] [TRT] ",
        "\x1b[33m[12/31/2024-10:11:12] [W] [TRT] \x1b[0m",
    ],
)
def test_prefixes(prefix: str) -> None:
    found = read(f"{prefix}{UNSUPPORTED}\n")
    assert [(layer.name, layer.type, layer.left) for layer in found.layers] == [("/a/Reshape", "SHUFFLE", True)]


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.encode() + b"\n\xff\xfe broken bytes \xc3\n",
    ],
)
def test_encodings_and_line_ends(encode: object) -> None:
    text = f"[W] [TRT] {UNSUPPORTED}\n[W] [TRT] {UNSUPPORTED.replace('/a/', '/b/')}\n"
    found = read(encode(text))  # type: ignore[operator]
    assert [layer.name for layer in found.layers] == ["/a/Reshape", "/b/Reshape"]


def test_a_reading_does_not_depend_on_where_chunks_end() -> None:
    text = "".join(f"[W] [TRT] {UNSUPPORTED.replace('/a/', f'/n{i}/')}\r\n" for i in range(3000))
    found = read(text)
    assert (found.lines, len(found.layers)) == (3000, 3000)
    assert found.layers[-1].name == "/n2999/Reshape"


def test_repeats_are_one_layer() -> None:
    found = read(f"[W] [TRT] {UNSUPPORTED}\n" * 50)
    assert [(layer.count, layer.line) for layer in found.layers] == [(50, 1)]


@pytest.mark.parametrize(
    "cut", ["'/a/Reshape' (SHUFFLE): Unsupported on DLA. Swit", "'/a/Reshape' (SHUFFLE): Unsupported on DLA"]
)
def test_a_cut_off_end_is_enough(cut: str) -> None:
    assert [layer.name for layer in read(f"[W] [TRT] Layer {cut}").layers] == ["/a/Reshape"]


def test_a_line_that_a_terminal_broke_is_joined() -> None:
    text = "[W] [TRT] Default DLA is enabled but layer Tran\nspose__560 is not supported on DLA, falling back to GPU.\n"
    found = read(text)
    assert [layer.name for layer in found.layers] == ["Transpose__560"]
    assert not found.strange


def test_a_strange_line_does_not_swallow_the_next() -> None:
    found = read(f"The DLA hums.\n{UNSUPPORTED}\n")
    assert [layer.name for layer in found.layers] == ["/a/Reshape"]
    assert [s.text for s in found.strange] == ["The DLA hums."]


def test_a_nameless_reason_far_from_a_refusal_is_nobodys() -> None:
    near = "Unary operation: CEIL is not supported on DLA\n"
    other = "".join(f"[V] [TRT] {{ForeignNode[c{i}]}} successfully offloaded to DLA.\n" for i in range(6))
    assert read(near + UNSUPPORTED).layers[0].said
    assert not read(near + other + UNSUPPORTED).layers[0].said


def test_old_lists_of_tensorrt_7() -> None:
    found = read(
        "INFO: [TRT]: \n"
        "INFO: [TRT]: --------------- Layers running on DLA: \n"
        "INFO: [TRT]: {conv_1,batch_norm_1}, {conv_2}, \n"
        "INFO: [TRT]: --------------- Layers running on GPU: \n"
        "INFO: [TRT]: leaky_1, route_3, (Unnamed Layer* 10) [Slice], \n"
        "INFO: [TRT]: Tactic 0 time 0.1, DLA\n"
    )
    assert [(r.name, r.layers) for r in found.regions] == [
        ("conv_1,batch_norm_1", ("conv_1", "batch_norm_1")),
        ("conv_2", ()),
    ]
    assert [layer.name for layer in found.layers] == ["leaky_1", "route_3", "(Unnamed Layer* 10) [Slice]"]
    assert all(layer.listed for layer in found.layers)


def test_a_log_without_dla_is_not_about_it() -> None:
    found = read("&&&& RUNNING TensorRT.trtexec [TensorRT v8502] # trtexec --onnx=m.onnx\n[I] DLACore: \n[I] ok\n")
    assert not found.about_dla
    assert found.lines == 3


@pytest.mark.parametrize("data", [b"", b" \n\t\n"])
def test_empty(data: bytes) -> None:
    with pytest.raises(UsageError, match="is empty"):
        read(data)


@pytest.mark.parametrize(
    "data", [b"\x08\x07\x12\x04test\x1a\x00\x00", bytes(range(256)) * 8, b"\x1f\x8b\x08\x00\x00\x01\x02\x03" * 20]
)
def test_binary(data: bytes) -> None:
    with pytest.raises(UsageError, match="is not text"):
        read(data)


def test_a_folder_or_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="folder"):
        open_log(tmp_path)
    with pytest.raises(UsageError, match="cannot read"):
        open_log(tmp_path / "none.log")


@pytest.mark.parametrize(
    "line",
    [
        "[W] [TRT] " + "DLA : " * 400_000,
        "{ForeignNode[" * 200_000,
        "[DlaLayer] {ForeignNode[" + "." * 900_000 + "]}",
        "[GpuLayer] " + "PWN(" * 250_000,
        "x: DLA only supports " + "y: DLA " * 150_000,
        "a" * (LONGEST + 10) + " DLA",
    ],
    ids=["colons", "braces", "dots", "calls", "kin", "long"],
)
def test_hostile_lines_stay_small_and_quick(line: str) -> None:
    found = read(line * 2 + "\n" + f"[W] [TRT] {UNSUPPORTED}\n")
    assert found.layers[-1].name == "/a/Reshape"
    assert all(len(layer.name) <= 4096 for layer in found.layers)
    assert all(len(region.name) <= 4096 for region in found.regions)


def test_layers_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlarewrite.explain.named.MOST", 3)
    found = read("".join(f"Layer 'l{i}' (SLICE): Unsupported on DLA.\n" for i in range(10)))
    assert (len(found.layers), found.lost) == (3, 7)

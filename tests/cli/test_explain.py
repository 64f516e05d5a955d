from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.cli.main import program
from dlarewrite.target import rulebook

LOGS = Path(__file__).parents[1] / "logs"


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = program.main([str(word) for word in words], standalone_mode=False)
    out, err = capsys.readouterr()
    return int(code), out, err


def model(path: Path) -> Path:
    """The network of trt103_orin.log: Conv, Relu, Conv, Relu, GlobalAveragePool, Flatten, Gemm."""
    weight = np.zeros((8, 8, 3, 3), np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "/conv1/Conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], "/relu/Relu"),
        helper.make_node("Conv", ["b", "w"], ["c"], "/layer1/conv/Conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["d"], "/layer1/relu/Relu"),
        helper.make_node("GlobalAveragePool", ["d"], ["e"], "/avgpool/GlobalAveragePool"),
        helper.make_node("Flatten", ["e"], ["f"], "/Flatten"),
        helper.make_node("Gemm", ["f", "m"], ["y"], "/fc/Gemm"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.zeros((8, 4), np.float32), "m")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("rule", [rule.id for rule in rulebook()])
def test_every_rule_has_a_page(capsys: pytest.CaptureFixture[str], rule: str) -> None:
    code, out, _ = run(capsys, "explain", rule)
    assert code == 0
    assert out.startswith(f"{rule}: {rulebook().get(rule).title}\n")
    for part in ("Asks", "Evidence", "Cure", "Sources"):
        assert part in out


@pytest.mark.parametrize("word", ["conv-kernel", "DLA-CONV-KERNEL", "CONV-KERNEL"])
def test_spellings_of_a_rule(capsys: pytest.CaptureFixture[str], word: str) -> None:
    code, out, _ = run(capsys, "explain", word)
    assert code == 0
    assert "kernel height and kernel width must be in [1, 32]" in out


def test_a_rule_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "explain", "RED-AVG", "--json")
    page = json.loads(out)
    assert (code, page["rule"], page["evidence"]) == (0, "RED-AVG", "log")
    assert page["log"][0]["example"].endswith("DLA cores do not support AVG Reduce operation.")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["CONV-KERNLE"], "neither a rule nor a file"),
        (["no/such/build.log"], "neither a rule nor a file"),
        (["CONV-KERNEL", "--onnx", "m.onnx"], "--onnx goes with a build log"),
        ([LOGS], "is a folder"),
        ([LOGS / "trt86_orin.log", "--target", "jetson-nano"], "jetson-nano"),
        ([LOGS / "trt86_orin.log", "--onnx", "none.onnx"], "does not exist"),
        ([], "Missing argument"),
    ],
)
def test_wrong_requests(capsys: pytest.CaptureFixture[str], words: list[Any], said: str) -> None:
    code, out, err = run(capsys, "explain", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert sum(line.startswith("[E]") for line in err.splitlines()) == 1


def test_a_wrong_rule_gets_an_offer(capsys: pytest.CaptureFixture[str]) -> None:
    assert "CONV-KERNEL" in run(capsys, "explain", "CONV-KERNLE")[2]


@pytest.mark.parametrize(("data", "said"), [(b"", "is empty"), (b"\x08\x07\x00\x01", "is not text")])
def test_no_log(capsys: pytest.CaptureFixture[str], tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "build.log"
    path.write_bytes(data)
    code, out, err = run(capsys, "explain", path)
    assert (code, out) == (2, "")
    assert said in err


def test_a_model_in_place_of_a_log(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capsys, "explain", model(tmp_path / "net.onnx"))
    assert code == 2
    assert "dlarewrite check" in err


def test_a_log_without_dla(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "build.log"
    path.write_text("&&&& RUNNING TensorRT.trtexec [TensorRT v8502] # trtexec --onnx=m.onnx --fp16\n[I] fine\n")
    code, out, _ = run(capsys, "explain", path)
    assert code == 0
    assert "none says anything about the DLA" in out
    assert "--useDLACore=0" in out
    assert "--verbose" in out


@pytest.mark.parametrize(
    ("log", "target", "parts"),
    [
        ("trt82_xavier.log", "xavier-jp4", ["refused[CAT-N]", "refused[SLICE-NONE]", "SHUF-LOG-X82", "1 loadable"]),
        ("trt85_orin.log", "orin-jp5", ["failure[GEN-WHY]", "refused[CONV-CBUF]", "GEN-LOADABLES", "the build failed"]),
        ("trt86_orin.log", "orin-jp6.0", ["refused[EW-DIV]: 2 layers", "pass div-pow-by-const", "frobnication"]),
        ("trt103_orin.log", "orin-jp6", ["refused[RED-AVG]", "global-average-pool", "2 of 2 DLA regions offloaded"]),
    ],
)
def test_logs(capsys: pytest.CaptureFixture[str], log: str, target: str, parts: list[str]) -> None:
    code, out, _ = run(capsys, "explain", LOGS / log)
    assert code == 0
    assert f"read for {target} " in out
    for part in parts:
        assert part in out
    code, out, _ = run(capsys, "explain", LOGS / log, "--json")
    document = json.loads(out)
    assert (code, document["target"]["name"], document["about_dla"]) == (0, target, True)


def test_the_target_can_be_told(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "explain", LOGS / "trt82_xavier.log", "--target", "orin-jp6", "--json")[1]
    document = json.loads(out)
    assert document["target"] == {"name": "orin-jp6", "tensorrt": "10.3.0", "assumed": ""}
    slices = [r["rules"][0] for r in document["refusals"] if r["type"] == "SLICE"]
    assert slices == ["SLICE-4D"]


def test_stdin(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    data = (LOGS / "trt86_orin.log").read_text().encode("utf-16")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    code, out, _ = run(capsys, "explain", "-")
    assert code == 0
    assert out.startswith("stdin: TensorRT 8.6.2")


def test_with_the_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = model(tmp_path / "net.onnx")
    code, out, err = run(capsys, "explain", LOGS / "trt103_orin.log", "--onnx", path, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["loadables"][0]["nodes"] == [
        "/conv1/Conv", "/relu/Relu", "/layer1/conv/Conv", "/layer1/relu/Relu",
    ]  # fmt: skip
    assert document["loadables"][1]["nodes"] == ["/fc/Gemm"]
    rows = {row["name"]: row for row in document["comparison"]["nodes"]}
    assert (rows["/relu/Relu"]["log"], rows["/relu/Relu"]["named_in_log"]) == ("dla", False)
    assert (rows["/avgpool/GlobalAveragePool"]["log"], rows["/avgpool/GlobalAveragePool"]["kind"]) == ("gpu", "agree")
    flatten = next(r for r in document["refusals"] if r["layers"] == ["/Flatten"])
    assert (flatten["basis"], flatten["rules"]) == ("rule book", ["SHUF-FLAT"])
    assert {u["layer"] for u in document["unmapped"]} == {"/wide/Relu"}
    code, out, _ = run(capsys, "explain", LOGS / "trt103_orin.log", "--onnx", path)
    assert code == 0
    assert "Rule book against log, for orin-jp6" in out

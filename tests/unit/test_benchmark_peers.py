"""The comparison with other tools: missing ones, failing ones, the table and its notes."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path

import onnx
import pytest

from dlarewrite.testing import parse

sys.path.append(str(Path(__file__).parents[2]))
peers, peer = import_module("benchmarks.peers"), import_module("benchmarks.peer")

TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[N,8,8,8] x) => (float[N,8,8,8] y) <float[8,8,3,3] w> {
  a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w)
  y = HardSigmoid(a)
}
"""
FIGURES = {
    "nodes": 3, "gpu_nodes": 1, "dla_macs": 1, "macs": 2, "loadables": 1, "planned": 1, "crossings": 2,
    "bytes_crossed": 2**20,
}  # fmt: skip
ROW = {
    "model": "net",
    "raw": FIGURES,
    "onnxsim": {"missing": "No module named 'onnxsim'"},
    "onnxslim": {**FIGURES, "seconds": 0.1},
    "dlarewrite": {**FIGURES, "seconds": 0.5},
}


def test_missing_tools_leave_cells_empty_and_failed_ones_say_so() -> None:
    row = {**ROW, "onnxslim": {"crash": "ValueError: broken"}}
    columns = dict(peers.COLUMNS)
    assert peers.cells(row, columns["nodes"]) == ["3", "", "failed", "3"]
    assert peers.cells(row, columns["MACs on the DLA"]) == ["50.0%", "", "failed", "50.0%"]
    notes = peers.notes([row])
    assert any("onnxsim is not installed" in note for note in notes)
    assert "net: onnxslim: ValueError: broken" in notes
    assert not any("slower" in note for note in notes)


def test_the_limit_is_held_against_onnxslim() -> None:
    assert peers.ratio(ROW) == pytest.approx(5)
    assert "slower than 2 times OnnxSlim: net (5.0x) of 1 compared" in peers.notes([ROW])
    chosen = argparse.Namespace(target="orin-jp6", io="keep", batch=1, repeat=1)
    assert "| net | 3 / - / 3 / 3 |" in peers.markdown([ROW], chosen)


def test_a_folder_is_measured_in_fresh_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(parse(TEXT), tmp_path / "net.onnx")
    monkeypatch.setattr(peers, "TOOLS", ("dlarewrite",))
    out = tmp_path / "rows.json"
    assert peers.main([str(tmp_path), "--json", str(out)]) == 0
    (row,) = json.loads(out.read_text())
    assert row["raw"]["gpu_nodes"] == 1 and row["dlarewrite"]["gpu_nodes"] == 0
    assert row["dlarewrite"]["seconds"] > 0 and row["dlarewrite"]["import_seconds"] > 0


def test_a_tool_that_raises_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(target: str, io: str) -> object:
        raise RuntimeError("no such thing")

    monkeypatch.setitem(peer.TOOLS, "onnxslim", raising)
    result = tmp_path / "result.json"
    assert peer.main(["onnxslim", "in", "out", str(result)]) == 1
    assert json.loads(result.read_text()) == {"crash": "RuntimeError: no such thing"}

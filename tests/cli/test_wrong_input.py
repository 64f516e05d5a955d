"""Whatever is wrong with the input: one clear line, the documented exit code, no traceback, nothing half-written."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest
from click.testing import Result
from conftest import hard_sigmoid_pass

RAISES = hard_sigmoid_pass("raises", 'raise IndexError("list index out of range")')


def _refused(result: Result, exit_code: int, *said: str) -> None:
    assert result.exit_code == exit_code, (result.stdout, result.stderr)
    lines = [line for line in result.stderr.splitlines() if line.startswith("[E] ")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr and "internal error" not in result.stderr
    assert result.stdout == ""
    for text in said:
        assert text in result.stderr, result.stderr


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "result"
    folder.mkdir()
    return folder / "out.onnx"


@pytest.fixture(autouse=True)
def nothing_is_left(out: Path):  # type: ignore[no-untyped-def]
    yield
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("command", ["optimize", "check"])
def test_not_onnx(run, tmp_path: Path, out: Path, command: str) -> None:
    for name, content in (("text", b"this is not a model\n" * 50), ("empty", b""), ("zip", b"PK\x03\x04" + bytes(200))):
        source = tmp_path / f"{name}.onnx"
        source.write_bytes(content)
        words = [command, source] + ([out] if command == "optimize" else [])
        _refused(run(*words), 1, str(source) if name == "text" else "ONNX")


def test_truncated(run, model: Path, out: Path) -> None:
    whole = model.read_bytes()
    for share in (0.2, 0.5, 0.9):
        model.write_bytes(whole[: int(len(whole) * share)])
        _refused(run("optimize", model, out), 1)
    _refused(run("check", model), 1)


def test_missing_file_and_folder_as_model(run, tmp_path: Path, out: Path) -> None:
    _refused(run("optimize", tmp_path / "none.onnx", out), 2, "does not exist")
    _refused(run("check", tmp_path / "none.onnx"), 2, "does not exist")
    _refused(run("check", tmp_path), 2, "is a folder")


def test_missing_external_data(run, model: Path, tmp_path: Path, out: Path) -> None:
    source = tmp_path / "external.onnx"
    onnx.save(onnx.load(model), source, save_as_external_data=True, location="weights.bin", size_threshold=0)
    weights = tmp_path / "weights.bin"
    size = weights.stat().st_size
    with weights.open("r+b") as file:
        file.truncate(size // 2)
    _refused(run("optimize", source, out), 1, "weights.bin")
    weights.unlink()
    _refused(run("optimize", source, out), 1, "weights.bin")


def test_dynamic_shape_without_shape(run, dynamic: Path, out: Path) -> None:
    _refused(run("optimize", dynamic, out), 2, "static shapes", "images", "--shape images:")


def test_shape_of_no_input(run, dynamic: Path, out: Path) -> None:
    _refused(run("optimize", dynamic, out, "--shape", "imags:1x8x8x8"), 2, "imags", "images")


def test_shape_of_another_rank(run, model: Path, out: Path) -> None:
    _refused(run("optimize", model, out, "--shape", "images:1x8x8"), 2, "images")


def test_unknown_target(run, model: Path, out: Path) -> None:
    _refused(run("optimize", model, out, "--target", "orin-jp66"), 2, "orin-jp66", "did you mean orin-jp6")
    _refused(run("check", model, "--target", "zzz"), 2, "zzz", "known targets")


def test_target_without_a_dla_names_the_nearest(run, model: Path) -> None:
    _refused(run("check", model, "--target", "orin-nano"), 2, "nearest target")


def test_output_that_cannot_be_written(run, model: Path, tmp_path: Path, out: Path) -> None:
    _refused(run("optimize", model, tmp_path / "no" / "such" / "out.onnx"), 2, "does not exist", "mkdir -p")
    _refused(run("optimize", model, out.parent), 2, "is a folder")
    _refused(run("optimize", model, model / "out.onnx"), 2, "does not exist")
    if Path("/proc/self").is_dir():
        _refused(run("optimize", model, "/proc/out.onnx"), 2, "cannot write into '/proc'")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_write_protected_folder(run, model: Path, out: Path) -> None:
    out.parent.chmod(0o555)
    try:
        _refused(run("optimize", model, out), 2, "cannot write into")
    finally:
        out.parent.chmod(0o755)


def test_output_is_the_input(run, model: Path) -> None:
    before = model.read_bytes()
    _refused(run("optimize", model, model), 2, "is the input model")
    assert model.read_bytes() == before


def test_the_weights_of_the_input_are_not_overwritten(run, model: Path, tmp_path: Path, out: Path) -> None:
    source = tmp_path / "external.onnx"
    onnx.save(onnx.load(model), source, save_as_external_data=True, location="next.onnx.data", size_threshold=0)
    _refused(run("optimize", source, tmp_path / "next.onnx"), 2, "next.onnx.data", "weights of the input model")


def test_disk_full_leaves_nothing(run, model: Path, out: Path, monkeypatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    _refused(run("optimize", model, out), 1, "No space left on device")


def test_a_plugin_file_that_raises(run, model: Path, tmp_path: Path, out: Path) -> None:
    plugin = tmp_path / "broken.py"
    plugin.write_text("import no_such_module\n")
    _refused(run("optimize", model, out, "--plugin", plugin), 1, "broken.py", "ModuleNotFoundError")
    plugin.write_text("def f(:\n")
    _refused(run("optimize", model, out, "--plugin", plugin), 1, "broken.py", "SyntaxError")
    plugin.write_text("x = 1\n")
    _refused(run("optimize", model, out, "--plugin", plugin), 1, "defines no pass")
    _refused(run("optimize", model, out, "--plugin", tmp_path / "none.py"), 2, "does not exist")


def test_a_pass_that_raises(run, model: Path, tmp_path: Path, out: Path) -> None:
    plugin = tmp_path / "raises.py"
    plugin.write_text(RAISES)
    _refused(run("optimize", model, out, "--plugin", plugin), 1, "pass 'raises'", "HardSigmoid", "--skip raises")


@pytest.mark.parametrize("option", ["--pass", "--skip", "--print-after", "--pipeline"])
def test_an_unknown_pass_name(run, model: Path, out: Path, option: str) -> None:
    _refused(run("optimize", model, out, option, "hard-sigmod"), 2, "hard-sigmod", "hard-sigmoid")


def test_a_pipeline_with_a_mistake(run, model: Path, out: Path) -> None:
    _refused(run("optimize", model, out, "--pipeline", "(hard-sigmoid"), 2, "pipeline")


def test_a_cyclic_graph(run, tmp_path: Path, out: Path) -> None:
    nodes = [
        onnx.helper.make_node("Add", ["x", "b"], ["a"], name="first"),
        onnx.helper.make_node("Relu", ["a"], ["b"], name="second"),
    ]
    tensor = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(nodes, "g", [tensor("x", 1, [1, 2, 4, 4])], [tensor("b", 1, [1, 2, 4, 4])])
    source = tmp_path / "cycle.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), source)
    _refused(run("optimize", source, out), 1, "cycle")
    _refused(run("check", source), 1, "cycle")


def test_an_operator_of_a_custom_domain(run, tmp_path: Path, out: Path) -> None:
    from conftest import CUSTOM, make

    source = make(CUSTOM, tmp_path / "custom.onnx", check=False)
    result = run("check", source)
    assert result.exit_code == 0, result.stderr
    assert "Swirl" in result.stdout and "unknown" in result.stdout.lower()
    result = run("optimize", source, out)
    assert "Traceback" not in result.stderr and "internal error" not in result.stderr
    assert result.exit_code in (0, 1)
    if result.exit_code == 0:
        assert [n.op_type for n in onnx.load(out).graph.node] == ["Conv", "Swirl"]
        out.unlink()


def test_inputs_that_do_not_fit(run, model: Path, tmp_path: Path, out: Path) -> None:
    import numpy as np

    wrong = tmp_path / "data.npz"
    np.savez(wrong, images=np.zeros((1, 3, 8, 8), np.float32))
    result = run("optimize", model, out, "--inputs", wrong)
    assert result.exit_code in (1, 2)
    _refused(result, result.exit_code, "images")
    _refused(run("optimize", model, out, "--inputs", tmp_path / "none.npz"), 2, "none.npz")

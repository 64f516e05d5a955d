"""dlarewrite new pass: what it writes works at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dlarewrite.catalogue import discover
from dlarewrite.devtools.docstrings import of_pass
from dlarewrite.testing import check_case


def test_the_scaffold_works_at_once(run, tmp_path: Path) -> None:
    result = run("new", "pass", "double-neg", "--dir", tmp_path)
    assert result.exit_code == 0, result.stderr
    written = [Path(line) for line in result.stdout.splitlines()]
    assert sorted(written) == sorted(p for p in tmp_path.rglob("*") if p.is_file())
    assert tmp_path / "double_neg.py" in written and tmp_path / "test_double_neg.py" in written
    registry = discover([tmp_path / "double_neg.py"])
    assert of_pass(registry.find("double-neg")).missing == ()
    cases = sorted((tmp_path / "cases" / "double-neg").glob("*.txt"))
    assert len(cases) == 5
    for case in cases:
        check_case(case, registry.find)


def test_its_own_test_passes_and_can_fail(run, tmp_path: Path) -> None:
    run("new", "pass", "double-neg", "--dir", tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0 and "6 passed" in done.stdout, done.stdout + done.stderr
    source = tmp_path / "double_neg.py"
    source.write_text(source.read_text().replace('is_op(inner, "Neg")', 'is_op(inner, "Sigmoid")'))
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 1, done.stdout


def test_the_written_pass_runs(run, tmp_path: Path) -> None:
    import onnx
    from conftest import make

    run("new", "pass", "double-neg", "--dir", tmp_path)
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,2,4,4] x) => (float[1,2,4,4] y) '
    text += "{ a = Relu(x) b = Neg(a) c = Neg(b) y = Sigmoid(c) }"
    source = make(text, tmp_path / "m.onnx")
    result = run("optimize", source, tmp_path / "out.onnx", "--plugin", tmp_path / "double_neg.py")
    assert result.exit_code == 0, result.stderr
    assert "double-neg" in result.stdout
    assert [n.op_type for n in onnx.load(tmp_path / "out.onnx").graph.node] == ["Relu", "Sigmoid"]


def test_nothing_is_overwritten(run, tmp_path: Path) -> None:
    (tmp_path / "test_double_neg.py").write_text("mine")
    result = run("new", "pass", "double-neg", "--dir", tmp_path)
    assert result.exit_code == 2 and "is there already" in result.stderr
    assert [p.name for p in tmp_path.rglob("*")] == ["test_double_neg.py"]
    assert (tmp_path / "test_double_neg.py").read_text() == "mine"


@pytest.mark.parametrize("name", ["DoubleNeg", "double_neg", "2fast", "a--b", "../evil", ""])
def test_names(run, tmp_path: Path, name: str) -> None:
    result = run("new", "pass", name, "--dir", tmp_path)
    assert result.exit_code == 2
    assert "is no name for a pass" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken(run, tmp_path: Path) -> None:
    result = run("new", "pass", "hard-sigmoid", "--dir", tmp_path)
    assert result.exit_code == 2 and "from dlarewrite" in result.stderr


def test_inside_the_source_tree_it_joins_the_catalogue(run, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    (tmp_path / "passes").mkdir()
    shutil.copy(root / "passes" / "__init__.py", tmp_path / "passes" / "__init__.py")
    result = run("new", "pass", "double-neg", "--dir", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "passes" / "double_neg.py").is_file()
    assert len(list((tmp_path / "tests" / "cases" / "double-neg").glob("*.txt"))) == 5
    names: dict[str, object] = {"__name__": "dlarewrite_passes"}
    exec((tmp_path / "passes" / "__init__.py").read_text(), names)
    last = names["CATALOGUE"].passes[-1]  # type: ignore[attr-defined]
    assert (last.name, last.place) == ("double-neg", "dlarewrite_passes.double_neg:DoubleNeg")

"""docs/writing-a-pass.md, followed to the letter by a newcomer."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from conftest import make

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-pass.md"
MODEL = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,2,4,4] x) => (float[1,2,4,4] y) '
MODEL += "{ a = Relu(x) b = Neg(a) c = Neg(b) y = Sigmoid(c) }"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)


def test_the_page_works_as_written(tmp_path: Path) -> None:
    make(MODEL, tmp_path / "in.onnx")
    programs = {"dlarewrite": "dlarewrite.cli", "pytest": "pytest"}
    (commands,) = _blocks("sh")
    outputs = []
    for line in commands.splitlines():
        program, *words = shlex.split(line)
        done = _run([sys.executable, "-m", programs[program], *words], tmp_path)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        outputs.append(done.stdout)
    assert "6 passed" in outputs[1]
    assert re.search(r"^double-negation +1 +EXACT", outputs[2], re.MULTILINE)
    (tmp_path / "test_page.py").write_text(_blocks("python")[0])
    done = _run([sys.executable, "-m", "pytest", "-q", "test_page.py"], tmp_path)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout


def test_the_catalogue_on_the_page_is_one() -> None:
    names: dict[str, object] = {}
    exec(_blocks("python")[1], names)
    assert names["CATALOGUE"].passes[0].name == "double-negation"  # type: ignore[attr-defined]


def test_every_heading_is_named() -> None:
    from dlarewrite.devtools.docstrings import HEADINGS

    assert ", ".join(HEADINGS) in PAGE.read_text()

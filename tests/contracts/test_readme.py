"""The README's commands run as they stand."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("dlarewrite ")
]


def test_the_setup_line_is_the_first_command() -> None:
    assert "pip install" in TEXT
    assert "dlarewrite optimize models/pointpillars.onnx out.onnx" in TEXT.split("```sh")[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str, tmp_path: Path) -> None:
    words = shlex.split(command)
    (tmp_path / "models").symlink_to(ROOT / "models")
    run = subprocess.run(
        [sys.executable, "-m", "dlarewrite.cli", *words[1:]], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()
    assert "Traceback" not in run.stderr


def test_python_example(tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[0]
    (tmp_path / "models").symlink_to(ROOT / "models")
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "out.onnx").is_file()

"""The README's commands run as they stand."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

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


def test_the_commands_run_one_after_another(tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(ROOT / "models")
    assert len(COMMANDS) > 10
    for command in COMMANDS:
        words = [sys.executable, "-m", "dlarewrite.cli", *shlex.split(command)[1:]]
        run = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert run.returncode == 0, (command, run.stderr)
        assert run.stdout.strip(), command
        assert "Traceback" not in run.stderr


def test_python_example(tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[0]
    (tmp_path / "models").symlink_to(ROOT / "models")
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "out.onnx").is_file()

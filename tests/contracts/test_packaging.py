"""What is installed is what is in the tree."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    source = folder / "source"
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in files.stdout.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_wheel_holds_every_module_and_data_file(wheel: Path) -> None:
    packed = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    tree = {
        str(p.relative_to(ROOT)).replace("passes/", "dlarewrite_passes/", 1)
        if p.is_relative_to(ROOT / "passes")
        else str(p.relative_to(ROOT))
        for folder in ("dlarewrite", "passes")
        for p in (ROOT / folder).rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert packed == tree


def test_passes_cannot_be_imported_under_the_folder_name() -> None:
    code = "import sys; sys.path.insert(0, '.'); import passes"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "import dlarewrite_passes, not passes" in run.stderr


def test_help_starts_without_onnx_and_numpy() -> None:
    code = (
        "import sys\n"
        "from dlarewrite.cli.main import program\n"
        "program.main(['--help'], standalone_mode=False)\n"
        "heavy = {'onnx', 'numpy', 'onnxruntime', 'onnx_graphsurgeon', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

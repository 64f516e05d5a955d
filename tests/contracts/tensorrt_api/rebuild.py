"""Reads the surface of a TensorRT release from its real Python bindings, which are published without the libraries.

The bindings are installed into an environment of their own; the libraries that they link are replaced by ``stub.c``.
``python tests/contracts/tensorrt_api/rebuild.py`` freezes every release anew.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SURFACES = HERE / "surfaces"

# The releases whose bindings are published and that a builder has a dialect for (or refuses: 11.4.0).
PACKAGES = {
    "8.6.1": "tensorrt-bindings",
    "10.3.0": "tensorrt-cu12-bindings",
    "10.7.0.post1": "tensorrt-cu12-bindings",
    "10.13.3.9": "tensorrt-cu12-bindings",
    "10.16.1.11": "tensorrt-cu12-bindings",
    "11.4.0.106": "tensorrt-cu13-bindings",
}
_LIBRARIES = ("nvinfer", "nvonnxparser", "nvinfer_plugin", "nvparsers")


class UnavailableError(Exception):
    """The bindings of a release cannot be had here: no network, no compiler, or no wheel for this Python."""


def rebuild(version: str, folder: Path) -> dict[str, Any]:
    """The surface of ``version`` (a key of :data:`PACKAGES`), read from its bindings installed under ``folder``."""
    return inspect(version, folder, "extract.py")


def inspect(version: str, folder: Path, script: str) -> dict[str, Any]:
    """What a script of this folder prints, as JSON, in an interpreter that has the bindings of ``version``."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    install = ["install", "--quiet", "--no-deps", "--no-compile", "--disable-pip-version-check", "--only-binary=:all:"]
    _run([sys.executable, "-m", "pip", "--python", str(python), *install, f"{PACKAGES[version]}=={version}"])
    _compile_stubs(folder, version.split(".")[0])
    printed = _run([str(python), "-I", "-W", "ignore", str(HERE / script)], {"LD_LIBRARY_PATH": str(folder)})
    found: dict[str, Any] = json.loads(printed)
    return found


def _compile_stubs(folder: Path, major: str) -> None:
    for library in _LIBRARIES:
        name = f"lib{library}.so.{major}"
        _run(["cc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(folder / name), str(HERE / "stub.c")])


def _run(words: list[str], environment: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(str(error)) from error
    if done.returncode:
        raise UnavailableError(f"{words[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def freeze(surface: dict[str, Any]) -> str:
    """The text of a frozen surface: one value per line in a stable order, so that a change is a readable difference."""
    return json.dumps(surface, indent=1) + "\n"


def main() -> None:
    """Freeze every release's surface, or those named on the command line."""
    for version in sys.argv[1:] or PACKAGES:
        with tempfile.TemporaryDirectory() as folder:
            surface = rebuild(version, Path(folder))
        (SURFACES / f"{version}.json").write_text(freeze(surface))


if __name__ == "__main__":
    main()

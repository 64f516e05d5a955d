"""What golden cases ask of the machine that they run on."""

from __future__ import annotations

import re
from pathlib import Path

import onnxruntime


def lacking(path: Path) -> str:
    """Why the case cannot be checked here, or "": ``# needs: onnxruntime X.Y`` where older ones compute it wrongly."""
    needed = re.search(r"^# needs: onnxruntime (\d+)\.(\d+)", path.read_text(), re.MULTILINE)
    if needed and tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (int(needed[1]), int(needed[2])):
        return f"this onnxruntime computes the original wrongly; needs {needed[1]}.{needed[2]}"
    return ""

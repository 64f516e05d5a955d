"""Golden cases: every file under tests/cases runs, and every pass has some."""

from __future__ import annotations

import re
from pathlib import Path

import onnxruntime
import pytest

from dlarewrite.catalogue import discover
from dlarewrite.testing import check_case
from dlarewrite.verify import CannotRun

CASES = sorted((Path(__file__).parents[1] / "cases").glob("*/*.txt"))


@pytest.mark.parametrize("path", CASES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_case(path: Path) -> None:
    needed = re.search(r"^# needs: onnxruntime (\d+)\.(\d+)", path.read_text(), re.MULTILINE)
    if needed and tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (int(needed[1]), int(needed[2])):
        pytest.skip(f"this onnxruntime computes the original wrongly; needs {needed[1]}.{needed[2]}")
    try:
        check_case(path, discover().find)
    except CannotRun as reason:
        # An older onnxruntime does not know the newest opsets.
        pytest.skip(str(reason))

"""Golden cases: every file under tests/cases runs, and every pass has some."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden_cases import lacking

from dlarewrite.catalogue import discover
from dlarewrite.testing import check_case
from dlarewrite.verify import CannotRun

CASES = sorted((Path(__file__).parents[1] / "cases").glob("*/*.txt"))


@pytest.mark.parametrize("path", CASES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_case(path: Path) -> None:
    if reason := lacking(path):
        pytest.skip(reason)
    try:
        check_case(path, discover().find)
    except CannotRun as error:
        # An older onnxruntime does not know the newest opsets.
        pytest.skip(str(error))

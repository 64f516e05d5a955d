"""The plugin's own tests, written as its author would: golden cases, each proven equal."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlarewrite.catalogue import discover
from dlarewrite.testing import check_case

HERE = Path(__file__).parent
MODULE = HERE / "src" / "dlarewrite_redundant_relu" / "redundant_relu.py"
CASES = sorted((HERE / "cases" / "redundant-relu").glob("*.txt"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_case(case: Path) -> None:
    check_case(case, discover([MODULE]).find)


def test_there_are_cases() -> None:
    assert len(CASES) >= 7

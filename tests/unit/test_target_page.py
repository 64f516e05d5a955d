"""The support matrix as the generated page prints it, reproduced by the judge and by ``list support``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from target_samples import judge
from test_target_matrix import DOUBTED, IN_INT8, NODES

from dlarewrite.cli.main import program
from dlarewrite.target import Precision, Verdict, profiles, support_matrix

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")


def page() -> dict[str, dict[str, str]]:
    """Row title -> target name -> cell, read from the page's text."""
    section = PAGE.split("## Support matrix")[1].split("\n## ")[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    head = [re.sub(r".*\((.*)\)", r"\1", cell) for cell in lines[0]]
    found = {}
    for line in lines[2:]:
        cells = dict(zip(head, line, strict=False))
        found[cells["Layer"]] = {p.name: cells[p.name].strip() for p in profiles()}
    return found


ROWS = {row.title: row.id for row in support_matrix() if row.id in NODES}


def test_the_page_has_every_row() -> None:
    assert ROWS
    assert set(ROWS) <= set(page())


@pytest.mark.parametrize("target", [p.name for p in profiles()])
@pytest.mark.parametrize("title", ROWS)
def test_a_cell_of_the_page_is_what_the_judge_says(title: str, target: str) -> None:
    cell, row_id = page()[title][target], ROWS[title]
    precision = Precision.INT8 if row_id in IN_INT8 else Precision.FP16
    for build in NODES[row_id]:
        made = build()
        if row_id == "resize-nearest":
            made.attrs["nearest_mode"] = "floor"
        verdict = judge(made, target, precision).verdict
        if cell.startswith("N"):
            assert verdict is Verdict.GPU
        elif cell.startswith("?") or row_id in DOUBTED or "[" in cell:
            assert verdict is Verdict.UNCERTAIN
        elif cell.startswith("Y*"):
            assert verdict in (Verdict.UNCERTAIN, Verdict.DLA)
        else:
            assert verdict is Verdict.DLA


@pytest.mark.parametrize("target", [p.name for p in profiles()])
def test_list_support_prints_the_column_of_the_page(target: str) -> None:
    run = CliRunner().invoke(program, ["list", "support", "--target", target, "--json"], standalone_mode=False)
    assert run.exit_code == 0, run.output
    listed = {row["layer"]: row[target] for row in json.loads(run.stdout)}
    assert listed == {title: cells[target] for title, cells in page().items()}

"""Generated documentation: complete, current, and the check can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlarewrite.catalogue import discover
from dlarewrite.devtools import docs, docstrings, markdown
from dlarewrite.target import profiles, rulebook

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: render() for name, render in docs.PAGES.items()}


def test_the_pages_in_the_repository_are_current() -> None:
    assert docs.stale(DOCS) == [], "run `python -m dlarewrite.devtools.docs`"


def test_check_names_what_is_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert docs.main(["--check", "--dir", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == [f"stale: {tmp_path / name}" for name in docs.PAGES]
    assert docs.main(["--dir", str(tmp_path)]) == 0
    assert docs.main(["--check", "--dir", str(tmp_path)]) == 0
    page = tmp_path / "cli.md"
    page.write_text(page.read_text().replace("--target", "--traget"))
    capsys.readouterr()
    assert docs.main(["--check", "--dir", str(tmp_path)]) == 1
    assert capsys.readouterr().out == f"stale: {page}\n"
    assert docs.write(tmp_path) == [page]


def test_rules_page_has_every_rule_and_target(pages: dict[str, str]) -> None:
    for rule in rulebook():
        assert f"\n#### {rule.id}\n" in pages["rules.md"]
    for profile in profiles():
        assert f"| `{profile.name}` |" in pages["rules.md"]


def test_passes_page_has_every_pass_with_every_heading(pages: dict[str, str]) -> None:
    registry = discover()
    names = [name for name, provider in registry.providers.items() if provider == "dlarewrite"]
    sections = pages["passes.md"].split("\n## ")[1:]
    assert [section.splitlines()[0] for section in sections] == names
    for section in sections:
        for heading in docstrings.HEADINGS:
            assert f"- **{heading}**: " in section, section.splitlines()[0]


def test_cli_page_has_every_command(pages: dict[str, str]) -> None:
    for command in ("optimize", "check", "plan", "build", "list", "new pass"):
        assert f"\n## dlarewrite {command}\n" in pages["cli.md"]
    assert "`--shape`, `--input-shapes`" in pages["cli.md"] and "`orin-jp6`" in pages["cli.md"]


def test_diagnostics_page_has_every_exit_code(pages: dict[str, str]) -> None:
    for number in (0, 1, 2, 3, 4, 5, 130):
        assert f"\n| {number} | " in pages["diagnostics.md"]


def test_headings_are_read_over_several_lines() -> None:
    found = docstrings.read("Title.\n\nWhat it does: one\n  two\nLaw: a: b\nNumerics: EXACT - x\n")
    assert found.title == "Title."
    assert found.headings == {"What it does": "one\ntwo", "Law": "a: b", "Numerics": "EXACT - x"}
    assert found.missing == ("Fires", "Refuses", "Source", "Example")


def test_cells_are_escaped() -> None:
    assert markdown.table(("a",), [("x|y\nz",)]).splitlines()[-1] == "| x\\|y<br>z |"

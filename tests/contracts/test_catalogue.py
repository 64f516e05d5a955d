"""Every pass is in the catalogue, with headings and cases; every cure that a rule names is a pass."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from dlarewrite.catalogue import discover
from dlarewrite.numerics import Numerics
from dlarewrite.target import rulebook

ROOT = Path(__file__).parents[2]
FILES = sorted(p for p in (ROOT / "passes").glob("*.py") if p.name != "__init__.py")
HEADINGS = ("What it does:", "Law:", "Numerics:", "Scales:", "Fires:", "Refuses:", "Source:", "Example:")


def test_catalogue_and_folder_agree() -> None:
    registry = discover()
    assert not registry.failures
    listed = [ref.place for name, ref in registry.refs.items() if registry.providers[name] == "dlarewrite"]
    assert sorted(place.split(":")[0] for place in listed) == sorted(f"dlarewrite_passes.{p.stem}" for p in FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_docstring_has_the_headings_in_order(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    places = [text.find(f"\n{h}") for h in HEADINGS]
    assert -1 not in places, [h for h, p in zip(HEADINGS, places, strict=True) if p < 0]
    assert places == sorted(places)


@pytest.mark.parametrize("name", sorted(discover().refs))
def test_pass_declares_itself_and_has_cases(name: str) -> None:
    found = discover().find(name)
    assert found.summary()
    assert (found.numerics is Numerics.LOSSY) == bool(found.bound), "LOSSY passes, and only they, state a bound"
    cases = sorted((ROOT / "tests" / "cases" / name).glob("*.txt"))
    texts = [c.read_text().partition("\n-----\n")[2].strip() for c in cases]
    assert any(not t.startswith("=") for t in texts), "no case in which it fires"
    assert any(t.startswith("=") for t in texts), "no case in which it does not fire"


def test_every_case_belongs_to_a_pass() -> None:
    assert {p.name for p in (ROOT / "tests" / "cases").iterdir()} <= set(discover().refs)


def test_cures_that_rules_name_are_passes() -> None:
    missing = {cure for rule in rulebook() for cure in rule.cures} - set(discover().refs)
    assert not missing, f"rules promise cures that are not in the catalogue: {sorted(missing)}"

from __future__ import annotations

import pytest

from dlarewrite.explain import PATTERNS, Pattern, Role, pointing_to
from dlarewrite.explain.pattern import group
from dlarewrite.explain.sources import address
from dlarewrite.explain.typed import RULES, rules_of, type_of
from dlarewrite.target import Evidence, profiles, rulebook

IDS = [pattern.id for pattern in PATTERNS]


def hit(message: str) -> Pattern | None:
    return next((p for p in PATTERNS if p.search(message)), None)


def test_ids_are_unique() -> None:
    assert len(set(IDS)) == len(IDS)


@pytest.mark.parametrize("pattern", PATTERNS, ids=IDS)
def test_a_pattern_knows_its_own_example_first(pattern: Pattern) -> None:
    assert hit(pattern.example) is pattern
    assert pattern.literal in pattern.example


@pytest.mark.parametrize("pattern", PATTERNS, ids=IDS)
def test_rules_and_sources_exist(pattern: Pattern) -> None:
    book = rulebook()
    for rule in (*pattern.rules, *(rule for rules in pattern.by_op.values() for rule in rules)):
        assert rule in book, rule
    assert pattern.sources
    for key in pattern.sources:
        assert "(" in address(key)
    if not pattern.evidence.firm:
        assert "here" in pattern.sources, "an inferred wording says so"


def test_a_reason_or_failure_says_what_to_do() -> None:
    for pattern in PATTERNS:
        if pattern.role in (Role.FAILURE, Role.CAP):
            assert pattern.cure, pattern.id
        if pattern.role is Role.REASON and not pattern.rules:
            assert pattern.id == "type-unsupported"


@pytest.mark.parametrize(
    ("message", "layer", "op", "rules"),
    [
        ("/model.22/Div: DLA cores do not support DIV ElementWise operation.", "/model.22/Div", "DIV", ("EW-DIV",)),
        ("a: b: DLA cores do not support POW ElementWise operation.", "a: b", "POW", ("EW-POW",)),
        ("x: DLA cores do not support FLOOR_DIV ElementWise operation.", "x", "FLOOR_DIV", ("EW-LIST",)),
        ("x: DLA cores do not support LESS ElementWise operation.", "x", "LESS", ("CMP-LIST",)),
        ("gap: DLA cores do not support AVG Reduce operation.", "gap", "AVG", ("RED-AVG", "RED-MAX")),
        ("s: DLA cores do not support SUM Reduce operation.", "s", "SUM", ("RED-MAX",)),
        ("n: Unary operation: SIN is not supported on DLA", "n", "SIN", ("UNARY-OPS",)),
        ("Unary operation: CEIL is not supported on DLA", "", "CEIL", ("UNARY-NO",)),
        ("up: DLA only supports zero padding.", "up", "", ("CONV-PAD", "CONV-PAD-LT", "DECONV-PAD", "POOL-PAD")),
    ],
)
def test_groups(message: str, layer: str, op: str, rules: tuple[str, ...]) -> None:
    pattern = hit(message)
    assert pattern is not None
    match = pattern.search(message)
    assert match is not None
    assert (group(match, "layer"), group(match, "op"), pattern.points_to(match)) == (layer, op, rules)


@pytest.mark.parametrize(
    "message",
    [
        "Layer '/a/Reshape' (SHUFFLE): Running on DLA.",
        "DLA cores are great",
        "x: DLB cores do not support DIV ElementWise operation.",
        "Default DLA is enabled",
        "/model/Conv: kernel of 33 (no word of the accelerator)",
        "After Myelin optimization: 13 layers",
        "successfully offloaded to DLA",
    ],
)
def test_near_misses_match_nothing(message: str) -> None:
    assert hit(message) is None


@pytest.mark.parametrize("kind", RULES)
def test_type_rules_exist_and_every_profile_has_an_answer(kind: str) -> None:
    assert all(rule in rulebook() for rule in RULES[kind])
    for profile in profiles():
        found = rules_of(kind, profile)
        held = [rule for rule in found if profile.column in rulebook().get(rule).profiles]
        assert list(found) == held or found == RULES[kind][:1]


def test_the_profile_decides_which_rule_of_a_type_comes_first() -> None:
    by_name = {p.name: p for p in profiles()}
    assert rules_of("SLICE", by_name["xavier-jp4"])[0] == "SLICE-NONE"
    assert rules_of("SLICE", by_name["orin-jp6"])[0] == "SLICE-4D"


@pytest.mark.parametrize(
    ("name", "said", "kind"),
    [
        ("/a/Conv", "CONVOLUTION", ("CONVOLUTION", False)),
        ("(Unnamed Layer* 12) [Shuffle]", "", ("SHUFFLE", False)),
        ("Reshape_12", "", ("SHUFFLE", True)),
        ("/model.22/Split_25", "", ("SLICE", True)),
        ("EltWise multiplication", "", ("", True)),
    ],
)
def test_type_of(name: str, said: str, kind: tuple[str, bool]) -> None:
    assert type_of(name, said) == kind


def test_a_rule_finds_its_sentences() -> None:
    assert {p.id for p in pointing_to("CAT-AXIS")} >= {"concat-axis"}
    assert all(p.evidence is Evidence.INFERRED for p in pointing_to("CONV-KERNEL"))
    assert pointing_to("IO-SA")
    assert not pointing_to("Q-ROUND")

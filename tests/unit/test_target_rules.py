"""Every rule at its edges, with a node that keeps it and one that breaks it."""

from __future__ import annotations

import onnx_graphsurgeon as gs
import pytest
from target_samples import COLUMN_TARGETS, judge, rules_of

from dlarewrite.target import Evidence, Precision, Rule, Scope, Verdict, rulebook, support_matrix
from dlarewrite.target.probes import CASES, EDGES
from dlarewrite.target.rule import COLUMNS

JUDGED = [r for r in rulebook() if r.scope in (Scope.LAYER, Scope.TENSOR, Scope.MATRIX, Scope.NOTE)]
NUMERIC = [r for r in JUDGED if r.limit.edges()]
WORDS = [r for r in JUDGED if not r.limit.edges()]


def _id(rule: Rule) -> str:
    return rule.id


def _targets(rule: Rule) -> list[tuple[str, Precision]]:
    precision = Precision.FP16 if Precision.FP16 in rule.precisions else Precision.INT8
    return [(COLUMN_TARGETS[column], precision) for column in COLUMNS if column in rule.profiles]


def test_every_judged_rule_has_its_nodes_and_no_other_has() -> None:
    assert set(EDGES) == {rule.id for rule in NUMERIC}
    assert set(CASES) == {rule.id for rule in WORDS}


@pytest.mark.parametrize("rule", NUMERIC, ids=_id)
def test_a_rule_holds_at_its_edges_and_breaks_beyond_them(rule: Rule) -> None:
    for value, legal in rule.limit.edges():
        for target, precision in _targets(rule):
            found = judge(EDGES[rule.id](value), target, precision)
            assert (rule.id not in rules_of(found)) is legal, (value, target)


@pytest.mark.parametrize("rule", NUMERIC, ids=_id)
def test_the_message_names_the_measured_and_the_allowed_value(rule: Rule) -> None:
    target, precision = _targets(rule)[-1]
    for value, legal in rule.limit.edges():
        if legal:
            continue
        found = judge(EDGES[rule.id](value), target, precision)
        finding = next(f for f in found.findings if f.rule == rule.id)
        assert f"must be {rule.limit.speak()}, got " in finding.message
        measured = value[0] if isinstance(value, tuple) else value
        assert f"{measured:g}" in finding.message.split("got ")[1]


@pytest.mark.parametrize("rule", WORDS, ids=_id)
def test_a_rule_in_words_has_a_legal_and_an_illegal_node(rule: Rule) -> None:
    legal, illegal = CASES[rule.id]
    refused = [t for t in _targets(rule) if rule.id in rules_of(judge(illegal(), *t))]
    if rule.scope is Scope.MATRIX:
        # Which columns refuse is the matrix's business; some column has to name the rule.
        refused = [t for t in COLUMN_TARGETS.values() if rule.id in rules_of(judge(illegal(), t))]
        refused += [t for t in COLUMN_TARGETS.values() if rule.id in rules_of(judge(illegal(), t, Precision.INT8))]
        if not refused:
            assert rule.id in UNNAMED
            return
        assert rule.id not in rules_of(judge(legal(), "orin-jp6"))
        return
    assert refused == _targets(rule)
    for target, precision in _targets(rule):
        assert rule.id not in rules_of(judge(legal(), target, precision))


# The matrix says yes to these layers on every profile, so that no node makes their rule speak.
UNNAMED = {"ACT-LIST", "SCALE-MODE"}


def _illegal(rule: Rule) -> gs.Node | None:
    """A node that breaks the rule; None where a limit's edges are all legal."""
    if rule.id in CASES:
        return CASES[rule.id][1]()
    broken = [value for value, legal in rule.limit.edges() if not legal]
    return EDGES[rule.id](broken[0]) if broken else None


@pytest.mark.parametrize("rule", [r for r in JUDGED if r.scope is not Scope.MATRIX], ids=_id)
def test_a_finding_of_a_rule_decides_as_the_rule_says(rule: Rule) -> None:
    broken = _illegal(rule)
    if broken is None:
        assert rule.id == "RSZ-LIN-MODE"
        return
    for target, precision in _targets(rule):
        found = judge(broken, target, precision)
        finding = next((f for f in found.findings if f.rule == rule.id), None)
        assert finding is not None
        assert finding.effect == rule.effect
        if rule.effect == "gpu":
            assert found.verdict is Verdict.GPU
        if rule.effect == "uncertain":
            assert found.verdict in (Verdict.UNCERTAIN, Verdict.GPU)


def test_a_rule_that_refuses_rests_on_firm_evidence() -> None:
    for rule in JUDGED:
        if rule.effect == "gpu" and rule.id != "NORULE":
            assert rule.evidence in (Evidence.DOCUMENTED, Evidence.LOG), rule.id
    for rule in rulebook():
        if rule.scope in (Scope.LAYER, Scope.TENSOR) and not rule.evidence.firm:
            assert rule.effect in ("uncertain", "note"), rule.id


def test_every_source_has_an_address_and_every_rule_a_source() -> None:
    for rule in rulebook():
        assert rule.sources
        assert rule.source.count("(") >= len(rule.sources)
    for row in support_matrix():
        assert rulebook().get(row.rule).id == row.rule
        assert row.sources


def test_notes_leave_a_node_on_the_dla() -> None:
    notes = [r for r in JUDGED if r.effect == "note" and r.scope is Scope.LAYER]
    assert len(notes) >= 4
    for rule in notes:
        target, precision = _targets(rule)[-1]
        assert judge(CASES[rule.id][1](), target, precision).verdict is Verdict.DLA, rule.id

"""The questions for a board, and what a correction file makes of the rule book."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

from dlarewrite.build.probe import Answer, Question, corrections, network, questions
from dlarewrite.cli.main import program
from dlarewrite.errors import UsageError
from dlarewrite.target import Judge, Precision, Target, Verdict, load_target
from dlarewrite.target.correction import load_corrections
from dlarewrite.target.samples import conv, deconv, unary

TARGET = load_target("orin-jp6")
ASKED = questions(TARGET)


def find(rule: str, case: str) -> Question:
    return next(q for q in ASKED if q.rule == rule and case in q.case)


def corrected(tmp_path: Path, *answers: Answer) -> Target:
    path = tmp_path / "board.yaml"
    path.write_text(corrections(TARGET, "10.3.0", answers).dump())
    return load_target(str(path))


def verdict(target: Target, node: object) -> Verdict:
    return Judge(target, 17).node(node).verdict


@pytest.mark.parametrize("half", [False, True])
def test_every_node_that_keeps_its_rule_is_a_valid_model(half: bool) -> None:
    for question in ASKED:
        if question.keeps and question.expected in ("dla", "uncertain"):
            model = network(question.make(), half=half)
            onnx.checker.check_model(model, full_check=True)
            assert [n.name for n in model.graph.node].count("asked") == 1


def test_half_networks_hold_no_float32_activation() -> None:
    for name in ("CONV-KERNEL", "RSZ-NEAR", "CMP-CAST"):
        model = network(next(q for q in ASKED if q.rule == name and q.keeps).make(), half=True)
        kinds = {v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output)}
        assert onnx.TensorProto.FLOAT not in kinds


def test_every_rule_with_nodes_is_asked_at_both_sides() -> None:
    numeric = [q for q in ASKED if q.rule == "CONV-KERNEL"]
    assert [(q.value, q.keeps, q.expected) for q in numeric] == [
        (0, False, "gpu"),
        (1, True, "dla"),
        (32, True, "dla"),
        (33, False, "gpu"),
    ]
    assert {q.keeps for q in ASKED if q.rule == "DECONV-OUTPAD"} == {True, False}
    assert {q.rule for q in questions(load_target("orin-jp6", Precision.INT8))} != {q.rule for q in ASKED}


def test_a_value_that_the_board_takes_is_taken_and_no_other(tmp_path: Path) -> None:
    target = corrected(tmp_path, Answer(find("CONV-KERNEL", "33"), "dla"))
    assert verdict(target, conv((33, 1))) is Verdict.DLA
    assert verdict(target, conv((34, 1))) is Verdict.GPU
    assert verdict(TARGET, conv((33, 1))) is Verdict.GPU
    assert "as probed" in str(target)


def test_a_value_that_the_board_refuses_is_refused_and_said(tmp_path: Path) -> None:
    target = corrected(tmp_path, Answer(find("CONV-KERNEL", "32"), "gpu"))
    found = Judge(target, 17).node(conv((32, 1)))
    assert found.verdict is Verdict.GPU
    assert "not 32 (probed)" in found.findings[0].message
    assert verdict(target, conv((31, 1))) is Verdict.DLA


@pytest.mark.parametrize(
    ("rule", "expected", "observed", "effect"),
    [
        ("SMAX-AXIS", "gpu", "dla", "uncertain"),
        ("DECONV-OUTPAD", "uncertain", "dla", "note"),
        ("DECONV-OUTPAD", "uncertain", "gpu", "gpu"),
    ],
)
def test_a_rule_in_words_is_doubted_or_settled(
    tmp_path: Path, rule: str, expected: str, observed: str, effect: str
) -> None:
    question = find(rule, "breaks")
    assert question.expected == expected
    target = corrected(tmp_path, Answer(question, observed))
    found = Judge(target, 17).node(question.make()).findings
    assert [f.effect for f in found if f.rule == rule] == [effect]


def test_a_doubt_of_another_rule_corrects_nothing() -> None:
    others = [q for q in ASKED if q.expected == "uncertain" and not q.blamed]
    assert others
    assert not any(Answer(q, "gpu").differs or Answer(q, "dla").differs for q in others)


def test_a_layer_that_the_board_refuses_becomes_doubtful(tmp_path: Path) -> None:
    question = find("UNARY-NO", "Abs: keeps")
    target = corrected(tmp_path, Answer(question, "gpu"))
    assert verdict(TARGET, unary("Abs")) is Verdict.DLA
    found = Judge(target, 17).node(unary("Abs"))
    assert found.verdict is Verdict.UNCERTAIN
    assert "answer of the probed board" in found.findings[0].message
    assert verdict(target, conv()) is Verdict.DLA


def test_an_open_layer_is_settled_both_ways(tmp_path: Path) -> None:
    question = find("UNARY-OPS", "Sin")
    taken = corrected(tmp_path, Answer(question, "dla"))
    assert verdict(taken, unary("Sin")) is Verdict.DLA
    assert verdict(TARGET, unary("Sin")) is not Verdict.DLA


def test_agreement_corrects_nothing(tmp_path: Path) -> None:
    target = corrected(tmp_path, Answer(find("CONV-KERNEL", "32"), "dla"), Answer(find("CONV-KERNEL", "33"), "refused"))
    assert target.corrections.entries == ()
    assert verdict(target, deconv()) is verdict(TARGET, deconv())


def test_pairs_survive_the_file(tmp_path: Path) -> None:
    target = corrected(tmp_path, Answer(find("DECONV-KERNEL", "33 x 2"), "dla"))
    assert target.corrections.entries[0].value == (33, 2)


@pytest.mark.parametrize("text", ["{", "version: 2", "- a", "version: 1\ncorrections: [{rule: A}]", "version: 1"])
def test_a_bad_correction_file_is_one_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "board.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"board\.yaml") as caught:
        load_corrections(path)
    assert "\n" not in caught.value.message


def test_a_correction_file_for_another_precision_is_refused(tmp_path: Path) -> None:
    corrected(tmp_path)
    with pytest.raises(UsageError, match="was probed for fp16, not for int8"):
        load_target(str(tmp_path / "board.yaml"), Precision.INT8)


def test_the_questions_are_listed_without_a_board() -> None:
    done = CliRunner().invoke(program, ["probe", "--list", "--target", "xavier-jp5"])
    assert done.exit_code == 0
    assert "CONV-KERNEL" in done.stdout
    assert "questions about" in done.stderr


def test_without_tensorrt_the_probe_exits_5_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    done = CliRunner().invoke(program, ["probe", "-o", str(tmp_path / "a.yaml")])
    assert done.exit_code == 5
    assert done.stderr.startswith("[E] TensorRT's Python package is not usable here")
    assert list(tmp_path.iterdir()) == []
    assert CliRunner().invoke(program, ["probe", "-o", "a.json"]).exit_code == 2

"""The driver and the manager hold passes to the laws; each law is broken once here."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from dlarewrite.api import Context, Editor, GraphPass, Match, Node, Numerics, Pass, Phase, Refusal
from dlarewrite.errors import PassError, UsageError
from dlarewrite.ir.model import Model
from dlarewrite.rewrite.context import Settings
from dlarewrite.rewrite.manager import PassManager, RewriteLog, default_pipeline
from dlarewrite.rewrite.pass_ import AnyPass
from dlarewrite.rewrite.spec import Fixpoint
from dlarewrite.target import load_target
from dlarewrite.testing import parse

HEAD = '<ir_version: 9, opset_import: ["": 17]> g (float[1,8,16,16] x) => (float[1,8,16,16] y)'


def run(pass_: AnyPass, body: str, values: str = "", **settings: Any) -> tuple[Model, RewriteLog]:
    model = Model.load(parse(f"{HEAD} {values} {{ {body} }}"))
    context = Context(model, load_target("orin-jp6"), Settings(**settings))
    return model, PassManager([Fixpoint((pass_,))]).run(context)


class Swap(Pass[str]):
    """Replaces the anchor by another unary operator."""

    name: ClassVar[str] = "swap"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Relu", "Softplus", "Erf")
    to: ClassVar[str] = "Sigmoid"

    def match(self, node: Node, context: Context) -> Match[str] | Refusal | None:
        return Match((node,), self.to, f"to {self.to}")

    def apply(self, match: Match[str], edit: Editor) -> None:
        node = match.nodes[0]
        edit.replace_uses(node.outputs[0], edit.op(match.facts, [node.inputs[0]]))


def test_a_native_node_is_left_alone() -> None:
    model, log = run(Swap(), "y = Relu(x)")
    assert [n.op for n in model.nodes] == ["Relu"]
    assert not log.changes
    assert not log.refusals


def test_a_refused_node_is_rewritten() -> None:
    model, log = run(Swap(), "y = Softplus(x)")
    assert [n.op for n in model.nodes] == ["Sigmoid"]
    assert [(c.by, c.op, c.detail) for c in log.changes] == [("swap", "Softplus", "to Sigmoid")]
    assert log.numerics is Numerics.ROUNDING


def test_law_1_a_rewrite_that_gains_nothing_is_undone_and_told() -> None:
    class ToErf(Swap):
        to: ClassVar[str] = "Erf"

    model, log = run(ToErf(), "y = Softplus(x)")
    assert [n.op for n in model.nodes] == ["Softplus"]
    assert not log.changes
    assert "would leave" in log.refusals[0].reason
    assert "Erf" in log.refusals[0].reason


class Widen(Swap):
    """Replaces the anchor by a Conv with many weights."""

    channels: ClassVar[int] = 8

    def apply(self, match: Match[str], edit: Editor) -> None:
        node = match.nodes[0]
        weight = edit.constant(np.ones((8, 8, 3, 3), np.float32))
        edit.replace_uses(node.outputs[0], edit.op("Conv", [node.inputs[0], weight], {"pads": [1, 1, 1, 1]}))


def test_law_4_added_macs_beyond_the_budget_are_refused_with_the_figure() -> None:
    _, log = run(Widen(), "y = Softplus(x)", growth_macs=0.1)
    assert not log.changes
    assert "would add 147,456 MACs; 104,857 are left" in log.refusals[0].reason


def test_law_4_added_weights_beyond_the_budget_are_refused_with_the_figure() -> None:
    body, values = "a = Conv<pads=[1,1,1,1]>(x, w) y = Softplus(a)", "<float[8,8,3,3] w>"
    _, log = run(Widen(), body, values, growth_macs=2.0, growth_bytes=100)
    assert not log.changes
    assert "would add 2,304 bytes of weights; 100 are left" in log.refusals[0].reason
    assert run(Widen(), body, values, growth_macs=2.0)[1].changes


def test_the_limit_stops_the_run_for_bisection() -> None:
    _, log = run(Swap(), "a = Softplus(x) b = Erf(a) y = Softplus(b)", limit=2)
    assert len(log.changes) == 2
    assert log.limited


def test_a_pass_that_raises_is_named_with_its_node() -> None:
    class Broken(Swap):
        name: ClassVar[str] = "broken"

        def match(self, node: Node, context: Context) -> Match[str] | Refusal | None:
            raise KeyError("oops")

    with pytest.raises(PassError, match=r"pass 'broken' raised KeyError at node 'y' \(Relu\)"):
        run(Broken(), "y = Relu(x)")


def test_a_pass_that_raises_while_editing_leaves_the_graph() -> None:
    class Broken(Swap):
        def apply(self, match: Match[str], edit: Editor) -> None:
            super().apply(match, edit)
            raise ZeroDivisionError

    model = Model.load(parse(f"{HEAD} {{ y = Softplus(x) }}"))
    with pytest.raises(PassError, match="while rewriting 'y'"):
        PassManager([Broken()]).run(Context(model, load_target("orin-jp6")))
    assert [n.op for n in model.nodes] == ["Softplus"]


def test_a_pass_that_never_settles_is_stopped() -> None:
    class PingPong(Swap):
        anchors: ClassVar[tuple[str, ...]] = ("Softplus", "Erf")
        phase: ClassVar[Phase] = Phase.CLEAN

        def apply(self, match: Match[str], edit: Editor) -> None:
            node = match.nodes[0]
            other = "Erf" if node.op == "Softplus" else "Softplus"
            edit.replace_uses(node.outputs[0], edit.op(other, [node.inputs[0]]))

    with pytest.raises(PassError, match="does not settle"):
        run(PingPong(), "y = Softplus(x)")


def test_an_empty_rewrite_is_reported() -> None:
    class Nothing(Swap):
        def apply(self, match: Match[str], edit: Editor) -> None:
            return None

    _, log = run(Nothing(), "y = Softplus(x)")
    assert [r.reason for r in log.refusals] == ["it changed nothing"]


class First(GraphPass):
    """Does nothing."""

    name: ClassVar[str] = "first"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    phase: ClassVar[Phase] = Phase.PREPARE

    def run(self, context: Context, edit: Editor) -> list[Refusal]:
        return []


class Second(First):
    name: ClassVar[str] = "second"
    after: ClassVar[tuple[str, ...]] = ("first",)


def test_ordering_constraints_are_checked_before_the_run() -> None:
    PassManager([First(), Second()])
    with pytest.raises(UsageError, match="'second' has to come after 'first'"):
        PassManager([Second(), First()])


def test_the_default_pipeline_goes_by_phase() -> None:
    steps = default_pipeline([Swap(), First()])
    assert isinstance(steps[0], First)
    assert isinstance(steps[1], Fixpoint)

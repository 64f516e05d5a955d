"""The search for the rewrite that is to blame: found wherever it is, in few proofs, and never invented."""

from __future__ import annotations

import pytest

from dlarewrite.compiler.culprit import find_culprit
from dlarewrite.ir.editor import Change
from dlarewrite.ir.model import Model
from dlarewrite.rewrite.manager import RewriteLog
from dlarewrite.testing import parse

SOURCE = '<ir_version: 9, opset_import: ["": 17]> g (float[1] x) => (float[1] y) { y = Relu(x) }'
COUNT = 100


def search(bad: int | None) -> tuple[str | None, int]:
    """The culprit among ``COUNT`` rewrites, each of a pass of its own, and how many proofs it took."""
    model = Model.load(parse(SOURCE))
    proofs = 0

    def rewrite(count: int) -> tuple[Model, RewriteLog]:
        return model, RewriteLog(changes=[Change(i, f"pass-{i}", "", "", "", (), ()) for i in range(count)])

    def equal(_: Model, log: RewriteLog) -> bool:
        nonlocal proofs
        proofs += 1
        return bad is None or len(log.changes) <= bad

    return find_culprit(COUNT, rewrite, equal), proofs


@pytest.mark.parametrize("bad", [0, 1, 49, 50, 98, 99])
def test_the_first_rewrite_after_which_the_outputs_differ_is_found(bad: int) -> None:
    culprit, proofs = search(bad)
    assert culprit == f"pass-{bad}"
    assert proofs <= 8


def test_where_nothing_differs_or_all_does_no_pass_is_to_blame() -> None:
    assert search(None)[0] is None
    assert search(-1) == (None, 1)

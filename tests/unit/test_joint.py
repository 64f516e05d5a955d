"""The joint decision on stand-in trials: which runs of the pipeline are made, and which one is kept."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from dlarewrite.ir.editor import Change
from dlarewrite.joint import Choice, Trial, settle
from dlarewrite.partition.summary import Summary

LEGALISING = frozenset({"big", "small", "border"})
Rows = list[tuple[str, int, str]]
"""Regions: node's name, its MACs, the pass that made it ("" for the original's)."""


def conv(name: str, work: int) -> gs.Node:
    x, y = gs.Variable(f"{name}.x", np.float32, [1, 1, work, 1]), gs.Variable(f"{name}.y", np.float32, [1, 1, work, 1])
    weights = gs.Constant(f"{name}.w", np.ones((1, 1, 1, 1), np.float32))
    return gs.Node("Conv", name, {"kernel_shape": [1, 1]}, [x, weights], [y])


def summary(loadables: int, crossings: int, share: float = 0.5) -> Summary:
    return Summary(10, 5, 1000, int(1000 * share), loadables, crossings, 0)


def trial(choice: Choice, rows: Rows, figures: Summary) -> Trial:
    nodes = [conv(name, work) for name, work, _ in rows]
    changes = [
        Change(i, by, f"{name}.anchor", "Op", "", (), ((name, "Conv"),)) for i, (name, _, by) in enumerate(rows) if by
    ]
    placed = SimpleNamespace(
        flow=SimpleNamespace(nodes=nodes),
        regions=tuple((i,) for i in range(len(nodes))),
        crossings=tuple(SimpleNamespace(tensor=node.outputs[0]) for node in nodes),
    )
    log = SimpleNamespace(changes=changes)
    return Trial(choice, cast("Any", None), cast("Any", log), cast("Any", None), cast("Any", placed), figures)


def run(answer: Callable[[Choice], tuple[Rows, Summary]], before: Summary) -> tuple[Trial, list[Choice]]:
    asked: list[Choice] = []

    def attempt(choice: Choice) -> Trial:
        asked.append(choice)
        return trial(choice, *answer(choice))

    return settle(attempt, before, LEGALISING), asked


def test_a_good_result_is_taken_at_once() -> None:
    found, asked = run(lambda _: ([("a", 900, "big")], summary(1, 0, 1.0)), summary(3, 6))
    assert asked == [Choice()] and found.summary.loadables == 1


def test_rewrites_that_only_make_an_island_are_declined() -> None:
    rows: Rows = [("a", 900, "big"), ("i", 2, "small")]

    def answer(choice: Choice) -> tuple[Rows, Summary]:
        return (rows[:1], summary(1, 2, 0.99)) if choice.declined else (rows, summary(2, 4, 1.0))

    found, asked = run(answer, summary(2, 4))
    assert asked == [Choice(), Choice(frozenset({("small", "i.anchor")}))]
    assert found.summary.loadables == 1


def test_an_island_that_stood_before_is_nobodys_fault() -> None:
    rows: Rows = [("a", 900, "big"), ("i", 2, "")]
    _, asked = run(lambda _: (rows, summary(2, 4, 1.0)), summary(2, 4))
    assert asked == [Choice()]


def test_declining_is_taken_back_where_it_does_not_help() -> None:
    rows: Rows = [("a", 900, "big"), ("i", 2, "small")]
    found, asked = run(lambda c: (rows, summary(2, 6 if c.declined else 4)), summary(2, 4))
    assert len(asked) == 2 and found.choice == Choice()


def test_declining_is_taken_back_where_it_spoils_the_result() -> None:
    rows: Rows = [("a", 900, "big"), ("i", 2, "small")]
    found, _ = run(lambda c: (rows, summary(1, 2, 0.94) if c.declined else summary(2, 2, 0.96)), summary(0, 0, 0.5))
    assert found.choice == Choice()


def test_a_worse_result_loses_the_pass_at_its_borders() -> None:
    rows: Rows = [("a", 900, "border"), ("b", 800, "border"), ("c", 700, "big")]

    def answer(choice: Choice) -> tuple[Rows, Summary]:
        return (rows[2:], summary(1, 2)) if choice.skipped else (rows, summary(9, 20))

    found, asked = run(answer, summary(2, 4))
    assert asked[1] == Choice(skipped=frozenset({"border", "big"}))
    assert found.summary.loadables == 1


def test_hopeless_islands_are_not_tried_first() -> None:
    rows: Rows = [("a", 900, "border"), ("b", 900, "border"), ("c", 900, "border"), ("i", 2, "small")]

    def answer(choice: Choice) -> tuple[Rows, Summary]:
        return (rows[2:], summary(2, 4)) if "border" in choice.skipped else (rows, summary(9, 20))

    _, asked = run(answer, summary(2, 4))
    assert asked[1] == Choice(skipped=frozenset({"border"}))
    # Only then, and without the pass that was left out.
    assert asked[2] == Choice(frozenset({("small", "i.anchor")}), frozenset({"border"}))


@pytest.mark.parametrize(("share", "crossings", "kept"), [(0.97, 8, True), (0.80, 8, False), (0.97, 40, False)])
def test_more_loadables_need_much_more_work_on_the_dla(share: float, crossings: int, kept: bool) -> None:
    rows: Rows = [("a", 900, "big")]
    found, _ = run(lambda c: (rows, summary(1, 2) if c.skipped else summary(2, crossings, share)), summary(1, 2))
    assert (found.choice == Choice()) is kept


def test_when_nothing_helps_nothing_is_rewritten() -> None:
    rows: Rows = [("a", 900, "big"), ("b", 100, "small"), ("c", 100, "border")]
    found, asked = run(lambda c: (rows, summary(1, 2) if c.skipped == LEGALISING else summary(9, 20)), summary(1, 2))
    assert found.choice == Choice(skipped=LEGALISING) and len(asked) <= 6

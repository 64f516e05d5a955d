"""Cures are names of the pass catalogue, and a chooser names none that its rule does not list."""

from __future__ import annotations

import ast
import inspect

from dlarewrite.catalogue import discover
from dlarewrite.target import cures, rulebook, support_matrix
from dlarewrite.target.rules import activation, conv, elementwise, matrix, resize, shuffle, slicing

CATALOGUE = frozenset(found.name for found in discover().classes()) | {"split-tail"}  # what `dlarewrite split` does


def _words(module: object) -> set[str]:
    """Every string in the module's choosers that looks like a pass name."""
    tree = ast.parse(inspect.getsource(module))  # type: ignore[arg-type]
    strings = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return {s for s in strings if s and s == s.lower() and "-" in s and " " not in s and s[0].isalpha()}


def test_cures_are_in_the_catalogue() -> None:
    named = {cure for rule in rulebook() for cure in rule.cures}
    for row in support_matrix():
        named |= {row.cure, *row.cures.values()}
    for module in (cures, activation, conv, elementwise, matrix, resize, shuffle, slicing):
        named |= _words(module)
    assert named - {""} <= CATALOGUE


def test_a_cure_of_a_row_is_for_an_operator_that_the_row_can_see() -> None:
    for row in support_matrix():
        extra = set(row.cures) - set(row.ops)
        # A node that lowers to several layers meets rows that are not its own.
        assert extra <= {"Conv", "Softmax", "LogSoftmax", "Shrink", "Swish"}, row.id

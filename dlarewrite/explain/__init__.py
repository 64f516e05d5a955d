"""Explains: a rule as a page, and a pasted TensorRT build log as layers, rules, reasons and cures."""

from __future__ import annotations

from dlarewrite.explain.catalogue import PATTERNS, pointing_to
from dlarewrite.explain.comparison import Comparison, compare
from dlarewrite.explain.explanation import Explanation, explain
from dlarewrite.explain.lines import open_log, read_lines
from dlarewrite.explain.pattern import Pattern, Role
from dlarewrite.explain.reader import Reader
from dlarewrite.explain.reading import Reading
from dlarewrite.explain.versions import choose

__all__ = [
    "PATTERNS",
    "Comparison",
    "Explanation",
    "Pattern",
    "Reader",
    "Reading",
    "Role",
    "choose",
    "compare",
    "explain",
    "open_log",
    "pointing_to",
    "read_lines",
]

"""All sentences that are understood, in the order in which they are tried."""

from __future__ import annotations

from dlarewrite.explain.failures import FAILURES
from dlarewrite.explain.fallbacks import FALLBACKS
from dlarewrite.explain.kin import KIN
from dlarewrite.explain.pattern import Pattern
from dlarewrite.explain.placements import CONTEXT, PLACEMENTS
from dlarewrite.explain.reasons import REASONS

PATTERNS: tuple[Pattern, ...] = (*FALLBACKS, *REASONS, *PLACEMENTS, *FAILURES, *CONTEXT, *KIN)


def pointing_to(rule: str) -> tuple[Pattern, ...]:
    """The sentences that point to a rule."""
    return tuple(p for p in PATTERNS if rule in p.rules or any(rule in ids for ids in p.by_op.values()))

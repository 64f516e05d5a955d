"""One rule of the target as data, and the book that holds them all."""

from __future__ import annotations

import difflib
import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from dlarewrite.errors import UsageError
from dlarewrite.target.limits import Below, Limit, Must
from dlarewrite.target.sources import cite
from dlarewrite.target.verdict import Evidence, Finding, Precision

COLUMNS = ("X82", "X85", "O85", "O86", "D86", "O10", "O114")
ALL = frozenset(COLUMNS)
SINCE_84 = ALL - {"X82"}
XAVIER = frozenset({"X82", "X85"})
ORIN = ALL - XAVIER
SINCE_8612 = frozenset({"D86", "O10", "O114"})
SINCE_10 = frozenset({"O10", "O114"})
BOTH = frozenset(Precision)
FP16_ONLY = frozenset({Precision.FP16})
INT8_ONLY = frozenset({Precision.INT8})


class Scope(str, enum.Enum):
    """Who applies a rule.

    LAYER: the judge, to each layer; TENSOR: the judge, to each tensor; MATRIX: the support matrix names it; GRAPH: the
    judge, to a whole graph; NOTE: said of every layer of its kind, as a scale table is needed to check it; CAVEAT: an
    offline check cannot know, `not_checked` lists it; OPTION: binds what a build may be asked for, and is checked
    there; COVERED: other rules say it, or nothing can break it.
    """

    LAYER = "layer"
    TENSOR = "tensor"
    MATRIX = "matrix"
    GRAPH = "graph"
    NOTE = "note"
    COVERED = "covered"
    OPTION = "option"
    CAVEAT = "caveat"


@dataclass(frozen=True)
class Rule:
    """One thing the DLA, or TensorRT in front of it, asks of a layer.

    ``layer`` holds layer kinds or families, separated by commas ("*": all). ``measure`` takes the layer's facts and
    gives the values to hold against ``limit``: one for each name in ``quantity``, or none where the rule has nothing to
    say. ``profiles`` are matrix columns. ``effect`` is what a breach does: "gpu", "uncertain" or "note". ``cure`` holds
    pass names, the likeliest first; ``choose``, where given, picks one of them (or none) by the facts. A rule without
    a measure is applied elsewhere, or stands in the book because an offline check cannot know (``scope``).
    """

    id: str
    title: str
    layer: str
    ops: tuple[str, ...]
    quantity: tuple[str, ...]
    limit: Limit
    evidence: Evidence
    sources: tuple[str, ...]
    effect: str = "gpu"
    measure: Callable[[Any], tuple[Any, ...]] | None = None
    profiles: frozenset[str] = ALL
    precisions: frozenset[Precision] = BOTH
    cure: str = ""
    choose: Callable[[Any], str] | None = None
    scope: Scope = Scope.LAYER
    explanation: str = ""

    @property
    def cures(self) -> tuple[str, ...]:
        """The passes that may cure the rule, the likeliest first."""
        return tuple(name for name in self.cure.split(" ") if name)

    def message(self, subject: str, quantity: str, value: Any) -> str:
        """The sentence with the measured and the allowed value."""
        return f"{subject} {quantity} must be {self.limit.speak()}, got {self._show(value)}".lstrip()

    def finding(self, subject: str, quantity: str, value: Any, facts: Any = None) -> Finding:
        """What is said where ``value`` breaks the rule."""
        return self._finding(self.message(subject, quantity, value), facts)

    def broken(self, subject: str, measured: tuple[Any, ...], facts: Any) -> Finding:
        """One finding for all values that break the rule: a sentence for the first, the others in brackets."""
        found = [(self._name(i, measured), v) for i, v in enumerate(measured) if not self.limit.holds(v)]
        text = self.message(subject, *found[0])
        if len(found) > 1:
            text += f" (and {', '.join(f'{name} {self._show(value)}' for name, value in found[1:])})"
        return self._finding(text, facts)

    def _name(self, index: int, measured: tuple[Any, ...]) -> str:
        """The quantity's name; numbered where the layer has another number of dimensions than the rule speaks of."""
        if len(self.quantity) == len(measured):
            return self.quantity[index]
        if len(measured) == 1 or len(self.quantity) == 1:
            return self.quantity[-1]
        return f"{self.quantity[-1]} ({index + 1} of {len(measured)})"

    def _finding(self, message: str, facts: Any) -> Finding:
        cure = self.choose(facts) if self.choose is not None else next(iter(self.cures), "")
        return Finding(self.id, self.evidence, self.effect, message, cure, self.source)

    def _show(self, value: Any) -> str:
        if isinstance(self.limit, Below):
            return f"{value[0]} against {value[1]}"
        if isinstance(value, tuple):
            return " x ".join(str(v) for v in value)
        return f"{value:g}" if isinstance(value, float) else str(value)

    @property
    def source(self) -> str:
        """Keys with addresses."""
        return "; ".join(cite(key) for key in self.sources)


@dataclass(frozen=True)
class RuleBook:
    """All rules, in the order of the documentation, findable by id."""

    rules: tuple[Rule, ...]
    _by_id: dict[str, Rule] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for rule in self.rules:
            if rule.id in self._by_id:
                raise ValueError(f"two rules are called {rule.id}")
            self._by_id[rule.id] = rule

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    def __contains__(self, rule_id: object) -> bool:
        return rule_id in self._by_id

    def get(self, rule_id: str) -> Rule:
        """The rule; raises :class:`UsageError` with the nearest ids where there is none."""
        found = self._by_id.get(rule_id) or self._by_id.get(rule_id.upper().removeprefix("DLA-"))
        if found is not None:
            return found
        near = difflib.get_close_matches(rule_id.upper(), self._by_id, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "see `dlarewrite list rules`"
        raise UsageError(f"there is no rule {rule_id!r}", hint=hint)


MATRIX_LIMIT = Must("supported")

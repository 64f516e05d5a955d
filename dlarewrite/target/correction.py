"""What a board said against the rule book, as a file that ``--target`` takes in place of the target it names.

A board answers for single nodes, so a correction is no wider than its question: a value at a rule's edge is taken or
refused as the board did, a rule in words that the board did not hold becomes doubtful, a layer that the board refused
against the book becomes doubtful.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from dlarewrite.errors import UsageError
from dlarewrite.target.limits import Limit, Must
from dlarewrite.target.rule import Rule, Scope
from dlarewrite.target.verdict import Evidence

VERSION = 1
_KEYS = {"rule", "case", "layer", "value", "expected", "observed"}


@dataclass(frozen=True)
class Correction:
    """One question that a board answered otherwise.

    ``rule`` is the rule in question, ``case`` the node in words, ``layer`` the TensorRT layer kind, ``value`` the
    measured value at the rule's edge (None for a rule in words), ``expected`` the rule book's verdict and ``observed``
    the board's: "dla", "gpu" or "refused" (by the parser).
    """

    rule: str
    case: str
    layer: str
    value: Any
    expected: str
    observed: str


@dataclass(frozen=True)
class _Corrected:
    """A limit with single values that a board took, or refused."""

    limit: Limit
    taken: tuple[Any, ...] = ()
    refused: tuple[Any, ...] = ()

    def holds(self, value: Any, /) -> bool:
        return value in self.taken or (value not in self.refused and self.limit.holds(value))

    def speak(self) -> str:
        but = f", but not {', '.join(map(str, self.refused))} (probed)" if self.refused else ""
        return f"{self.limit.speak()}{but}"

    def edges(self) -> tuple[tuple[Any, bool], ...]:
        return tuple((value, self.holds(value)) for value, _ in self.limit.edges())


@dataclass(frozen=True)
class Corrections:
    """All that one board said: ``target`` and ``precision`` it was asked for, and the ``tensorrt`` that answered."""

    target: str
    precision: str
    tensorrt: str
    entries: tuple[Correction, ...] = ()

    def apply(self, rules: Iterable[Rule]) -> list[Rule]:
        """The rules as the board would have them."""
        found: list[Rule] = []
        for rule in rules:
            mine = [e for e in self.entries if e.rule == rule.id]
            found.append(_corrected(rule, mine) if mine else rule)
            found.extend(_doubt(rule, e) for e in mine if e.value is None and e.expected == "dla")
        return found

    def mark(self, layer: str, mark: str, rule: str) -> str:
        """The support matrix's mark for a layer: plain where the board took it, N where it was open and is refused."""
        said = {e.observed for e in self.entries if e.layer == layer and e.rule == rule and e.expected != "dla"}
        if "dla" in said:
            return ""
        return "N" if said and mark == "?" else mark

    def dump(self) -> str:
        """YAML text that :func:`load_corrections` reads."""
        data = {
            "version": VERSION,
            "target": self.target,
            "precision": self.precision,
            "tensorrt": self.tensorrt,
            "corrections": [{**asdict(e), "value": _plain(e.value)} for e in self.entries],
        }
        return yaml.safe_dump(data, sort_keys=False, width=120, allow_unicode=True)


NO_CORRECTIONS = Corrections("", "", "")


def load_corrections(path: Path) -> Corrections:
    """Read a file that ``dlarewrite probe`` wrote; raises :class:`UsageError` in one line where it is none."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"corrections {str(path)!r} cannot be read: {reason}") from error
    if not isinstance(data, dict) or data.get("version") != VERSION or not isinstance(data.get("corrections"), list):
        raise UsageError(
            f"{str(path)!r} is no correction file of version {VERSION}", hint="`dlarewrite probe -o FILE` writes one"
        )
    for index, entry in enumerate(data["corrections"], 1):
        if not isinstance(entry, dict) or set(entry) != _KEYS:
            raise UsageError(f"correction {index} in {str(path)!r} must have the keys {', '.join(sorted(_KEYS))}")
    head = {key: str(data.get(key, "")) for key in ("target", "precision", "tensorrt")}
    entries = tuple(Correction(**{**e, "value": _value(e["value"])}) for e in data["corrections"])
    return Corrections(**head, entries=entries)


def _corrected(rule: Rule, entries: list[Correction]) -> Rule:
    taken = tuple(e.value for e in entries if e.value is not None and e.observed == "dla")
    refused = tuple(e.value for e in entries if e.value is not None and e.observed != "dla" and e.expected == "dla")
    if taken or refused:
        return replace(rule, limit=_Corrected(rule.limit, taken, refused))
    if rule.scope is Scope.MATRIX:
        return rule
    said = {e.observed == "dla" for e in entries if e.value is None and e.expected != "dla"}
    # One node that the board takes does not speak for all that break a rule in words; an open rule is settled by it.
    settled = {("gpu", True): "uncertain", ("uncertain", True): "note", ("uncertain", False): "gpu"}
    return replace(rule, effect=settled.get((rule.effect, True in said), rule.effect)) if said else rule


def _doubt(rule: Rule, entry: Correction) -> Rule:
    """The same rule once more, to say that the board refused a layer which keeps it."""

    def measure(facts: Any) -> tuple[Any, ...]:
        return (f"a refusal of {entry.case}",)

    return replace(
        rule,
        layer=entry.layer,
        quantity=("answer of the probed board",),
        limit=Must("yes"),
        measure=measure,
        effect="uncertain",
        evidence=Evidence.LOG,
        scope=Scope.LAYER,
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

"""A rule's page: what it asks of whom, on which machines, on what evidence, and what to do about it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from dlarewrite.explain.catalogue import pointing_to
from dlarewrite.explain.sources import address
from dlarewrite.target import Precision, Rule, Scope, profiles
from dlarewrite.target.rule import MATRIX_LIMIT
from dlarewrite.target.sources import cite

_EFFECTS = {
    "gpu": "a layer that breaks it runs on the GPU",
    "uncertain": "a layer that breaks it may or may not run on the DLA; it is counted as GPU",
    "note": "it is told, and decides nothing",
}
_CHECKED = {
    Scope.LAYER: "on every layer",
    Scope.TENSOR: "on every tensor",
    Scope.MATRIX: "by the support matrix, which says what layers a release has",
    Scope.GRAPH: "on the whole graph",
    Scope.NOTE: "not without a table of scales; it is told of every layer that it concerns",
    Scope.COVERED: "by other rules, or nothing that is judged can break it",
    Scope.OPTION: "by the build that asks for it",
    Scope.CAVEAT: "not at all: only a build on the device, or a table of scales, can show it",
}


def asks(rule: Rule) -> str:
    """The rule in one sentence."""
    if rule.limit is MATRIX_LIMIT:
        return "the layer must be one that the DLA of the release has"
    return f"{' and '.join(rule.quantity)} must be {rule.limit.speak()}"


def render(rule: Rule, width: int, passes: Mapping[str, str] | None = None) -> str:
    """The page as text; ``passes`` maps the names of installed passes to their summaries (None: not looked up)."""
    rows = [
        ("Asks", asks(rule)),
        ("Of", rule.layer.replace("*", "every layer")),
        ("ONNX", ", ".join(rule.ops) or "-"),
        ("Effect", _EFFECTS[rule.effect]),
        ("Checked", _CHECKED[rule.scope]),
        ("Precision", ", ".join(p.value for p in Precision if p in rule.precisions)),
        ("Holds for", "; ".join(f"{p.name} (TensorRT {p.version})" for p in _held(rule)) or "no profile"),
        ("Not for", ", ".join(p.name for p in profiles() if p.column not in rule.profiles) or "-"),
        ("Evidence", rule.evidence.value),
    ]
    parts = [f"{rule.id}: {rule.title}", "\n".join(_row(name, text, width) for name, text in rows)]
    if rule.explanation:
        parts.append(textwrap.fill(rule.explanation, max(width, 40)))
    parts.append("\n".join(["Cure", *_cure(rule, passes)]))
    logs = [pattern for pattern in pointing_to(rule.id) if pattern.evidence.firm]
    if logs:
        parts.append("\n".join(["In build logs", *(f"  {p.example}" for p in logs)]))
    parts.append("\n".join(["Sources", *(f"  {cite(key)}" for key in rule.sources)]))
    return "\n\n".join(parts)


def to_dict(rule: Rule) -> dict[str, Any]:
    """The page as plain data."""
    return {
        "schema_version": 1,
        "rule": rule.id,
        "title": rule.title,
        "asks": asks(rule),
        "layer": rule.layer,
        "ops": list(rule.ops),
        "effect": rule.effect,
        "checked": rule.scope.value,
        "precisions": [p.value for p in Precision if p in rule.precisions],
        "profiles": [p.name for p in _held(rule)],
        "evidence": rule.evidence.value,
        "cures": list(rule.cures),
        "explanation": rule.explanation,
        "log": [
            {"example": p.example, "evidence": p.evidence.value, "sources": [address(key) for key in p.sources]}
            for p in pointing_to(rule.id)
        ],
        "sources": [cite(key) for key in rule.sources],
    }


def _held(rule: Rule) -> list[Any]:
    return [p for p in profiles() if p.column in rule.profiles]


def _row(name: str, text: str, width: int) -> str:
    return textwrap.fill(text, max(width, 40), initial_indent=f"  {name:<10} ", subsequent_indent=" " * 13)


def _cure(rule: Rule, passes: Mapping[str, str] | None) -> list[str]:
    if not rule.cures:
        return ["  no pass cures it"]
    if passes is None:
        return [f"  pass {name}" for name in rule.cures]
    return [f"  pass {name}: {passes.get(name, '(not installed)')}" for name in rule.cures]

"""Pipelines as text: ``"fold-batchnorm,(resize-mode,deconv-pads{option=2})*"``.

A comma separates steps, ``( … )*`` repeats its steps until nothing changes, ``{name=value}`` sets options.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dlarewrite.errors import UsageError
from dlarewrite.rewrite.pass_ import AnyPass, options

_TOKEN = re.compile(r"\s*(?:(?P<name>[a-z0-9][a-z0-9.-]*)(?:\{(?P<options>[^}]*)\})?|(?P<mark>\(|\)\*|\)|,))")


@dataclass(frozen=True)
class Fixpoint:
    """Steps that are repeated, in order, until a whole round changes nothing."""

    passes: tuple[AnyPass, ...]


def parse(text: str, find: Callable[[str], type[AnyPass]]) -> tuple[AnyPass | Fixpoint, ...]:
    """Read a pipeline; ``find`` maps a pass name to its class and raises UsageError for unknown ones."""
    steps: list[AnyPass | Fixpoint] = []
    inner: list[AnyPass] | None = None
    place, wants_step = 0, True
    while text[place:].strip():
        token = _TOKEN.match(text, place)
        if token is None:
            raise _error(text, place, "expected a pass name")
        at, place = place, token.end()
        name, mark = token.group("name"), token.group("mark")
        if name:
            if not wants_step:
                raise _error(text, at, "expected a comma")
            made = create(find(name), token.group("options") or "")
            (steps if inner is None else inner).append(made)
            wants_step = False
        elif mark == ",":
            if wants_step:
                raise _error(text, at, "expected a pass name")
            wants_step = True
        elif mark == "(":
            if inner is not None or not wants_step:
                raise _error(text, at, "a group cannot start here (groups do not nest)")
            inner = []
        else:
            if inner is None or wants_step:
                raise _error(text, at, "this parenthesis closes nothing")
            if mark == ")":
                raise _error(text, at, "a group ends with ')*'")
            steps.append(Fixpoint(tuple(inner)))
            inner = None
    if inner is not None or wants_step:
        raise _error(text, len(text), "the pipeline ends too early")
    return tuple(steps)


def create(pass_class: type[AnyPass], text: str = "") -> AnyPass:
    """An instance of the pass with options from ``a=1,b=x``; values take the type of the option's default."""
    known = options(pass_class)
    chosen: dict[str, Any] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        key, _, value = part.partition("=")
        key = key.strip().replace("-", "_")
        if key not in known:
            offer = ", ".join(sorted(known)) or "none"
            raise UsageError(f"pass {pass_class.name!r} has no option {key!r}", hint=f"its options: {offer}")
        kind = type(known[key])
        try:
            chosen[key] = value.strip().lower() in ("1", "true", "yes") if kind is bool else kind(value.strip())
        except ValueError as error:
            raise UsageError(
                f"option {key!r} of pass {pass_class.name!r} takes {kind.__name__}, got {value!r}"
            ) from error
    return pass_class(**chosen)


def render(steps: tuple[AnyPass | Fixpoint, ...]) -> str:
    """The text that :func:`parse` reads back to the same pipeline."""
    parts = []
    for step in steps:
        if isinstance(step, Fixpoint):
            parts.append("(" + ",".join(_one(p) for p in step.passes) + ")*")
        else:
            parts.append(_one(step))
    return ",".join(parts)


def _one(pass_: AnyPass) -> str:
    changed = {k: getattr(pass_, k) for k, default in options(type(pass_)).items() if getattr(pass_, k) != default}
    return pass_.name + ("{" + ",".join(f"{k}={v}" for k, v in changed.items()) + "}" if changed else "")


def _error(text: str, place: int, what: str) -> UsageError:
    return UsageError(f"pipeline {text!r}, column {place + 1}: {what}", hint='example: "fold-batchnorm,(resize-mode)*"')

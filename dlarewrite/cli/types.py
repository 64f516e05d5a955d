"""Option types: how a word of the command line (or of a configuration file) becomes a value, and completes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import click
from click.shell_completion import CompletionItem

_UNITS = {"": 1, "b": 1, "k": 2**10, "kib": 2**10, "m": 2**20, "mib": 2**20, "g": 2**30, "gib": 2**30}


@dataclass(frozen=True)
class Share:
    """A share of a whole, 0 … 1; reads ``95%`` and ``0.95``."""

    value: float

    def __str__(self) -> str:
        return f"{100 * self.value:g}%"


@dataclass(frozen=True)
class Bound:
    """A tolerance for one output, or for all where ``output`` is empty; reads ``1e-5`` and ``boxes:1e-5``."""

    output: str
    value: float

    def __str__(self) -> str:
        return f"{self.output}:{self.value:g}" if self.output else f"{self.value:g}"


class ShareType(click.ParamType):  # type: ignore[type-arg]
    """See :class:`Share`; ``most`` is the greatest value allowed."""

    name = "share"

    def __init__(self, most: float = 1.0) -> None:
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Share:
        if isinstance(value, Share):
            return value
        text = str(value).strip()
        try:
            number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"{text!r} is no share; write 95% or 0.95", param, ctx)
        if not 0 <= number <= self.most:
            self.fail(f"{text!r} is not within 0% and {100 * self.most:g}%", param, ctx)
        return Share(number)


class SizeType(click.ParamType):  # type: ignore[type-arg]
    """Bytes; reads ``65536``, ``512KiB``, ``64MiB``, ``1g`` (binary units)."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d+)\s*([a-z]*)", str(value).strip().lower())
        if found is None or found[2] not in _UNITS:
            self.fail(f"{value!r} is no size; write bytes, 512KiB or 64MiB", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


class CoresType(click.ParamType):  # type: ignore[type-arg]
    """DLA cores, each once: ``0`` or ``0,1``."""

    name = "cores"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if not all(part.isdecimal() for part in parts):
            self.fail(f"{str(value)!r} is no list of numbers; write 0 or 0,1", param, ctx)
        if len(set(parts)) < len(parts):
            self.fail(f"{str(value)!r} names a core twice", param, ctx)
        return tuple(int(part) for part in parts)


class BoundType(click.ParamType):  # type: ignore[type-arg]
    """See :class:`Bound`; the name may contain colons."""

    name = "tolerance"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Bound:
        if isinstance(value, Bound):
            return value
        name, _, number = str(value).strip().rpartition(":")
        try:
            bound = Bound(name, float(number))
        except ValueError:
            self.fail(f"{str(value)!r} is no tolerance; write 1e-5 or OUTPUT:1e-5", param, ctx)
        if not 0 <= bound.value < float("inf"):
            self.fail(f"{str(value)!r} is not a finite number of 0 or more", param, ctx)
        return bound


class TargetType(click.ParamType):  # type: ignore[type-arg]
    """A target's name; it is looked up when the command runs, and completed from the profiles."""

    name = "target"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from dlarewrite.target import profiles

        return [CompletionItem(p.name, help=p.title) for p in profiles() if p.name.startswith(incomplete)]


class PassType(click.ParamType):  # type: ignore[type-arg]
    """A pass's name, or several with commas between; completed from everything that is installed."""

    name = "pass"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from dlarewrite.catalogue import discover

        done, comma, begun = incomplete.rpartition(",")
        return [CompletionItem(f"{done}{comma}{name}") for name in discover().refs if name.startswith(begun)]

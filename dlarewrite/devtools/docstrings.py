"""The fixed headings in a pass's docstring, which make its page."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

HEADINGS = ("What it does", "Law", "Numerics", "Fires", "Refuses", "Source", "Example")
_HEADING = re.compile(r"(?P<heading>[A-Z][A-Za-z ]{2,20}): (?P<text>.*)")


@dataclass(frozen=True)
class PassDoc:
    """A title and the headings, in the order in which they are written."""

    title: str
    headings: dict[str, str]

    @property
    def missing(self) -> tuple[str, ...]:
        """Headings that every pass has and this one lacks."""
        return tuple(h for h in HEADINGS if not self.headings.get(h))


def read(text: str) -> PassDoc:
    """A docstring's first line, then ``Heading: text``; what follows on further lines belongs to the heading."""
    title, _, rest = inspect.cleandoc(text).partition("\n")
    found: dict[str, str] = {}
    heading = ""
    for line in rest.splitlines():
        start = _HEADING.fullmatch(line)
        if start is not None:
            heading = start["heading"]
            found[heading] = start["text"]
        elif heading:
            found[heading] += f"\n{line.strip()}"
    return PassDoc(title, {h: t.strip() for h, t in found.items()})


def of_pass(pass_class: type[Any]) -> PassDoc:
    """The docstring of the module that holds the pass, or of the pass where that one has the headings."""
    own = read(pass_class.__doc__ or "")
    if not own.missing:
        return own
    return read(inspect.getdoc(inspect.getmodule(pass_class)) or "")

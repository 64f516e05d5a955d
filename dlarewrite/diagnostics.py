"""What dlarewrite has to say, as values: severity, place, message, cure and source. Nothing here prints."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol


class Severity(enum.IntEnum):
    """How much a diagnostic matters; the names are Polygraphy's and the compilers'."""

    NOTE = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True)
class Location:
    """Where: a node (its label and operator) and, when one tensor is to blame, that tensor."""

    node: str = ""
    op: str = ""
    tensor: str = ""


@dataclass(frozen=True)
class Diagnostic:
    """One finding with all that a reader needs to act on it."""

    severity: Severity
    code: str
    message: str
    location: Location = Location()
    target: str = ""
    help: str = ""
    source: str = ""

    def __str__(self) -> str:
        lines = [f"{self.severity.name.lower()}[{self.code}]: {self.message}"]
        if self.location.node:
            place = f"{self.location.node} ({self.location.op})"
            lines.append(f"  --> {place}, {self.location.tensor}" if self.location.tensor else f"  --> {place}")
        for name, text in (("target", self.target), ("help", self.help), ("source", self.source)):
            if text:
                lines.append(f"   = {name}: {text}")
        return "\n".join(lines)


class Sink(Protocol):
    """Takes diagnostics as they come; a list's ``append`` is one."""

    def __call__(self, diagnostic: Diagnostic, /) -> object: ...

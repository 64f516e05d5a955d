"""One sentence that TensorRT writes about the DLA, as data: how to know it, what it means, and who has seen it."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from dlarewrite.target import Evidence

Version = tuple[int, ...]


class Role(str, enum.Enum):
    """What a line does in a log.

    REASON: says why a layer is refused; FALLBACK: says that a layer leaves the DLA; CAP: the same, for want of room;
    DLA / GPU: an entry of the list of placed layers; OFFLOADED: a region that compiled; SCALE: a tensor without a
    scale; FAILURE: the build ends; CONTEXT: says something about the whole build; QUIET: known, and nothing to tell.
    """

    REASON = "reason"
    FALLBACK = "fallback"
    CAP = "cap"
    DLA = "dla"
    GPU = "gpu"
    OFFLOADED = "offloaded"
    SCALE = "scale"
    FAILURE = "failure"
    CONTEXT = "context"
    QUIET = "quiet"


_NONE: Mapping[str, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True)
class Pattern:
    """A message of TensorRT, with its log prefix taken off.

    ``literal`` has to occur in the message before ``regex`` (searched) is tried. Groups that are understood: ``layer``,
    ``type`` (TensorRT's layer type in capitals), ``op`` (an operation in capitals), ``region``, ``tensor``. ``rules``
    are ids of the rule book, ``by_op`` replaces them for single operations. ``since`` and ``until`` are the releases
    (inclusive, as numbers) whose logs have the sentence; None where that is not known. ``cure`` is a sentence for what
    no pass can do. Evidence below "log" means that the wording is only taken to be like this.
    """

    id: str
    role: Role
    literal: str
    regex: re.Pattern[str]
    example: str
    meaning: str
    evidence: Evidence
    sources: tuple[str, ...]
    rules: tuple[str, ...] = ()
    by_op: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NONE)
    cure: str = ""
    since: Version | None = None
    until: Version | None = None

    def search(self, message: str) -> re.Match[str] | None:
        """The match in a message, or None; linear in the message."""
        return self.regex.search(message) if self.literal in message else None

    def points_to(self, match: re.Match[str]) -> tuple[str, ...]:
        """The rules that this match points to, the likeliest first."""
        return self.by_op.get(group(match, "op").upper(), self.rules)


def group(match: re.Match[str], name: str) -> str:
    """A named group's text, or "" where the pattern lacks it or it took no part."""
    return (match[name] or "").strip() if name in match.re.groupindex else ""

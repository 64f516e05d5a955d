"""Measures and names that several families of rules share."""

from __future__ import annotations

from typing import Protocol

from dlarewrite.target.facts import WindowFacts

PADS = ("top pad", "left pad", "bottom pad", "right pad")


class Ranked(Protocol):
    """Facts of a layer that know the rank of its input."""

    @property
    def rank(self) -> int:
        """The number of dimensions."""


def rank(facts: Ranked) -> tuple[int, ...]:
    """The rank of the input."""
    return (facts.rank,)


def spatial(facts: WindowFacts) -> tuple[int, ...]:
    """The number of spatial dimensions."""
    return (len(facts.kernel),)


def pads(facts: WindowFacts) -> tuple[int, ...]:
    """All pads, those before first."""
    return facts.begin + facts.end


def group(facts: WindowFacts) -> tuple[int, ...]:
    """The number of groups."""
    return (facts.group,)


def int8(facts: object) -> tuple[str, ...]:
    """Broken wherever it is asked: for layers that an INT8 build runs in FP16."""
    return ("INT8",)

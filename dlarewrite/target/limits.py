"""Limits on measured values: each tests a value, speaks of itself, and lists the values around its edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


class Limit(Protocol):
    """What a rule allows."""

    def holds(self, value: Any, /) -> bool:
        """Whether the value is allowed."""

    def speak(self) -> str:
        """The end of the sentence "kernel height must be ..."."""

    def edges(self) -> tuple[tuple[Any, bool], ...]:
        """Values at and just beyond the edges, each with whether it is allowed."""


@dataclass(frozen=True)
class Between:
    """An integer or real number in the closed interval [low, high]."""

    low: float
    high: float

    def holds(self, value: float, /) -> bool:
        return self.low <= value <= self.high

    def speak(self) -> str:
        return f"in [{self.low}, {self.high}]"

    def edges(self) -> tuple[tuple[float, bool], ...]:
        return ((self.low - 1, False), (self.low, True), (self.high, True), (self.high + 1, False))


@dataclass(frozen=True)
class AtMost:
    """A number that does not exceed ``high``; ``unit`` is said after it."""

    high: float
    unit: str = ""

    def holds(self, value: float, /) -> bool:
        return value <= self.high

    def speak(self) -> str:
        return f"at most {self.high} {self.unit}".rstrip()

    def edges(self) -> tuple[tuple[float, bool], ...]:
        return ((self.high, True), (self.high + 1, False))


@dataclass(frozen=True)
class AtLeast:
    """A number that is not below ``low``."""

    low: float

    def holds(self, value: float, /) -> bool:
        return value >= self.low

    def speak(self) -> str:
        return f"at least {self.low}"

    def edges(self) -> tuple[tuple[float, bool], ...]:
        return ((self.low - 1, False), (self.low, True))


@dataclass(frozen=True)
class Equals:
    """Exactly one number."""

    value: float

    def holds(self, value: float, /) -> bool:
        return bool(value == self.value)

    def speak(self) -> str:
        return str(self.value)

    def edges(self) -> tuple[tuple[float, bool], ...]:
        return ((self.value - 1, False), (self.value, True), (self.value + 1, False))


@dataclass(frozen=True)
class MultipleOf:
    """A whole multiple of ``factor``."""

    factor: int

    def holds(self, value: int, /) -> bool:
        return value % self.factor == 0

    def speak(self) -> str:
        return f"a multiple of {self.factor}"

    def edges(self) -> tuple[tuple[int, bool], ...]:
        return ((self.factor - 1, False), (self.factor, True), (self.factor + 1, False))


@dataclass(frozen=True)
class OneOf:
    """One of a few values: numbers or words."""

    values: tuple[Any, ...]

    def holds(self, value: Any, /) -> bool:
        return value in self.values

    def speak(self) -> str:
        return "one of " + ", ".join(str(v) for v in self.values)

    def edges(self) -> tuple[tuple[Any, bool], ...]:
        inside = tuple((v, True) for v in self.values)
        numbers = [v for v in self.values if isinstance(v, int)]
        beyond = sorted({n + d for n in numbers for d in (-1, 1)} - set(self.values))
        return inside + tuple((v, False) for v in beyond)


@dataclass(frozen=True)
class WholeBetween:
    """A real number that is whole and in [low, high]."""

    low: int
    high: int

    def holds(self, value: float, /) -> bool:
        return value == int(value) and self.low <= value <= self.high

    def speak(self) -> str:
        return f"a whole number in [{self.low}, {self.high}]"

    def edges(self) -> tuple[tuple[float, bool], ...]:
        return (
            (self.low / 2, False),
            (self.low, True),
            (self.low + 0.5, False),
            (self.high, True),
            (self.high + 1, False),
        )


@dataclass(frozen=True)
class Below:
    """A pair (value, bound) whose value is less than its bound; ``what`` names the bound."""

    what: str

    def holds(self, value: tuple[int, int], /) -> bool:
        return value[0] < value[1]

    def speak(self) -> str:
        return f"less than the {self.what}"

    def edges(self) -> tuple[tuple[tuple[int, int], bool], ...]:
        return (((2, 3), True), ((3, 3), False))


@dataclass(frozen=True)
class WindowPair:
    """A pair (height, width): both in [1, ``high``], or one of ``long`` beside a 1."""

    high: int
    long: tuple[int, ...]

    def holds(self, value: tuple[int, int], /) -> bool:
        small, large = min(value), max(value)
        return small >= 1 and (large <= self.high or (small == 1 and large in self.long))

    def speak(self) -> str:
        many = ", ".join(str(v) for v in self.long)
        return f"in [1, {self.high}] both ways, or 1 x one of {many}"

    def edges(self) -> tuple[tuple[tuple[int, int], bool], ...]:
        high = self.high
        legal = [((1, 1), True), ((high, high - 1), True), ((1, high), True)]
        broken = [((high + 1, 2), False), ((2, high + 1), False), ((1, high + 1), False)]
        slim = [(pair, True) for v in self.long for pair in ((1, v), (v, 1))]
        slim += [(pair, False) for v in self.long for pair in ((2, v), (1, v - 1), (v + 1, 1))]
        return tuple(legal + broken + slim)


@dataclass(frozen=True)
class NotSquareBetween:
    """A pair (height, width) that is not one number twice with that number in [low, high]."""

    low: int
    high: int

    def holds(self, value: tuple[int, int], /) -> bool:
        return value[0] != value[1] or not self.low <= value[0] <= self.high

    def speak(self) -> str:
        return f"outside {self.low} x {self.low} ... {self.high} x {self.high}"

    def edges(self) -> tuple[tuple[tuple[int, int], bool], ...]:
        low, high = self.low, self.high
        return (
            ((low - 1, low - 1), True),
            ((low, low), False),
            ((low, low + 1), True),
            ((high, high), False),
        )


@dataclass(frozen=True)
class Must:
    """A condition in words; the measure gives "" where it is met, else what was found instead."""

    text: str

    def holds(self, value: str, /) -> bool:
        return not value

    def speak(self) -> str:
        return self.text

    def edges(self) -> tuple[tuple[str, bool], ...]:
        return ()

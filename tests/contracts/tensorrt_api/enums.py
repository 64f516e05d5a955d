"""Enums that behave as pybind11's: no iteration, no order unless bound as arithmetic, equal only to their own kind."""

from __future__ import annotations

from typing import Any


class _Member:
    """A member of an enum; classes are made by :func:`make_enum`."""

    __members__: dict[str, Any]

    def __init__(self, value: int) -> None:
        if not isinstance(value, int):
            raise TypeError(f"__init__(): incompatible constructor arguments: {value!r}")
        self.value = value

    @property
    def name(self) -> str:
        return next(name for name, member in type(self).__members__.items() if member.value == self.value)

    def __int__(self) -> int:
        return self.value

    __index__ = __int__

    def __hash__(self) -> int:
        return hash(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.value == other.value

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self.name}: {self.value}>"

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"


class _Ordered(_Member):
    __hash__ = _Member.__hash__

    def __lt__(self, other: Any) -> bool:
        return self.value < other.value if isinstance(other, type(self)) else NotImplemented

    def __le__(self, other: Any) -> bool:
        return self.value <= other.value if isinstance(other, type(self)) else NotImplemented

    def __gt__(self, other: Any) -> bool:
        return self.value > other.value if isinstance(other, type(self)) else NotImplemented

    def __ge__(self, other: Any) -> bool:
        return self.value >= other.value if isinstance(other, type(self)) else NotImplemented


def make_enum(name: str, members: dict[str, int], ordered: bool) -> Any:
    """An enum class with these members."""
    made: Any = type(name, (_Ordered if ordered else _Member,), {"__members__": {}, "__module__": "tensorrt"})
    for member, value in members.items():
        made.__members__[member] = made(value)
        setattr(made, member, made.__members__[member])
    return made

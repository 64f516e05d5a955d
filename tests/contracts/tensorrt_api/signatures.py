"""pybind11's docstring signatures as values, and whether a Python value fits one of its types."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

REQUIRED = object()
_UNNAMED = re.compile(r"arg\d+")
_ENUM_DEFAULT = re.compile(r"<(?:\w+\.)?(\w+): -?\d+>")


@dataclass(frozen=True)
class Parameter:
    """One argument: its name, the type as written, and its default as written (or :data:`REQUIRED`)."""

    name: str
    type: str
    default: Any

    @property
    def positional_only(self) -> bool:
        return _UNNAMED.fullmatch(self.name) is not None


@dataclass(frozen=True)
class Signature:
    """One overload, without ``self``."""

    text: str
    parameters: tuple[Parameter, ...]
    returns: str

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any], fits: Callable[[str, Any], bool]) -> list[Any] | None:
        """The arguments in order with defaults (as written) filled in; None where this overload does not take them."""
        if len(args) > len(self.parameters):
            return None
        left = dict(kwargs)
        bound: list[Any] = []
        for index, parameter in enumerate(self.parameters):
            if index < len(args):
                value = args[index]
            elif parameter.name in left and not parameter.positional_only:
                value = left.pop(parameter.name)
            elif parameter.default is not REQUIRED:
                bound.append(parameter.default)
                continue
            else:
                return None
            if not (fits(parameter.type, value) or (value is None and parameter.default is None)):
                return None
            bound.append(value)
        return None if left else bound


def parse(text: str, default_of: Callable[[str, str], Any]) -> Signature:
    """``(self: A, x: int = 0) -> B``; ``default_of`` turns an enum's type and member name into its member."""
    inside, returns = _halves(text)
    parameters = []
    for part in _split(inside):
        name, _, rest = part.partition(":")
        if name.strip() in ("self", "this"):
            continue
        type_, separator, default = rest.partition(" = ")
        member = _ENUM_DEFAULT.fullmatch(default.strip())
        value: Any = REQUIRED
        if separator:
            value = default_of(type_.strip(), member.group(1)) if member else ast.literal_eval(default.strip())
        parameters.append(Parameter(name.strip(), type_.strip() or "object", value))
    return Signature(text, tuple(parameters), returns)


def _halves(text: str) -> tuple[str, str]:
    depth = 0
    for index, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0:
            return text[1:index], text[index + 1 :].replace("->", "").strip() or "object"
    raise ValueError(f"not a signature: {text!r}")


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(text):
        depth += {"[": 1, "(": 1, "<": 1, "]": -1, ")": -1, ">": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [part for part in (*parts, text[start:]) if part.strip()]


def _is_int(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, np.ndarray)


def _is_float(value: Any) -> bool:
    return isinstance(value, (int, float, np.floating, np.integer))


def _is_buffer(value: Any) -> bool:
    try:
        memoryview(value)
    except TypeError:
        return False
    return True


PLAIN: dict[str, Callable[[Any], bool]] = {
    "int": _is_int,
    "SupportsInt": _is_int,
    "SupportsIndex": _is_int,
    "float": _is_float,
    "SupportsFloat": _is_float,
    "bool": lambda value: isinstance(value, (bool, np.bool_)),
    "str": lambda value: isinstance(value, str),
    "None": lambda value: value is None,
    "object": lambda value: True,
    "buffer": _is_buffer,
    "Buffer": _is_buffer,
    "bytes": lambda value: isinstance(value, bytes),
    "Callable": callable,
    "Iterable": lambda value: hasattr(value, "__iter__"),
    "list": lambda value: isinstance(value, list),
    "tuple": lambda value: isinstance(value, tuple),
    "slice": lambda value: isinstance(value, slice),
    "numpy.ndarray": lambda value: isinstance(value, np.ndarray),
    "ndarray": lambda value: isinstance(value, np.ndarray),
    "capsule": lambda value: type(value).__name__ == "PyCapsule",
    "CapsuleType": lambda value: type(value).__name__ == "PyCapsule",
    "str_attr>": lambda value: True,
}
SEQUENCES = ("List", "Sequence", "list", "Iterable")


def bare(type_: str) -> str:
    """A type's own name, without the modules and C++ namespaces that docstrings leave before it."""
    return re.sub(r"^(?:\w+::)+|^collections\.abc\.|^typing(?:_extensions)?\.", "", type_.strip())


def element(type_: str) -> str | None:
    """What a sequence type holds; None where the type is no sequence."""
    match = re.fullmatch(r"(\w+)\[(.+)\]", bare(type_))
    return match.group(2) if match and match.group(1) in SEQUENCES else None

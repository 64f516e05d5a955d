"""``--shape`` in the spellings of trtexec, OnnxSlim and Polygraphy; names may contain colons.

``name:1x3x640x640``, ``name:1,3,640,640``, ``name:[1,3,640,640]``, several with commas between, and the dims alone for
a model with one input.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from dlarewrite.errors import UsageError

_DIMS = r"\d+(?:x\d+)*|\d+(?:\s*,\s*\d+)*|\[\s*\d+(?:\s*,\s*\d+)*\s*\]"
_LAST = re.compile(rf"(?:(?P<name>.+):)?(?P<dims>{_DIMS})")
_EARLIER = re.compile(rf"(?P<rest>.+:(?:{_DIMS})),(?P<name>[^,]+)")


@dataclass(frozen=True)
class Shape:
    """The dims of one input; ``name`` is empty where only the dims were given."""

    name: str
    dims: tuple[int, ...]

    def __str__(self) -> str:
        dims = "x".join(map(str, self.dims))
        return f"{self.name}:{dims}" if self.name else dims


def parse(text: str) -> tuple[Shape, ...]:
    """All shapes in one word of the command line; raises :class:`UsageError` that shows how it is written."""
    rest: str | None = text.strip()
    found: list[Shape] = []
    while rest is not None:
        last = _LAST.fullmatch(rest)
        if last is None:
            raise _error(text)
        name, rest = last["name"] or "", None
        earlier = _EARLIER.fullmatch(name)
        if earlier is not None:
            rest, name = earlier["rest"], earlier["name"]
        dims = tuple(int(d) for d in re.findall(r"\d+", last["dims"]))
        if 0 in dims:
            raise _error(text, ", and every dim is 1 or more")
        found.insert(0, Shape(name, dims))
    return tuple(found)


def _error(text: str, more: str = "") -> UsageError:
    return UsageError(
        f"{text!r} is no shape", hint=f"write NAME:1x3x640x640, or the dims alone for a single input{more}"
    )


class ShapeType(click.ParamType):  # type: ignore[type-arg]
    """One or more shapes; see :func:`parse`."""

    name = "shape"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Shape, ...]:
        return value if isinstance(value, tuple) else parse(str(value))


def resolve(shapes: Iterable[Shape], model: Path) -> dict[str, tuple[int, ...]]:
    """Input name -> dims; dims without a name go to the model's only input.

    Raises :class:`UsageError` where an input is given two shapes, or where it is not clear which one is meant.
    """
    found: dict[str, tuple[int, ...]] = {}
    for shape in shapes:
        name = shape.name or _only_input(model, shape)
        known = found.get(name, shape.dims)
        if known != shape.dims:
            raise UsageError(f"input {name!r} is given two shapes: {Shape('', known)} and {Shape('', shape.dims)}")
        found[name] = shape.dims
    return found


def _only_input(path: Path, shape: Shape) -> str:
    from dlarewrite.ir.model import Model

    names = [str(tensor.name) for tensor in Model.load(path).inputs]
    if len(names) == 1:
        return names[0]
    raise UsageError(
        f"--shape {shape} names no input, and the model has {len(names)}",
        hint=f"write --shape NAME:{shape}; inputs: {', '.join(names)}",
    )

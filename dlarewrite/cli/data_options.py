"""The options that say which data a command runs a model on, and how pictures are prepared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dlarewrite.errors import UsageError

if TYPE_CHECKING:
    from dlarewrite.cli.console import Console
    from dlarewrite.ir.model import Model
    from dlarewrite.precision.data import Data
    from dlarewrite.precision.images import Preprocess

F = TypeVar("F", bound=Callable[..., Any])


class SizeType(click.ParamType):  # type: ignore[type-arg]
    """``224x224`` (height, width), or ``224``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value[0], value[1]
        parts = str(value).lower().split("x")
        if len(parts) not in (1, 2) or not all(p.isdecimal() and int(p) > 0 for p in parts):
            self.fail(f"{str(value)!r} is no size; write HEIGHTxWIDTH, such as 224x224", param, ctx)
        return int(parts[0]), int(parts[-1])


class NumbersType(click.ParamType):  # type: ignore[type-arg]
    """``0.485,0.456,0.406``, or one number for all channels."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        words = value if isinstance(value, (tuple, list)) else str(value).split(",")
        try:
            found = tuple(float(word) for word in words)
        except ValueError:
            self.fail(f"{str(value)!r} is no list of numbers; write 0.485,0.456,0.406", param, ctx)
        if any(not abs(number) < float("inf") for number in found):
            self.fail(f"{str(value)!r} holds a number that is not finite", param, ctx)
        return found


class FactorType(click.ParamType):  # type: ignore[type-arg]
    """``1/255`` or ``0.0039``."""

    name = "factor"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from dlarewrite.precision.images import parse_scale

        if isinstance(value, float):
            return value
        try:
            return parse_scale(str(value))
        except (ValueError, ZeroDivisionError):
            self.fail(f"{str(value)!r} is no factor; write 1/255 or 0.0039", param, ctx)


_OPTIONS = (
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Use the first N samples only."),
    click.option("--size", type=SizeType(), metavar="HxW", help="Of pictures; default: the model's input."),
    click.option("--mean", type=NumbersType(), metavar="R,G,B", help="Taken off each channel, after --scale."),
    click.option("--std", type=NumbersType(), metavar="R,G,B", help="Each channel is divided by it."),
    click.option("--scale", type=FactorType(), metavar="1/255", help="Pixels (0 to 255) times this; default 1/255."),
    click.option("--order", type=click.Choice(["rgb", "bgr", "gray"]), help="Channels, and those of --mean and --std."),
    click.option("--layout", type=click.Choice(["nchw", "nhwc"]), help="Default: what the input's dims say."),
    click.option(
        "--fit",
        type=click.Choice(["crop", "letterbox", "stretch"]),
        help="How a picture gets its size: cut the middle out (default), fit in and fill up, or change the aspect.",
    ),
    click.option(
        "--resize", type=click.IntRange(min=1), metavar="PIXELS", help="With crop: the shorter side before the cut."
    ),
    click.option("--fill", type=click.IntRange(0, 255), help="With letterbox: gray around the picture; default 114."),
    click.option("--threads", type=click.IntRange(min=0), default=0, help="Of onnxruntime; default: one per core."),
)
_PICTURE = ("size", "mean", "std", "scale", "order", "layout", "fit", "resize", "fill")


def data_options(function: F) -> F:
    """``--limit``, ``--threads`` and the preparation of pictures."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def opened(spec: str, model: Model, given: dict[str, Any], console: Console) -> tuple[Data, Preprocess | None]:
    """The data that ``--data`` names, limited; says what was understood."""
    from dlarewrite.precision.source import open_data

    chosen = {name: given[name] for name in _PICTURE if given.get(name) is not None}
    data, how = open_data(spec, model, chosen)
    if chosen and how is None:
        raise UsageError(f"--{next(iter(chosen))} is for pictures, and --data {spec} holds none")
    console.info(f"data: {data.title}")
    return data.limited(given.get("limit")), how


def progress(tell: Callable[[str], None]) -> Callable[[int, int | None, str], None]:
    """A watch that tells how many are done, how fast, and how long it will take."""
    import time

    begun: list[tuple[float, int]] = []

    def watch(done: int, count: int | None, name: str) -> None:
        now = time.monotonic()
        if not begun:
            begun.append((now, done))
        since, first = begun[0]
        rate = (done - first) / (now - since) if now > since and done > first else 0.0
        left = f", {_duration((count - done) / rate)} left" if rate and count is not None else ""
        of = f" of {count}" if count is not None else ""
        tell(f"{done}{of}{f', {rate:.1f}/s' if rate else ''}{left}: {name}")

    return watch


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def check_output(output: Path, model: Path) -> None:
    """What can be wrong with the place of a result is said before the work starts."""
    from dlarewrite.cli.output import check_paths

    check_paths(model, output)

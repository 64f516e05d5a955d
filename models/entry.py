"""The one command-line shape that every builder shares: ``python -m models.NAME OUT.onnx [options]``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
import onnx

__all__ = ["common_options", "parse_size", "write"]

Command = TypeVar("Command", bound=Callable[..., None])


def parse_size(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, int]:
    """``HxW`` in pixels, or one number for a square; raises click.BadParameter for anything else."""
    parts = value.lower().split("x")
    if len(parts) not in (1, 2) or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"{value!r} is not HEIGHTxWIDTH")
    return int(parts[0]), int(parts[-1])


def common_options(size: str, opset: int = 17) -> Callable[[Command], Command]:
    """Add ``OUT --size --seed --opset``; ``size`` and ``opset`` are the defaults."""
    options = (
        click.argument("out", type=click.Path(dir_okay=False, path_type=Path)),
        click.option(
            "--size",
            metavar="HxW",
            callback=parse_size,
            default=size,
            show_default=True,
            help="Height and width of the input.",
        ),
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the weights."),
        click.option("--opset", type=int, default=opset, show_default=True, help="ONNX opset, 11 or newer."),
    )

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def write(out: Path, build: Callable[..., onnx.ModelProto], **options: object) -> None:
    """Build the model, write it to ``out``, and say on stderr what was written."""
    try:
        model = build(**options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    data = model.SerializeToString(deterministic=True)
    try:
        out.write_bytes(data)
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror}") from error
    click.echo(f"{out}: {len(model.graph.node)} nodes, {len(data) / 1e6:.2f} MB", err=True)

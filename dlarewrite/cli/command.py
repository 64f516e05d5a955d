"""What every command has after its name: ``-v/-vv/-q``, ``--log-file``, ``--config`` and ``--dump-config``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from dlarewrite.cli import config
from dlarewrite.cli.console import Console, Level

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)

_DUMP = "dlarewrite.dump-config"


class Command(click.Command):
    """A click command that writes its settings instead of running where ``--dump-config`` is given."""

    def invoke(self, ctx: click.Context) -> Any:
        if ctx.meta.get(_DUMP):
            Console.current().product(config.dump(ctx))
            return None
        return super().invoke(ctx)


class Operand(click.Argument):
    """An argument that may be missing where only the settings are asked for."""

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        if ctx.meta.get(_DUMP) and self.value_is_missing(value):
            return None
        return super().process_value(ctx, value)


def operand(name: str) -> Callable[[F], F]:
    """A required path argument."""
    return click.argument(name, cls=Operand, type=FILE)


def command(name: str, *, short_help: str) -> Callable[[F], Command]:
    """Declare a command with the options that all commands have; put it above the command's own options."""

    def declare(function: F) -> Command:
        return click.command(name, cls=Command, short_help=short_help)(_talking(function))

    return declare


def _talking(function: F) -> F:
    for option in reversed(
        (
            click.option("-v", "--verbose", count=True, expose_value=False, callback=_more, help="Say more; -vv all."),
            click.option("-q", "--quiet", is_flag=True, expose_value=False, callback=_less, help="Only errors."),
            click.option("--log-file", type=FILE, expose_value=False, callback=_log, help="Keep every message here."),
            click.option(
                "--config", type=FILE, is_eager=True, expose_value=False, callback=_config, help="Settings as YAML."
            ),
            click.option(
                "--dump-config", is_flag=True, is_eager=True, expose_value=False, callback=_dump, help="Write them."
            ),
        )
    ):
        function = option(function)
    return function


def _more(ctx: click.Context, param: click.Parameter, value: int) -> None:
    if value:
        ctx.ensure_object(Console).level = Level(min(Level.INFO + value, Level.EXTRA))


def _less(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Console).level = Level.ERROR


def _log(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    if value is not None and not ctx.resilient_parsing:
        ctx.ensure_object(Console).open_log(value)


def _config(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    if value is not None and not ctx.resilient_parsing:
        ctx.default_map = config.load(value, ctx.command)


def _dump(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.meta[_DUMP] = value

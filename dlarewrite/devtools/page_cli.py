"""docs/cli.md: every command with its options, from the commands themselves."""

from __future__ import annotations

from typing import Any

import click

from dlarewrite.cli.main import program
from dlarewrite.devtools.markdown import code, codes, page, table

_INTRO = """\
`stdout` carries what was asked for, `stderr` the conversation: `[I]`, `[W]` and `[E]` lines. Options may stand
anywhere after the command's name. Exit codes: see [diagnostics](diagnostics.md).

Tab completion, for bash: `eval "$(_DLAREWRITE_COMPLETE=bash_source dlarewrite)"` (also `zsh_source`,
`fish_source`)."""


def render() -> str:
    """The page."""
    return page("Command line", _INTRO, *_commands(program, "dlarewrite"))


def _commands(group: click.Group, path: str) -> list[str]:
    context = click.Context(group, info_name=path)
    sections = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            sections += _commands(command, f"{path} {name}")
        elif command is not None:
            sections.append(_section(command, f"{path} {name}"))
    return sections


def _section(command: click.Command, path: str) -> str:
    operands = [p for p in command.params if isinstance(p, click.Argument)]
    usage = " ".join([path, *(_operand(p) for p in operands), "[OPTIONS]"])
    text = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    rows = [_option(p) for p in command.params if isinstance(p, click.Option) and not p.hidden]
    return "\n\n".join(
        [f"## {path}", f"```sh\n{usage}\n```", text, table(("Option", "Value", "Default", "What"), rows)]
    )


def _operand(argument: click.Argument) -> str:
    return "|".join(argument.type.choices) if isinstance(argument.type, click.Choice) else (argument.name or "").upper()


def _option(option: click.Option) -> tuple[str, str, str, str]:
    spelled = codes([*option.opts, *option.secondary_opts])
    return spelled, code(_value(option)), code(_default(option)), option.help or ""


def _value(option: click.Option) -> str:
    if option.is_flag or option.count:
        return ""
    if isinstance(option.type, click.Choice):
        return "|".join(map(str, option.type.choices))
    return option.metavar or (
        "N" if isinstance(option.type, (click.types.IntParamType, click.IntRange)) else _kind(option)
    )


def _kind(option: click.Option) -> str:
    return {"path": "PATH", "text": "TEXT"}.get(option.type.name, option.type.name.upper())


def _default(option: click.Option) -> str:
    if not option.show_default:
        return ""
    value: Any = option.default
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)

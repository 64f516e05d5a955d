"""``--config dlarewrite.yaml``: option names and values; the command line wins. ``--dump-config`` writes one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dlarewrite.cli.shapes import ShapeType
from dlarewrite.errors import UsageError

_NOT_IN_FILES = {"config", "dump_config", "help"}


def long_names(command: click.Command) -> dict[str, click.Option]:
    """The options that a file may set, by their long names without dashes."""
    found = {}
    for option in command.params:
        if isinstance(option, click.Option) and option.name not in _NOT_IN_FILES:
            name = next((o for o in option.opts if o.startswith("--")), "")
            if name:
                found[name.removeprefix("--")] = option
    return found


def load(path: Path, command: click.Command) -> dict[str, Any]:
    """The file's settings by parameter name; raises :class:`UsageError` for what is no option of ``command``."""
    known = long_names(command)
    found: dict[str, Any] = {}
    for key, value in _read(path).items():
        option = known.get(str(key).replace("_", "-"))
        if option is None:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"keys: {', '.join(known)}"
            raise UsageError(f"config {str(path)!r}: {command.name} has no option {str(key)!r}", hint=hint)
        if option.name is not None and value is not None:
            found[option.name] = _words(value, option) if option.multiple else value
    return found


def _read(path: Path) -> Mapping[Any, Any]:
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read config {str(path)!r}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"config {str(path)!r} is not YAML: {' '.join(str(error).split())}") from error
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise UsageError(f"config {str(path)!r} is not a mapping of option names to values")
    return data


def _words(value: Any, option: click.Option) -> list[Any]:
    """What an option that may be repeated is given: a list, one value, or a mapping of names to values."""
    if isinstance(value, Mapping):
        return [f"{name}:{_word(item)}" for name, item in value.items()]
    is_dims = isinstance(option.type, ShapeType) and isinstance(value, list) and all(isinstance(d, int) for d in value)
    if isinstance(value, list) and not is_dims:
        return value
    return [_word(value)]


def _word(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def dump(ctx: click.Context) -> str:
    """The settings of this run as a file that ``--config`` reads."""
    import yaml

    chosen: dict[str, Any] = {}
    for name, option in long_names(ctx.command).items():
        value = ctx.params.get(option.name or "")
        if option.expose_value and value is not None and value != ():
            chosen[name] = _plain(value)
    return str(yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True))


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        flat = [_plain(v) for v in value]
        return [w for v in flat for w in (v if isinstance(v, list) else [v])]
    return value if isinstance(value, (bool, int, float)) else str(value)

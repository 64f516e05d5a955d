"""``dlarewrite list``: what there is to choose from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from dlarewrite.cli import options
from dlarewrite.cli.command import command
from dlarewrite.cli.console import Console
from dlarewrite.cli.extensions import find_plugins
from dlarewrite.cli.output import width
from dlarewrite.cli.types import TargetType
from dlarewrite.report.figures import some

Rows = list[dict[str, Any]]

_TITLES = {"tensorrt": "TensorRT", "dla_cores": "DLA cores", "id": "Rule", "rule": "What"}


@command("list", short_help="List passes, targets, rules, support or plugins.")
@click.argument("what", type=click.Choice(["passes", "targets", "rules", "support", "plugins"]))
@click.option("--target", type=TargetType(), help="Only the rules, or the support, of this target.")
@options.plugin
@click.option("--json", "as_json", is_flag=True, help="The list as one JSON document.")
def list_(what: str, target: str | None, plugin: tuple[Path, ...], as_json: bool) -> None:
    """List passes (in the order in which they run), targets, rules, layer support per target, or plugins."""
    console = Console.current()
    rows, columns = _LISTS[what](console, target, plugin)
    if as_json:
        from dlarewrite.report.json_ import document_text

        console.product(document_text(rows))
        return
    from dlarewrite.report.tables import table

    titles = [_TITLES.get(column) or column.replace("_", " ").capitalize() for column in columns]
    console.product(table(titles, [[_cell(row[column]) for column in columns] for row in rows], width()))


def _cell(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return some([str(item) for item in value], 5) or "-"
    return str(value) if value not in ("", None) else "-"


def _passes(console: Console, target: str | None, files: Sequence[Path]) -> tuple[Rows, tuple[str, ...]]:
    from dlarewrite.rewrite.pass_ import options as options_of

    registry = find_plugins(console, files)
    rows: Rows = [
        {
            "name": found.name,
            "phase": found.phase.name.lower(),
            "numerics": str(found.numerics),
            "summary": found.summary(),
            "provider": registry.providers[found.name],
            "bound": found.bound,
            "after": list(found.after),
            "options": {name: str(default) for name, default in options_of(found).items()},
        }
        for found in registry.classes()
    ]
    return rows, ("name", "phase", "numerics", "summary", "provider")


def _targets(console: Console, target: str | None, files: Sequence[Path]) -> tuple[Rows, tuple[str, ...]]:
    from dlarewrite.target import DEFAULT_TARGET, profiles

    rows: Rows = [
        {
            "name": profile.name,
            "title": profile.title,
            "tensorrt": profile.version,
            "dla_cores": profile.dla_cores,
            "max_loadables": profile.max_loadables,
            "int8": profile.int8,
            "aliases": list(profile.aliases),
            "default": profile.name == DEFAULT_TARGET,
        }
        for profile in profiles()
    ]
    return rows, ("name", "title", "tensorrt", "dla_cores", "max_loadables", "aliases")


def _rules(console: Console, target: str | None, files: Sequence[Path]) -> tuple[Rows, tuple[str, ...]]:
    from dlarewrite.target import load_target, rulebook

    column = load_target(target).profile.column if target else None
    rows: Rows = [
        {
            "id": rule.id,
            "layer": rule.layer,
            "rule": rule.title,
            "effect": rule.effect,
            "evidence": rule.evidence.value,
            "cure": list(rule.cures),
            "ops": list(rule.ops),
            "columns": sorted(rule.profiles),
            "source": rule.source,
        }
        for rule in rulebook()
        if column is None or column in rule.profiles
    ]
    return rows, ("id", "layer", "rule", "effect", "evidence", "cure")


def _support(console: Console, target: str | None, files: Sequence[Path]) -> tuple[Rows, tuple[str, ...]]:
    """The support matrix: a cell per target as in the rules' page, Y, Y*, N or ? with weaker evidence in brackets."""
    from dlarewrite.target import load_target, profiles, support_matrix

    chosen = [load_target(target).profile] if target else list(profiles())
    rows: Rows = [
        {"layer": row.title, "ops": list(row.ops), **{p.name: str(row.cells[p.column]) for p in chosen}}
        for row in support_matrix()
    ]
    return rows, ("layer", "ops", *(p.name for p in chosen))


def _plugins(console: Console, target: str | None, files: Sequence[Path]) -> tuple[Rows, tuple[str, ...]]:
    from dlarewrite.catalogue import discover

    registry = discover(files)
    found: dict[str, list[str]] = {}
    for name, provider in registry.providers.items():
        found.setdefault(provider, []).append(name)
    rows: Rows = [
        {"plugin": provider, "status": "loaded", "passes": names, "reason": ""} for provider, names in found.items()
    ]
    rows += [
        {"plugin": failure.provider, "status": "failed", "passes": [], "reason": failure.reason}
        for failure in registry.failures
    ]
    return rows, ("plugin", "status", "passes", "reason")


_LISTS: dict[str, Callable[[Console, str | None, Sequence[Path]], tuple[Rows, tuple[str, ...]]]] = {
    "passes": _passes,
    "targets": _targets,
    "rules": _rules,
    "support": _support,
    "plugins": _plugins,
}

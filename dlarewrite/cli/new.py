"""``dlarewrite new``: the first files of a pass."""

from __future__ import annotations

from pathlib import Path

import click

from dlarewrite.cli.command import FILE, command
from dlarewrite.cli.console import Console


@command("pass", short_help="A pass that works, with golden cases and a test.")
@click.argument("name")
@click.option("--dir", "folder", type=FILE, default=".", show_default=True, help="Where to write.")
def pass_(name: str, folder: Path) -> None:
    """Write a pass called NAME that works, with its golden cases and its test, ready to be made yours.

    In dlarewrite's own source tree the pass joins the catalogue; anywhere else it is a plugin for --plugin.
    """
    from dlarewrite.devtools.scaffold import create

    console = Console.current()
    made = create(name, folder)
    console.product("\n".join(str(path) for path in made.files))
    for line in made.next_steps:
        console.info(line)


@click.group("new", help="Start something new.")
def new() -> None:
    """Start something new."""


new.add_command(pass_)

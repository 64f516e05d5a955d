"""``dlarewrite plan``: the DLA regions of a model as it is, as an editable file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from dlarewrite.cli import options
from dlarewrite.cli.command import FILE, command, operand
from dlarewrite.cli.console import Console
from dlarewrite.cli.extensions import find_plugins


@command("plan", short_help="Show the DLA regions that a model falls into.")
@operand("model")
@click.option("-o", "--output", type=FILE, help="Write the plan here (YAML) instead of stdout.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON instead of YAML.")
@click.option(
    "--min-island-macs", type=click.IntRange(min=0), help="Drop smaller islands; default: under 2 % of the DLA's MACs."
)
@click.option("--max-loadables", type=click.IntRange(min=1), help="Keep only the largest N; default: the target's cap.")
@options.target
@options.shape
@options.plugin
def plan(
    model: Path,
    output: Path | None,
    as_json: bool,
    min_island_macs: int | None,
    max_loadables: int | None,
    **given: Any,
) -> None:
    """Show which nodes of MODEL go to the DLA, in which regions, and what crosses between devices.

    The plan takes the convex regions that the verdicts allow. Run `dlarewrite optimize` first: a plan changes nothing.
    """
    from dlarewrite import compiler
    from dlarewrite.ir.exporter import atomic

    console = Console.current()
    find_plugins(console, given.get("plugin") or ())
    chosen = options.collect(model, given)
    with console.working("plan") as tell:
        found = compiler.plan(model, chosen, watch=tell, min_macs=min_island_macs, max_loadables=max_loadables)
    text = json.dumps(found.to_dict(), indent=2) + "\n" if as_json else found.dump()
    if output is not None:
        with atomic(output) as file:
            file.write(text.encode())
        text = ""
    total, crossed = sum(r.macs for r in found.regions), sum(found.crossings.values())
    summary = (
        f"{len(found.regions)} DLA regions with {len(found.dla_nodes)} nodes and {total:,} MACs, "
        f"{len(found.gpu)} nodes on the GPU, {len(found.crossings)} crossings of {crossed:,} bytes"
    )
    if text:
        console.info(summary)
        console.product(text)
    else:
        console.product(f"{summary}\nwrote {output}")

"""``dlarewrite plan``: what of a model runs where and why, and what that should cost; a file that people can edit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from dlarewrite.cli import options
from dlarewrite.cli.command import FILE, command, operand
from dlarewrite.cli.console import Console
from dlarewrite.cli.extensions import find_plugins
from dlarewrite.cli.output import width
from dlarewrite.cli.types import CoresType, ShareType


@command("plan", short_help="Plan what of a model runs on the DLA, where and why.")
@operand("model")
@click.option("-o", "--output", type=FILE, help="Write the plan here (YAML), for build and split.")
@click.option("--format", "form", type=click.Choice(["text", "yaml", "json"]), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--objective",
    type=click.Choice(["offload", "latency", "throughput", "energy"]),
    default="offload",
    show_default=True,
    help="offload: most work off the GPU in worthwhile regions; the others minimise what they name.",
)
@click.option("--max-loadables", type=click.IntRange(min=1), help="Regions per core; default: the target's cap.")
@click.option(
    "--min-region",
    type=ShareType(1.0),
    default="2%",
    show_default=True,
    help="Leave regions with less of the DLA's work to the GPU (objective offload).",
)
@click.option("--dla-cores", type=CoresType(), default="0", show_default=True, metavar="0,1", help="Cores to plan for.")
@options.machine
@click.option("--pareto", is_flag=True, help="Show the plans that no other one beats in latency and energy at once.")
@options.target
@options.shape
@options.plugin
def plan(
    model: Path,
    output: Path | None,
    form: str,
    as_json: bool,
    objective: str,
    max_loadables: int | None,
    min_region: Any,
    dla_cores: tuple[int, ...],
    module: str | None,
    power_mode: str | None,
    profile: Path | None,
    pareto: bool,
    **given: Any,
) -> None:
    """Plan which nodes of MODEL go to the DLA, in which regions, what crosses, and what that should cost.

    Run `dlarewrite optimize` first: a plan changes nothing. Times and energy are predicted by a model that is fitted to
    published figures, or taken from --profile where a board has measured them.
    """
    from dlarewrite import compiler
    from dlarewrite.ir.exporter import atomic
    from dlarewrite.partition.planner import Wish
    from dlarewrite.partition.problem import Objective
    from dlarewrite.report import plan as report

    console = Console.current()
    find_plugins(console, given.get("plugin") or ())
    chosen = options.collect(model, given)
    wish = Wish(Objective(objective), min_region.value, max_loadables, dla_cores)
    machine = compiler.Machine(module, power_mode, profile)
    with console.working("plan") as tell:
        if pareto:
            found = compiler.frontier(model, chosen, machine=machine, watch=tell)
            console.product(report.alternatives(found, width()))
            return
        made = compiler.plan(model, chosen, wish=wish, machine=machine, watch=tell)
    for note in made.notes:
        console.warn(note)
    if output is not None:
        with atomic(output) as file:
            file.write(made.dump().encode())
    form = "json" if as_json else form
    if form == "json":
        console.product(json.dumps(made.to_dict(), indent=2))
    else:
        console.product(made.dump() if form == "yaml" else report.render(made, width()))
    if output is not None:
        console.info(f"wrote {output}")

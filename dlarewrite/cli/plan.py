"""``dlarewrite plan``: what of a model runs where and why, and what that should cost; a file that people can edit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlarewrite.cli import options
from dlarewrite.cli.command import FILE, command, operand
from dlarewrite.cli.console import Console
from dlarewrite.cli.extensions import find_plugins
from dlarewrite.cli.output import check_paths, width
from dlarewrite.cli.types import CoresType, ShareType
from dlarewrite.errors import UsageError

if TYPE_CHECKING:
    from dlarewrite.compiler import Options
    from dlarewrite.partition.plan import Plan
    from dlarewrite.partition.planner import Wish
    from dlarewrite.planning import Machine


@command("plan", short_help="Plan what of a model runs on the DLA, where and why.")
@operand("model")
@click.option("-o", "--output", type=FILE, help="Write the plan here (YAML), for build and split.")
@click.option("--plan", "plan_file", type=FILE, help="Price this plan, perhaps edited, and say what no longer fits.")
@click.option(
    "--with",
    "other",
    type=FILE,
    metavar="MODEL",
    help="Balance two models that run at once, each on a core of its own (--dla-cores 0,1).",
)
@click.option("--with-output", type=FILE, help="Write the plan of the other model here.")
@click.option("--format", "form", type=click.Choice(["text", "yaml", "json"]), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--objective",
    type=click.Choice(["offload", "latency", "throughput", "energy"]),
    default="offload",
    show_default=True,
    help="offload: most work off the GPU in worthwhile regions; the others minimise what they name.",
)
@click.option(
    "--energy-weight",
    type=ShareType(1.0),
    help="Minimise latency and energy together, in place of --objective: 0% is latency alone, 100% energy alone.",
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
@click.option("--pareto", is_flag=True, help="List the plans that no other one beats in latency and energy at once.")
@options.target
@options.shape
@options.plugin
def plan(
    model: Path,
    output: Path | None,
    plan_file: Path | None,
    other: Path | None,
    with_output: Path | None,
    form: str,
    as_json: bool,
    objective: str,
    energy_weight: Any,
    max_loadables: int | None,
    min_region: Any,
    dla_cores: tuple[int, ...],
    module: str | None,
    power_mode: str | None,
    profile: Path | None,
    layer_info: Path | None,
    pareto: bool,
    **given: Any,
) -> None:
    """Plan which nodes of MODEL go to the DLA, in which regions, what crosses, and what that should cost.

    Run `dlarewrite optimize` first: a plan changes nothing. Times and energy are predicted by a model that is fitted to
    published figures, or taken from --profile where a board has measured them. The file may be edited: move nodes
    between a region and `gpu`, drop regions, change cores; --plan prices the result, build and split use it.
    """
    from dlarewrite import planning
    from dlarewrite.partition.plan import load_plan
    from dlarewrite.partition.planner import Wish
    from dlarewrite.partition.problem import Objective

    console = Console.current()
    _check_request(click.get_current_context(), pareto, plan_file, other)
    if with_output is not None and other is None:
        raise UsageError("--with-output is given without --with", hint="name the other model")
    if layer_info is not None and profile is None:
        raise UsageError("--layer-info is given without --profile", hint="the profile has the times")
    _check_outputs([output, with_output], [model, plan_file, profile, layer_info, other])
    found = load_plan(plan_file) if plan_file is not None else None
    find_plugins(console, given.get("plugin") or ())
    chosen = options.collect(model, given)
    weight = energy_weight.value if energy_weight is not None else None
    wish = Wish(Objective(objective), min_region.value, max_loadables, dla_cores, weight)
    machine = planning.Machine(module, power_mode, profile, layer_info)
    form = "json" if as_json else form
    if other is not None:
        both = (chosen, options.collect(other, given))
        text = _two_models(console, (model, other), both, (output, with_output), wish, machine, form)
    elif pareto:
        text = _frontier(console, model, chosen, wish, machine, form)
    else:
        text = _one_model(console, model, chosen, output, found, wish, machine, form)
    console.product(text)


def _one_model(
    console: Console,
    model: Path,
    chosen: Options,
    output: Path | None,
    given: Plan | None,
    wish: Wish,
    machine: Machine,
    form: str,
) -> str:
    """Plan a model, or price the plan that is given."""
    from dlarewrite import planning
    from dlarewrite.report import plan as report

    with console.working("plan") as tell:
        made = planning.plan(model, chosen, wish=wish, machine=machine, given=given, watch=tell)
    for note in made.notes:
        console.warn(note)
    _write(console, output, made)
    if form == "json":
        return json.dumps(made.to_dict(), indent=2)
    return made.dump() if form == "yaml" else report.render(made, width())


def _two_models(
    console: Console,
    models: tuple[Path, Path],
    chosen: tuple[Options, Options],
    outputs: tuple[Path | None, Path | None],
    wish: Wish,
    machine: Machine,
    form: str,
) -> str:
    """Balance two models that run at once, each on a core of its own."""
    from dlarewrite import planning
    from dlarewrite.report import plan as report

    cores = (0, 1) if wish.cores == (0,) else wish.cores
    if len(cores) != 2:
        raise UsageError("two models need two cores", hint="--dla-cores 0,1")
    with console.working("plan") as tell:
        pair = planning.plan_pair(models, chosen, wish=replace(wish, cores=cores), machine=machine, watch=tell)
    for output, made in zip(outputs, pair, strict=True):
        _write(console, output, made)
    return report.pair((str(models[0]), str(models[1])), pair, form, width())


def _frontier(console: Console, model: Path, chosen: Options, wish: Wish, machine: Machine, form: str) -> str:
    """List the plans that no other one beats in latency and energy at once."""
    from dlarewrite import planning
    from dlarewrite.report import plan as report

    with console.working("plan") as tell:
        points = planning.frontier(model, chosen, machine=machine, wish=wish, watch=tell)
    return report.frontier(points, form, width())


def _write(console: Console, output: Path | None, made: Plan) -> None:
    from dlarewrite.ir.exporter import atomic

    if output is None:
        return
    with atomic(output) as file:
        file.write(made.dump().encode())
    console.info(f"wrote {output}; use it with `dlarewrite build --no-optimize --plan` or `dlarewrite split --plan`")


def _check_outputs(outputs: Sequence[Path | None], read: Sequence[Path | None]) -> None:
    """No plan may go to a folder, to a place that cannot be written, or over a file that is read."""
    written = [output for output in outputs if output is not None]
    for output in written:
        if output.is_dir():
            raise UsageError(f"output {str(output)!r} is a folder", hint=f"write {str(output / 'plan.yaml')!r}")
        for path in read:
            if path is not None and path.exists():
                check_paths(path, output)
    if len({path.resolve() for path in written}) < len(written):
        raise UsageError("both plans would go to one file", hint="--with-output with another name")


def _check_request(context: click.Context, pareto: bool, plan_file: Path | None, other: Path | None) -> None:
    """What a list of plans, or the price of a given one, has no use for is not passed over in silence."""
    choices = {"objective", "energy_weight", "min_region"}
    if pareto:
        unused, why = {*choices, "output", "plan_file", "other"}, "--pareto lists plans"
    elif plan_file is not None:
        unused, why = {*choices, "max_loadables", "dla_cores", "other"}, "--plan prices a plan as it is"
    elif other is not None:
        unused, why = {*choices, "profile"}, "--with balances two models"
    else:
        return
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in unused and context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            hint = "then plan again with the option of the line you like" if pareto else "leave it out"
            raise UsageError(f"{why}, and {parameter.opts[-1]} is given", hint=hint)

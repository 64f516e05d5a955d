"""``dlarewrite optimize``: the main road, from a model to a proven one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlarewrite.cli import options
from dlarewrite.cli.command import FILE, command, operand
from dlarewrite.cli.console import Console
from dlarewrite.cli.extensions import find_plugins
from dlarewrite.cli.output import check_paths, width
from dlarewrite.errors import UsageError

if TYPE_CHECKING:
    from dlarewrite.compiler import Result
    from dlarewrite.precision.scales import ScaleTable


@command("optimize", short_help="Rewrite a model so that the DLA takes it; prove it equal.")
@operand("model")
@operand("output")
@options.target
@options.shape
@options.passes
@options.verify
@click.option(
    "--plan", "plan", type=FILE, help="Leave alone what this plan puts on the GPU for another reason than a rule."
)
@click.option("--scales", type=FILE, help="Carry these INT8 scales (table or calibration cache) to OUTPUT's tensors.")
@click.option("--scales-output", type=FILE, help="Where they go; .json or a cache.  [default: OUTPUT.scales.json]")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON document on stdout.")
def optimize(
    model: Path, output: Path, scales: Path | None, scales_output: Path | None, as_json: bool, **given: Any
) -> None:
    """Rewrite MODEL so that the target's DLA takes it, prove the result equal, write it to OUTPUT.

    OUTPUT is written only after the proof. Exit codes: 0 written, 1 failure, 2 usage, 4 the outputs differ.
    """
    console = Console.current()
    check_paths(model, output)
    place = scales_output or output.with_suffix(".scales.json")
    table = _table(model, scales, scales_output, place)
    result = run(console, model, given)
    carried = None
    if table is not None:
        from dlarewrite import compiler

        carried = compiler.carry_scales(model, options.collect(model, given), result, table)
    result.save(output)
    for line in result.report.rolled_back:
        console.warn(f"{line}; it was taken back")
    for note in result.report.notes:
        console.warn(f"plan: {note}")
    console.product(render(result, as_json))
    console.info(f"wrote {output}")
    if carried is not None:
        carried.table.save(place)
        for gap in carried.gaps:
            console.warn(f"tensor {gap.tensor} has no scale: {gap.why}")
        for contradiction in carried.contradictions:
            console.warn(f"scales: {contradiction}")
        console.info(f"wrote {place} with {len(carried.table.scales)} scales")


def _table(model: Path, scales: Path | None, asked: Path | None, place: Path) -> ScaleTable | None:
    """The scales to carry, read before any work; raises :class:`UsageError` for what cannot be read or written."""
    if scales is None:
        if asked is not None:
            raise UsageError("--scales-output is given without --scales", hint="name the scales of MODEL")
        return None
    from dlarewrite.precision.scales import ScaleTable

    table = ScaleTable.load(scales)
    check_paths(model, place)
    check_paths(scales, place)
    return table


def run(console: Console, model: Path, given: dict[str, Any]) -> Result:
    """Optimise with progress on ``console``."""
    registry = find_plugins(console, given.get("plugin") or ())
    for name in options.names(given.get("print_after") or ()):
        if name != "all":
            registry.find(name)
    with console.working("optimize") as watch:
        from dlarewrite import compiler

        return compiler.optimize(model, options.collect(model, given), watch=watch, write=console.raw)


def render(result: Result, as_json: bool) -> str:
    """The report for stdout."""
    if as_json:
        from dlarewrite.report import json_

        return json_.render(result.report)
    from dlarewrite.report import text

    return text.optimized(result.report, width())

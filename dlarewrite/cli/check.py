"""``dlarewrite check``: judge a model and change nothing; gates turn the judgement into an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlarewrite.cli import options
from dlarewrite.cli.command import command, operand
from dlarewrite.cli.console import Console
from dlarewrite.cli.extensions import find_plugins
from dlarewrite.cli.output import width
from dlarewrite.cli.types import Share, ShareType
from dlarewrite.errors import GateError

if TYPE_CHECKING:
    from dlarewrite.outcome import Report
    from dlarewrite.report.gates import Gate

FORMATS = ("text", "json", "github", "sarif", "junit")


@command("check", short_help="Judge a model without changing it; gates for CI.")
@operand("model")
@options.target
@options.shape
@options.plugin
@click.option("--require-full-dla", is_flag=True, help="Gate: every node on the DLA.")
@click.option("--min-dla-work", type=ShareType(), metavar="95%", help="Gate: share of the MACs on the DLA.")
@click.option("--max-loadables", type=click.IntRange(min=0), metavar="N", help="Gate: number of DLA loadables.")
@click.option("--max-crossings", type=click.IntRange(min=0), metavar="N", help="Gate: tensors that change device.")
@click.option("--format", "layout", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def check(
    model: Path,
    require_full_dla: bool,
    min_dla_work: Share | None,
    max_loadables: int | None,
    max_crossings: int | None,
    layout: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Say which nodes of MODEL the target's DLA takes, which it refuses, and by which rule.

    Exit codes: 0 judged and all gates met, 1 failure, 2 usage, 3 a gate is not met.
    """
    console = Console.current()
    find_plugins(console, given.get("plugin") or ())
    with console.working("check") as watch:
        from dlarewrite import compiler
        from dlarewrite.report import gates

        report = compiler.check(model, options.collect(model, given), watch=watch)
        judged = gates.judge(
            report,
            full_dla=require_full_dla,
            min_dla_work=min_dla_work.value if min_dla_work is not None else None,
            max_loadables=max_loadables,
            max_crossings=max_crossings,
        )
    console.product(render(report, judged, "json" if as_json else layout))
    missed = [gate for gate in judged if not gate.ok]
    if missed:
        raise GateError("; ".join(f"{g.name} demands {g.demanded}, found {g.found}" for g in missed))


def render(report: Report, gates: tuple[Gate, ...], layout: str) -> str:
    """The report in one of :data:`FORMATS`."""
    from dlarewrite import __version__
    from dlarewrite.report import github, json_, junit, sarif, text

    if layout == "json":
        return json_.render(report, gates)
    if layout == "github":
        return github.render(report, gates)
    if layout == "sarif":
        return sarif.render(report, gates, __version__)
    if layout == "junit":
        return junit.render(report, gates)
    return text.judged(report, width(), gates)

"""``dlarewrite scales``: look into tables of INT8 scales, convert, join and carry them, and see what they cover."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlarewrite.cli import options
from dlarewrite.cli.belongs import check_belongs
from dlarewrite.cli.command import FILE, command, operand
from dlarewrite.cli.console import Console
from dlarewrite.cli.extensions import find_plugins
from dlarewrite.cli.lazy import Entry, LazyGroup
from dlarewrite.cli.output import width
from dlarewrite.cli.types import TargetType
from dlarewrite.errors import GateError, UsageError

if TYPE_CHECKING:
    from dlarewrite.ir.model import Model

COMMANDS = {
    "show": Entry("dlarewrite.cli.scales:show", "Show a table or a calibration cache."),
    "convert": Entry("dlarewrite.cli.scales:convert", "Turn a table into a calibration cache, or back."),
    "merge": Entry("dlarewrite.cli.scales:merge", "Join tables; say where they contradict each other."),
    "carry": Entry("dlarewrite.cli.scales:carry", "Carry a table to the model that was rewritten."),
    "coverage": Entry("dlarewrite.cli.scales:coverage", "Say what a table covers of a model's DLA regions."),
    "import": Entry("dlarewrite.cli.scales_import:import_", "Read a Q/DQ model: plain model, scales, precisions."),
    "export": Entry("dlarewrite.cli.scales_export:export", "Write scales as TensorRT takes them: cache, FP16, Q/DQ."),
}

_FULL = click.option("--require-full", is_flag=True, help="Exit with 3 where a tensor has no scale.")
_SCALES = click.option("--scales", type=FILE, required=True, help="The table (JSON) or calibration cache.")
_OUTPUT = click.option("-o", "--output", type=FILE, required=True, help="A table for *.json, else a calibration cache.")


@click.group(
    "scales",
    cls=LazyGroup,
    entries=COMMANDS,
    no_args_is_help=False,
    short_help="INT8 scales: show, convert, merge, carry, coverage, import, export.",
)
def scales() -> None:
    """Work with tables of INT8 scales: tensor -> amax, with where it is from and how sure it is.

    Files are JSON (*.json) or TensorRT's calibration cache, which trtexec --calib reads.
    """


@command("show", short_help=COMMANDS["show"].help)
@operand("table")
@options.as_json
def show(table: Path, as_json: bool) -> None:
    """Show the scales of TABLE, in file order."""
    from dlarewrite.precision.files import to_json
    from dlarewrite.precision.scales import ScaleTable
    from dlarewrite.report.scales import listing

    found = ScaleTable.load(table)
    Console.current().product(to_json(found) if as_json else listing(found, width()))


@command("convert", short_help=COMMANDS["convert"].help)
@operand("table")
@operand("output")
def convert(table: Path, output: Path) -> None:
    """Write TABLE as OUTPUT: JSON for *.json, else a calibration cache.

    A cache holds the float32 scales bit for bit, and nothing of where they are from.
    """
    from dlarewrite.precision.scales import ScaleTable
    from dlarewrite.report.scales import summary

    found = ScaleTable.load(table)
    _free(output, table)
    found.save(output)
    Console.current().product(f"{summary(found)}\nwrote {output}")


@command("merge", short_help=COMMANDS["merge"].help)
@click.argument("tables", type=FILE, nargs=-1, required=True)
@_OUTPUT
@click.option("--strict", is_flag=True, help="Exit with 3, and write nothing, where tables contradict each other.")
def merge(tables: tuple[Path, ...], output: Path, strict: bool) -> None:
    """Join TABLES. Of two scales the surer is taken, of equally sure ones the larger; each choice is told."""
    from dlarewrite.precision.scales import Contradiction, ScaleTable
    from dlarewrite.report.scales import contradictions, summary

    console = Console.current()
    found, against = ScaleTable.load(tables[0]), list[Contradiction]()
    for path in tables[1:]:
        found, more = found.merge(ScaleTable.load(path))
        against += more
    _free(output, *tables)
    if against:
        console.raw(contradictions(against))
    if against and strict:
        raise GateError(f"{len(against)} contradictions; nothing was written")
    found.save(output)
    console.product(f"{summary(found)}\nwrote {output}")


@command("carry", short_help=COMMANDS["carry"].help)
@operand("before")
@operand("after")
@_SCALES
@_OUTPUT
@_FULL
@options.as_json
@options.shape
@options.plugin
def carry(
    before: Path, after: Path, scales: Path, output: Path, require_full: bool, as_json: bool, **given: Any
) -> None:
    """Give every tensor of AFTER a scale, from the scales of BEFORE, which it was rewritten from.

    Tensors that stayed keep theirs; those that took another's place, or hold its values, inherit; others get a bound
    that their operator cannot exceed. What remains is listed as a gap.
    """
    from dlarewrite.precision.carry import carry as carry_table
    from dlarewrite.precision.scales import ScaleTable
    from dlarewrite.report import json_
    from dlarewrite.report.scales import carried

    console = Console.current()
    find_plugins(console, given.get("plugin") or ())
    table = ScaleTable.load(scales)
    _free(output, before, after, scales)
    with console.working("carry") as tell:
        tell(f"load {after}")
        new = _frozen(after, given)
        tell(f"load {before}")
        old = _frozen(before, given, like=new)
        check_belongs(console, table, old, scales, before)
        found = carry_table(table, old, new)
    found.table.save(output)
    gaps = [{"tensor": g.tensor, "node": g.node, "why": g.why} for g in found.gaps]
    if as_json:
        against = [str(c) for c in found.contradictions]
        console.product(json_.document_text({"scales": found.counts, "gaps": gaps, "contradictions": against}))
    else:
        console.product(f"{carried(found, width())}\nwrote {output}")
    if require_full and gaps:
        raise GateError(f"{len(gaps)} tensors have no scale, the first is {found.gaps[0].tensor!r}")


@command("coverage", short_help=COMMANDS["coverage"].help)
@operand("model")
@_SCALES
@_FULL
@options.as_json
@options.shape
@options.plugin
@click.option("--target", type=TargetType(), default="orin-jp6", show_default=True, help="The machine.")
def coverage(model: Path, scales: Path, require_full: bool, as_json: bool, **given: Any) -> None:
    """Say which tensors of MODEL's DLA regions have no scale, what therefore runs FP16, and what equal scales cost.

    Regions are those of `dlarewrite plan --precision int8`. Times are predicted.
    """
    from dlarewrite import compiler, planning
    from dlarewrite.precision.coverage import cover
    from dlarewrite.precision.scales import ScaleTable
    from dlarewrite.report import json_
    from dlarewrite.report.scales import coverage as text

    console = Console.current()
    find_plugins(console, given.get("plugin") or ())
    table = ScaleTable.load(scales)
    chosen = options.collect(model, {**given, "precision": "int8"})
    with console.working("coverage") as tell:
        tell("load")
        loaded, target = compiler.load_frozen(model, chosen)
        check_belongs(console, table, loaded, scales, model)
        tell("plan")
        found = cover(table, loaded, planning.plan_model(loaded, target), target)
    console.product(json_.document_text(found.to_dict()) if as_json else text(found, width()))
    if require_full and found.missing:
        raise GateError(f"{len(found.missing)} tensors of DLA regions have no scale, the first is {found.missing[0]!r}")


def _frozen(path: Path, given: dict[str, Any], like: Model | None = None) -> Model:
    """The model with its shapes inferred; dims that it leaves open are those of ``like``'s inputs of that name."""
    from dataclasses import replace

    from dlarewrite import compiler
    from dlarewrite.ir.view import shape

    chosen = options.collect(path, given)
    model, _ = compiler.load_frozen(path, chosen)
    open_ = [t.name for t in model.inputs if t.shape is not None and shape(t) is None]
    known = {t.name: dims for t in (like.inputs if like is not None else ()) if (dims := shape(t)) is not None}
    if not open_ or not set(open_) <= known.keys():
        return model
    return compiler.load_frozen(path, replace(chosen, shapes={n: known[n] for n in open_}))[0]


def _free(output: Path, *inputs: Path) -> None:
    """Raise :class:`UsageError` where ``output`` cannot be written or is one of the inputs."""
    if output.is_dir():
        raise UsageError(f"output {str(output)!r} is a folder")
    if not output.parent.is_dir():
        raise UsageError(f"output folder {str(output.parent)!r} does not exist", hint=f"mkdir -p {output.parent}")
    if output.exists() and any(path.exists() and output.samefile(path) for path in inputs):
        raise UsageError(f"output {str(output)!r} is an input", hint="write to another file")

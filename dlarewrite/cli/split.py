"""``dlarewrite split``: a model as head, trunk and tail, or as one file for each region, with a manifest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlarewrite.cli import options
from dlarewrite.cli.command import FILE, command, operand
from dlarewrite.cli.console import Console
from dlarewrite.cli.extensions import find_plugins
from dlarewrite.cli.output import width
from dlarewrite.errors import UsageError

if TYPE_CHECKING:
    from dlarewrite.compiler import Options, Result
    from dlarewrite.ir.model import Model
    from dlarewrite.partition.folder import Origin, Prove
    from dlarewrite.partition.manifest import Manifest
    from dlarewrite.partition.plan import Plan
    from dlarewrite.partition.split import Split
    from dlarewrite.target import Target
    from dlarewrite.verify import Evidence


@command("split", short_help="Cut a model into what the DLA runs whole and what stands around it.")
@operand("model")
@click.option("-o", "--output", type=FILE, metavar="DIR", help="The folder to write.  [required]")
@click.option("--regions", is_flag=True, help="One part for each DLA region, and the GPU's layers between them.")
@click.option("--plan", "plan_file", type=FILE, help="Take the DLA's layers from this plan.")
@click.option(
    "--max-loadables",
    type=click.IntRange(min=1),
    help="Unconnected groups that the trunk may consist of.  [default: 1]",
)
@click.option("--optimize", is_flag=True, help="Rewrite the model first, as `dlarewrite optimize` does.")
@click.option("--force", is_flag=True, help="Replace an earlier split in DIR.")
@options.target
@options.shape
@options.passes
@options.verify
@click.option("--json", "as_json", is_flag=True, help="The manifest as JSON on stdout.")
def split(
    model: Path,
    output: Path | None,
    regions: bool,
    plan_file: Path | None,
    max_loadables: int | None,
    optimize: bool,
    force: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Cut MODEL into parts that run one after another, prove that they compute the same, and write them to DIR.

    trunk.onnx is the largest part that the DLA takes whole, head.onnx runs before it and tail.onnx after it;
    manifest.json says what feeds what, and runner.py runs them with onnxruntime. Run `dlarewrite optimize` first, or
    give --optimize. DIR is written only after the proof. Exit codes: 0 written, 1 failure, 2 usage, 4 they differ.
    """
    from dlarewrite import compiler
    from dlarewrite.partition import folder
    from dlarewrite.partition.plan import load_plan

    console = Console.current()
    if output is None:
        raise click.UsageError("Missing option '-o'", click.get_current_context())
    find_plugins(console, given.get("plugin") or ())
    if regions and max_loadables is not None:
        raise UsageError("--max-loadables is for the trunk", hint="with --regions, `dlarewrite plan` takes it")
    if not model.exists():
        raise UsageError(f"model file {str(model)!r} does not exist")
    folder.check_folder(output, [p for p in (model, plan_file, given.get("inputs")) if p], force=force)
    chosen = options.collect(model, given)
    plan = load_plan(plan_file) if plan_file is not None else None
    target = chosen.load_target()
    with console.working("split") as tell:
        result = compiler.optimize(model, _steps(chosen, optimize), watch=tell, write=console.raw)
        folder.check_folder(output, folder.weight_files(result.work), force=force)
        tell("split")
        found = _divide(result.work, target, plan, regions, max_loadables or 1)
        written, evidence = folder.write(
            found,
            result.work,
            output,
            origin=_origin(model, result),
            target=target,
            prove=_prover(model, result, chosen, optimize, tell),
        )
    _say(console, written, evidence, as_json)
    _advise(console, found, optimize, regions)
    console.info(f"wrote {', '.join(str(output / name) for name in written.files)}")


def _steps(chosen: Options, optimize: bool) -> Options:
    """The whole pipeline, or only what freezes shapes, which needs no proof of its own."""
    if optimize:
        return chosen
    return replace(chosen, passes=("freeze-shapes",), skip=(), pipeline="", verify="off")


def _divide(model: Model, target: Target, plan: Plan | None, regions: bool, max_loadables: int) -> Split:
    """Head, trunk and tail, or the regions of a plan (one is made where none is given)."""
    from dlarewrite import compiler, planning
    from dlarewrite.partition import split as splits

    judged = compiler.judge_model(model, target)
    if regions:
        found = splits.split_regions(model, judged, plan or planning.plan_model(model, target))
    else:
        found = splits.split(model, judged, plan=plan, max_loadables=max_loadables)
    return replace(found, notes=(*splits.other_target(plan, target), *found.notes))


def _origin(model: Path, result: Result) -> Origin:
    from dlarewrite.partition import folder, manifest
    from dlarewrite.verify import Numerics

    faith = max((p.numerics for p in result.report.passes if p.fired), default=Numerics.EXACT)
    return folder.Origin(model.name, manifest.digest(model), faith.name)


def _prover(model: Path, result: Result, chosen: Options, optimize: bool, tell: Callable[[str], None]) -> Prove:
    """Compares the parts with the model that they were cut from: the one given, or what it was rewritten into."""
    from dlarewrite.partition import rejoin
    from dlarewrite.verify import not_proven

    def prove(place: Path, parts: Manifest) -> Evidence:
        if chosen.verify == "off":
            return not_proven("verification was turned off")
        tell("verify")
        return rejoin.prove(
            place,
            parts,
            result.model if optimize else model,
            seeds=chosen.seeds,
            feeds=chosen.inputs,
            shapes={t.name: tuple(t.shape) for t in result.work.inputs if t.shape is not None},
            base_dir=result.work.folder if optimize else None,
        )

    return prove


def _say(console: Console, written: Manifest, evidence: Evidence, as_json: bool) -> None:
    from dlarewrite.report.split import render

    console.product(written.dump() if as_json else render(written, evidence, width()))


def _advise(console: Console, found: Split, optimize: bool, regions: bool) -> None:
    """What would bring more to the DLA, or that this network does not belong there."""
    from dlarewrite.partition.islands import ISLAND_SHARE

    if found.dla_macs < ISLAND_SHARE * found.macs:
        console.warn(f"less than {ISLAND_SHARE:.0%} of the MACs go to the DLA: this network belongs on the GPU")
    if any(group.macs for group in found.left_out) and not (optimize and regions):
        more = "--regions puts each DLA region into a part of its own"
        console.info(more if optimize else "--optimize, or `dlarewrite optimize` before, may bring more to the DLA")

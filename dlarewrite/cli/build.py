"""``dlarewrite build``: optimise, plan, and build an engine on a board, or write all that a board needs."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlarewrite.cli import build_checks, build_options, options
from dlarewrite.cli.command import FILE, Operand, command
from dlarewrite.cli.console import Console
from dlarewrite.cli.extensions import find_plugins
from dlarewrite.errors import UsageError

if TYPE_CHECKING:
    from dlarewrite.build.prepare import Files
    from dlarewrite.build.request import BuildRequest
    from dlarewrite.build.tensorrt import Built
    from dlarewrite.compiler import Options, Result
    from dlarewrite.ir.model import Model
    from dlarewrite.partition.plan import Plan
    from dlarewrite.precision.scales import ScaleTable
    from dlarewrite.target import Judgement, Target


@command("build", short_help="Build a TensorRT engine with the DLA regions placed.")
@click.argument("model", cls=Operand, type=FILE, required=False)
@click.option("--onnx", "onnx", type=FILE, hidden=True)
@click.option("-o", "--output", "--saveEngine", "engine", type=FILE, help="The engine; default: MODEL.engine.")
@click.option("--emit", type=click.Choice(["trtexec"]), help="Write the equal command as a script and build nothing.")
@click.option("--dry-run", is_flag=True, help="Show each step of the build, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Show the dry run as JSON.")
@click.option("--tensorrt", "release", metavar="VERSION", help="Another release than the target's (to show or emit).")
@click.option("--no-optimize", is_flag=True, help="Build the model as it is.")
@click.option("--plan", "plan_file", type=FILE, help="Place nodes by this plan instead of planning.")
@click.option("--export-disagreements", type=FILE, metavar="FILE.json", help="Where TensorRT and the rules differ.")
@click.option("--engine-cache", is_flag=True, help="Keep an engine that this very request built before.")
@build_options.engine
@options.target
@options.shape
@options.passes
@options.verify
def build(
    model: Path | None,
    onnx: Path | None,
    engine: Path | None,
    emit: str | None,
    dry_run: bool,
    as_json: bool,
    release: str | None,
    no_optimize: bool,
    plan_file: Path | None,
    export_disagreements: Path | None,
    engine_cache: bool,
    **given: Any,
) -> None:
    """Build a TensorRT engine of MODEL with its DLA regions placed on one core, or one engine for each core.

    The optimised model, the plan and a trtexec script are written beside the engine first. Without TensorRT or a DLA
    the command ends there, says so, and exits 5; with --emit trtexec that is all that is wanted. trtexec's own
    spellings of the options are understood too.
    """
    from dlarewrite import compiler
    from dlarewrite.build import prepare

    console = Console.current()
    mine = build_options.take(given)
    source = build_options.model_path(model, onnx)
    find_plugins(console, given.get("plugin") or ())
    chosen = options.collect(source, given)
    target = chosen.load_target()
    if engine is not None and engine.is_dir():
        raise UsageError(f"output {str(engine)!r} is a folder", hint="give the engine a name")
    files = prepare.Files(engine if engine is not None else source.with_suffix(".engine"))
    build_checks.early(mine, target, release, bool(emit or dry_run))
    of_a_build = {"--export-disagreements": export_disagreements, "--engine-cache": engine_cache}
    build_checks.purpose(emit, dry_run, as_json, of_a_build)
    if not dry_run:
        build_checks.places(source, files, export_disagreements, [plan_file, mine["calib"], given.get("inputs")])
        build_checks.timings(None if emit else mine["timing_cache"])
    build_checks.scales(console, source, chosen, mine["calib"])
    with console.working("build") as tell:
        steps = replace(chosen, passes=("freeze-shapes",), pipeline="") if no_optimize else chosen
        result = compiler.optimize(source, steps, watch=tell, write=console.raw)
        work = result.work if no_optimize else _typed(console, result.work, chosen, release)
        prepare.name_nodes(work)
        scales = None if no_optimize else _carried(console, source, chosen, result, mine["calib"])
        request = _request(work, target, files, mine, plan_file, release, scales)
    if dry_run:
        _show(console, request, emit, as_json)
        return
    written = prepare.write(work, request, files, scales or mine["calib"])
    console.product(request.plan.verdict or result.report.verdict)
    console.product(f"wrote {', '.join(map(str, written))}")
    _say_cautions(console, request)
    if not emit:
        _build(console, request, engine_cache, export_disagreements)


def _typed(console: Console, model: Model, chosen: Options, release: str | None) -> Model:
    """The model in FP16 where the release runs it as it is typed; else the model itself."""
    from dlarewrite.build.release import known, parse_version
    from dlarewrite.build.typed import in_half
    from dlarewrite.report.figures import plural

    version = parse_version(release) if release is not None else chosen.load_target().profile.tensorrt
    made = in_half(model, keep_io=not chosen.native_io) if known(version).typed else None
    if made is None:
        return model
    console.info(f"FP16 in place of FP32, with {plural(made.casts, 'Cast')}: TensorRT {version[0]} runs what is typed")
    if made.single:
        name, why = next(iter(made.single.items()))
        console.warn(f"{plural(len(made.single), 'layer')} stay FP32, so off the DLA; the first: {name} ({why})")
    return made.model


def _carried(console: Console, source: Path, chosen: Options, result: Result, scales: Path | None) -> ScaleTable | None:
    """The scales of the model given, as those of the model that is built."""
    if scales is None or not result.modified:
        return None
    from dlarewrite import compiler
    from dlarewrite.build.calibration import load_scales

    found = compiler.carry_scales(source, chosen, result, load_scales(scales))
    if found.gaps:
        console.warn(
            f"{len(found.gaps)} tensors have no scale, the first: {found.gaps[0].tensor} ({found.gaps[0].why}); "
            "their layers run in FP16"
        )
    for contradiction in found.contradictions:
        console.warn(f"scales: {contradiction}")
    return found.table


def _request(
    model: Model,
    target: Target,
    files: Files,
    mine: dict[str, Any],
    plan_file: Path | None,
    release: str | None,
    scales: ScaleTable | None,
) -> BuildRequest:
    from dlarewrite import compiler, planning
    from dlarewrite.build.limits import limit_regions
    from dlarewrite.build.prepare import make_request
    from dlarewrite.build.release import known, parse_version
    from dlarewrite.partition.planner import Wish

    judgement = compiler.judge_model(model, target)
    wanted = build_options.collect(mine, target.precision.value)
    if plan_file is not None:
        plan = _given_plan(plan_file, model, judgement, target)
    else:
        wish = Wish(max_loadables=mine["max_chunks"], cores=wanted.dla_cores[:1])
        plan = planning.plan_model(model, target, wish=wish)
    plan = limit_regions(plan, mine["max_chunks"], mine["min_layers"])
    planned = tuple(sorted({region.core for region in plan.regions}))
    if plan_file is not None and len(planned) == 1 and mine["dla_core"] is None and mine["dla_cores"] is None:
        wanted = replace(wanted, dla_cores=planned)
    features = known(parse_version(release)) if release is not None else None
    return make_request(model, judgement, plan, target.profile, files, wanted, features, scales)


def _given_plan(path: Path, model: Model, judgement: Judgement, target: Target) -> Plan:
    """The plan in a file as far as it fits the model; says what does not."""
    from dlarewrite.partition.plan import load_plan
    from dlarewrite.partition.planner import follow_plan

    console, plan = Console.current(), load_plan(path)
    if not plan.is_for(target):
        console.warn(
            f"plan {str(path)!r} was made for {plan.target} in {plan.precision}, not for {target.name} in "
            f"{target.precision.value}"
        )
    found, notes = follow_plan(plan, model, judgement, target)
    for note in notes:
        console.warn(f"plan: {note}")
    return found


def _show(console: Console, request: BuildRequest, emit: str | None, as_json: bool) -> None:
    from dlarewrite.build import dryrun, trtexec

    if as_json:
        console.product(json.dumps(dryrun.as_json(request), indent=2))
    elif emit:
        console.product(trtexec.script(request))
    else:
        console.info(request.plan.verdict)
        console.product(dryrun.describe(request))


def _say_cautions(console: Console, request: BuildRequest) -> None:
    from dlarewrite.build.cautions import cautions

    for text in cautions(request):
        console.warn(text)


def _build(console: Console, request: BuildRequest, engine_cache: bool, export: Path | None) -> None:
    from dlarewrite.build import engine_cache as cache
    from dlarewrite.build import tensorrt
    from dlarewrite.build.environment import advice
    from dlarewrite.build.release import detect
    from dlarewrite.errors import EnvironmentMissing

    try:
        trt = tensorrt.load_tensorrt()
    except EnvironmentMissing as error:
        hint = "copy what was written to the Jetson and run the trtexec script there"
        raise EnvironmentMissing(f"no engine was built: {error.message}", hint=hint) from error
    at_hand = detect(trt)
    if at_hand.version[:2] != request.profile.tensorrt[:2]:
        console.warn(f"this is TensorRT {at_hand.text}; {request.profile.name} has {request.profile.version}")
    request = request.built_by(at_hand)
    for core in request.options.dla_cores:
        path = request.engine_of(core)
        if engine_cache and cache.is_current(request, core, str(trt.__version__)):
            console.product(f"kept {path}: model, request and TensorRT are those it was built from")
            continue
        with console.working("build") as tell:
            built = tensorrt.build_engine(request, core, trt=trt, watch=tell, log=console.verbose)
        if engine_cache:
            cache.remember(request, core, str(trt.__version__))
        _report(console, request, path, built)
        if export is not None:
            _export(console, request, at_hand.text, built, export)
            export = None  # every core answers alike
    for text in advice(request, os.environ):
        console.info(text)


def _report(console: Console, request: BuildRequest, path: Path, built: Built) -> None:
    from dlarewrite.build.placement_text import placement_lines

    for found in built.disagreements:
        console.warn(str(found))
    console.product(f"wrote {path}: {built.dla_layers} layers on the DLA, {built.gpu_layers} on the GPU")
    if built.placement is not None:
        for line in placement_lines(built.placement, request):
            console.product(line)


def _export(console: Console, request: BuildRequest, release: str, built: Built, path: Path) -> None:
    from dlarewrite.build.placement import export_disagreements
    from dlarewrite.ir.exporter import atomic

    with atomic(path) as file:
        file.write(export_disagreements(request, release, built.disagreements).encode())
    console.product(f"wrote {path}: {len(built.disagreements)} disagreements")

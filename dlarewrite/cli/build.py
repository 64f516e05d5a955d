"""``dlarewrite build``: optimise, plan, and build an engine on a board, or write all that a board needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlarewrite.cli import options
from dlarewrite.cli.command import FILE, command, operand
from dlarewrite.cli.console import Console
from dlarewrite.cli.extensions import find_plugins

if TYPE_CHECKING:
    from dlarewrite.build.request import BuildRequest
    from dlarewrite.ir.model import Model


@command("build", short_help="Build a TensorRT engine with the DLA regions placed.")
@operand("model")
@click.option("-o", "--output", "--saveEngine", "engine", type=FILE, help="The engine; default: MODEL.engine.")
@click.option("--dla-core", "--useDLACore", "dla_core", type=int, default=0, show_default=True, help="0 or 1.")
@click.option("--gpu-fallback/--no-gpu-fallback", default=True, show_default=True, help="Let refused nodes run there.")
@click.option("--allowGPUFallback", "allow_fallback", is_flag=True, hidden=True)
@click.option("--emit", type=click.Choice(["trtexec"]), help="Write the equal command as a script and build nothing.")
@click.option("--no-optimize", is_flag=True, help="Build the model as it is.")
@click.option("--plan", "plan_file", type=FILE, help="Place nodes by this plan instead of planning.")
@click.option("--calib", type=FILE, help="Calibration cache for --precision int8.")
@click.option("--timing-cache", "--timingCacheFile", "timing_cache", type=FILE, help="Read by the builder.")
@click.option("--mem-pool-size", "--memPoolSize", "pools", default="dlaSRAM:1", show_default=True, help="In MiB.")
@options.target
@options.shape
@options.passes
@options.verify
def build(
    model: Path,
    engine: Path | None,
    dla_core: int,
    gpu_fallback: bool,
    allow_fallback: bool,
    emit: str | None,
    no_optimize: bool,
    plan_file: Path | None,
    calib: Path | None,
    timing_cache: Path | None,
    pools: str,
    **given: Any,
) -> None:
    """Build a TensorRT engine of MODEL with its DLA regions placed on one core.

    The optimised model, the plan and a trtexec script are written beside the engine first. Without TensorRT or a DLA
    the command ends there, says so, and exits 5; with --emit trtexec that is all that is wanted.
    """
    from dlarewrite import compiler
    from dlarewrite.build import prepare, tensorrt
    from dlarewrite.build.request import BuildRequest, parse_pools
    from dlarewrite.errors import EnvironmentMissing, UsageError
    from dlarewrite.partition.plan import load_plan

    console = Console.current()
    find_plugins(console, given.get("plugin") or ())
    chosen = options.collect(model, given)
    target = chosen.load_target()
    files = prepare.Files(engine if engine is not None else model.with_suffix(".engine"))
    if not files.engine.parent.is_dir():
        raise UsageError(f"folder {str(files.engine.parent)!r} of the engine does not exist")
    if files.model.resolve() == model.resolve():
        raise UsageError(f"the optimised model would be written over {str(model)!r}", hint="choose another -o")
    with console.working("build") as tell:
        steps = replace(chosen, passes=("freeze-shapes",), pipeline="") if no_optimize else chosen
        result = compiler.optimize(model, steps, watch=tell, write=console.raw)
        prepare.name_nodes(result.work)
        placed = load_plan(plan_file) if plan_file is not None else compiler.plan_model(result.work, target)
        request = BuildRequest(
            model=files.model,
            plan=placed,
            profile=target.profile,
            engine=files.engine,
            dla_core=dla_core,
            gpu_fallback=gpu_fallback or allow_fallback,
            precision=target.precision.value,
            calibration_cache=calib,
            timing_cache=timing_cache,
            pools=parse_pools(pools),
        )
        _check_plan(result.work, request)
        written = prepare.write(result.work, request, files)
    console.product(result.report.verdict)
    console.product(f"wrote {', '.join(map(str, written))}")
    if emit:
        return
    try:
        built = tensorrt.build_engine(request)
    except EnvironmentMissing as error:
        raise EnvironmentMissing(f"no engine was built: {error.message}", hint=error.hint) from error
    for d in built.disagreements:
        console.warn(f"layer {d.layer} of node {d.node}: planned on {d.planned}, TensorRT says {d.tensorrt}")
    console.product(f"wrote {files.engine}: {built.dla_layers} layers on the DLA, {built.gpu_layers} on the GPU")


def _check_plan(model: Model, request: BuildRequest) -> None:
    """Every node that the plan names has to be in the model."""
    from dlarewrite.errors import UsageError

    known = {n.name for n in model.nodes}
    strange = [n for n in (*request.plan.dla_nodes, *request.plan.gpu) if n not in known]
    if strange:
        raise UsageError(
            f"the plan names {len(strange)} nodes that the model does not have, the first: {strange[0]!r}",
            hint="plan the optimised model, or build with --no-optimize",
        )

"""``dlarewrite verify``: a model against another model on a laptop, or against its engine on the board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlarewrite.cli import options, shapes
from dlarewrite.cli.command import FILE, command, operand
from dlarewrite.cli.console import Console
from dlarewrite.cli.output import width
from dlarewrite.cli.types import Bound
from dlarewrite.errors import MismatchError, UsageError

if TYPE_CHECKING:
    from dlarewrite.verify import Evidence


@command("verify", short_help="Prove a model equal to another, or an engine to its model.")
@operand("model")
@operand("other")
@options.dims("Size of an input whose dims are symbolic. Repeatable.")
@click.option("--inputs", type=FILE, metavar="data.npz", help="Compare on these inputs instead of drawn ones.")
@options.comparison
@click.option(
    "--numerics",
    type=click.Choice(["exact", "rounding"]),
    default="rounding",
    show_default=True,
    help="What two ONNX models are held to where no tolerance is given.",
)
@click.option("--dla-core", type=click.IntRange(min=0), default=0, show_default=True, help="Core that runs the engine.")
@click.option("--layers", is_flag=True, help="On the board: compare every tensor, through Polygraphy.")
@options.as_json
def verify(
    model: Path,
    other: Path,
    shape: tuple[Any, ...],
    inputs: Path | None,
    seed: tuple[int, ...],
    atol: tuple[Bound, ...],
    rtol: tuple[Bound, ...],
    numerics: str,
    dla_core: int,
    layers: bool,
    as_json: bool,
) -> None:
    """Compare OTHER, an ONNX file or a TensorRT engine, with MODEL on the same inputs, output by output.

    Two ONNX files are compared in onnxruntime. An engine runs on its board, against MODEL in onnxruntime there. Exit
    codes: 0 equal within tolerance, 1 failure, 2 usage, 4 not equal, 5 TensorRT, CUDA or Polygraphy is missing.
    """
    from dlarewrite.build.verify_engine import is_engine

    console = Console.current()
    if is_engine(model):
        raise UsageError(f"{str(model)!r} is an engine", hint="dlarewrite verify MODEL.onnx ENGINE")
    asked: dict[str, Any] = {
        "seeds": seed,
        "atol": options.tolerance("atol", atol),
        "rtol": options.tolerance("rtol", rtol),
    }
    sizes = shapes.resolve((s for group in shape for s in group), model) if shape else {}
    if is_engine(other):
        _on_board(console, model, other, dla_core, {**asked, "inputs": inputs, "shapes": sizes}, layers, as_json)
        return
    if layers:
        raise UsageError("--layers compares an engine's tensors, and OTHER is an ONNX file")
    with console.working("verify") as tell:
        from dlarewrite.verify import Numerics, prove
        from dlarewrite.verify.ports import noted_changes
        from dlarewrite.verify.shell import open_model

        tell(f"compare {other} with {model}")
        rewritten, folder = open_model(other)
        evidence = prove(
            model,
            rewritten,
            numerics=Numerics[numerics.upper()],
            feeds=inputs,
            shapes=sizes,
            io_changed=noted_changes(rewritten),
            base_dir=model.parent,
            after_dir=folder,
            **asked,
        )
    _tell(console, evidence, model, other, as_json)


def _on_board(
    console: Console, model: Path, engine: Path, core: int, asked: dict[str, Any], layers: bool, as_json: bool
) -> None:
    from dlarewrite.build.tensorrt import load_tensorrt
    from dlarewrite.build.verify_engine import ENGINE_RTOL, layer_wise, run_layer_wise, verify_engine

    trt = load_tensorrt()
    polygraphy = None
    if layers:
        if isinstance(asked["atol"], dict) or isinstance(asked["rtol"], dict):
            raise UsageError("--layers takes one --atol and one --rtol for all tensors")
        polygraphy = layer_wise(trt, model, atol=asked["atol"] or 0.0, rtol=asked["rtol"] or ENGINE_RTOL)
    with console.working("verify") as tell:
        tell(f"run {engine}")
        evidence = verify_engine(trt, model, engine, core=core, **asked)
    if polygraphy is not None:
        console.info("layer by layer, as Polygraphy builds the model anew: fusions and placement may differ")
        with console.working("verify") as tell:
            tell(" ".join(polygraphy))
            equal, text = run_layer_wise(polygraphy)
        console.raw(text.rstrip())
        if not equal:
            raise MismatchError("Polygraphy finds tensors that differ", hint="the first one listed is where it begins")
    _tell(console, evidence, model, engine, as_json)


def _tell(console: Console, evidence: Evidence, model: Path, other: Path, as_json: bool) -> None:
    from dlarewrite.report import json_
    from dlarewrite.report.text import proof

    if as_json:
        sources = {"model": str(model), "other": str(other)}
        console.product(json_.document_text({"sources": sources, "proof": evidence.to_dict()}))
    else:
        console.product(proof(evidence, width()))
    if not evidence.ok:
        raise MismatchError(
            f"{str(other)!r} does not compute what {str(model)!r} computes: {evidence.reason}",
            hint="--atol and --rtol set what may differ",
        )

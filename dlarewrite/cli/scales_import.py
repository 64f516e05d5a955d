"""``dlarewrite scales import``: a Q/DQ model becomes a plain model, a table of scales and layer precisions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlarewrite.cli import options
from dlarewrite.cli.command import FILE, command, operand
from dlarewrite.cli.console import Console
from dlarewrite.cli.extensions import find_plugins
from dlarewrite.cli.output import check_paths, width
from dlarewrite.errors import DlarewriteError, MismatchError, UsageError

if TYPE_CHECKING:
    from dlarewrite.ir.model import Model
    from dlarewrite.precision.qdq_in import Plain, Reading
    from dlarewrite.verify import Evidence


@command("import", short_help="Read a Q/DQ model: plain model, scales, layer precisions.")
@operand("model")
@click.option("-o", "--output", type=FILE, required=True, help="The plain float model.")
@click.option(
    "--scales", type=FILE, required=True, help="The table for *.json, else a calibration cache for trtexec --calib."
)
@click.option("--layer-precisions", type=FILE, help="Write the text for trtexec --layerPrecisions here.")
@click.option(
    "--asymmetric",
    type=click.Choice(["symmetric", "keep", "refuse"]),
    default="symmetric",
    show_default=True,
    help="Zero points: widen the range to a symmetric one, keep them in the table (JSON), or refuse them.",
)
@click.option(
    "--weights",
    type=click.Choice(["check", "max", "histogram"]),
    default="check",
    show_default=True,
    help="Weights whose scale is not max/127, which TensorRT takes: tell of them, refuse them, or do not look.",
)
@click.option("--infer-average", is_flag=True, help="Scales pass averages: (Global)AveragePool and ReduceMean.")
@click.option("--infer-concat", is_flag=True, help="A Concat's result gets the largest scale of its inputs.")
@click.option("--infer-mul", is_flag=True, help="Of a Mul's three scales the third follows from two.")
@click.option("--infer-op", multiple=True, metavar="OP", help="Scales pass this operator, too. Repeatable.")
@click.option(
    "--unary",
    is_flag=True,
    help="Scale 1.0 between Conv and Add without Q/DQ: DLA software 3.13 (JetPack 6) and later fuse them in INT8.",
)
@click.option("--no-verify", is_flag=True, help="Do not compare the models in onnxruntime.")
@click.option("--inputs", type=FILE, metavar="data.npz", help="Compare on these inputs instead of drawn ones.")
@click.option("--seed", type=click.IntRange(min=0), multiple=True, default=(0,), show_default=True)
@options.as_json
@options.shape
@options.plugin
def import_(
    model: Path,
    output: Path,
    scales: Path,
    layer_precisions: Path | None,
    no_verify: bool,
    inputs: Path | None,
    seed: tuple[int, ...],
    as_json: bool,
    **given: Any,
) -> None:
    """Take the QuantizeLinear/DequantizeLinear pairs out of MODEL and keep their scales.

    Weights become what their pair makes of them. Layers beside a tensor without a scale are set to FP16, as the DLA
    would run them. The plain model is proven to compute what MODEL computes without rounding; then the scales are put
    back, and the difference from MODEL itself is shown. Exit codes: 0 ok, 1 failure, 2 usage, 4 not equal.
    """
    from dlarewrite import compiler
    from dlarewrite.ir.exporter import atomic
    from dlarewrite.precision import layer_precisions as layers
    from dlarewrite.precision.qdq_in import import_qdq
    from dlarewrite.report import json_
    from dlarewrite.report.qdq import imported, plain_data

    console = Console.current()
    find_plugins(console, given.get("plugin") or ())
    others = [path for path in (scales, layer_precisions) if path is not None]
    for path in (output, *others):
        check_paths(model, path)
    if len({path.resolve() for path in (output, *others)}) <= len(others):
        raise UsageError("the plain model, the scales and the layer precisions go to different files")
    reading = _reading(given)
    with console.working("import") as tell:
        tell(f"load {model}")
        loaded, _ = compiler.load_frozen(model, options.collect(model, given))
        tell("take the pairs out")
        plain = import_qdq(loaded, reading)
        proofs = () if no_verify else _prove(console, loaded, plain, inputs, seed)
        text, unsaid = layers.render(plain.table.layer_precisions)
        plain.table.save(scales)
        if layer_precisions is not None:
            with atomic(layer_precisions) as file:
                file.write(f"{text}\n".encode())
        plain.model.save(output)
    if unsaid:
        console.warn(
            f"trtexec cannot be told of {len(unsaid)} layers, since their names have commas, quotation marks or stars, "
            f"such as {unsaid[0]!r}"
        )
    written = [str(path) for path in (output, *others)]
    if as_json:
        console.product(json_.document_text({**plain_data(plain, proofs), "written": written}))
    else:
        console.product(f"{imported(plain, proofs, width())}\nwrote {', '.join(written)}")


def _reading(given: dict[str, Any]) -> Reading:
    from dlarewrite.precision.propagate import Propagation
    from dlarewrite.precision.qdq_in import Reading

    how = Propagation(
        average=given.pop("infer_average"),
        concat=given.pop("infer_concat"),
        mul=given.pop("infer_mul"),
        more=frozenset(given.pop("infer_op")),
        unary=given.pop("unary"),
    )
    return Reading(given.pop("asymmetric"), given.pop("weights"), how)


def _prove(
    console: Console, loaded: Model, plain: Plain, inputs: Path | None, seeds: tuple[int, ...]
) -> tuple[Evidence, ...]:
    """Both comparisons; a difference of the first is an error, what onnxruntime cannot run a warning."""
    from dlarewrite.precision.qdq_proof import compare_rounded, prove_plain
    from dlarewrite.verify.failures import CannotRun

    feeds = None if inputs is None else str(inputs)
    try:
        equal = prove_plain(loaded, plain, feeds=feeds, seeds=seeds)
    except CannotRun as error:
        console.warn(f"not proven: {error}")
        return ()
    if not equal.ok:
        raise MismatchError(
            f"the plain model is not the original without rounding: {equal.reason}", hint="--no-verify writes it anyway"
        )
    try:
        return equal, compare_rounded(loaded, plain, feeds=feeds, seeds=seeds)
    except DlarewriteError as error:
        console.warn(f"not compared with the scales put back: {error.message}")
        return (equal,)

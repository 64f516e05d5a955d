"""``dlarewrite scales export``: a table in the dialect of a TensorRT release."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlarewrite.cli import options
from dlarewrite.cli.belongs import check_belongs
from dlarewrite.cli.command import FILE, command, operand
from dlarewrite.cli.console import Console
from dlarewrite.cli.extensions import find_plugins
from dlarewrite.cli.output import check_paths, width
from dlarewrite.errors import DlarewriteError, UsageError

if TYPE_CHECKING:
    from dlarewrite.ir.model import Model
    from dlarewrite.precision.data import Feed
    from dlarewrite.precision.scales import ScaleTable

    Feeds = list[Feed]

_MOST = 8
"""Samples that a difference is measured on."""


@command("export", short_help="Write scales as TensorRT takes them: cache, FP16 model, Q/DQ model.")
@operand("model")
@click.option("--scales", type=FILE, help="The table (JSON) or calibration cache; may be left out for fp16.")
@click.option("-o", "--output", type=FILE, required=True, help="The cache, or the model.")
@click.option(
    "--to",
    "form",
    type=click.Choice(["cache", "fp16", "int8", "uint8"]),
    help="Default: cache for TensorRT up to 10, fp16 for 11. int8 and uint8 are Q/DQ models, and experimental.",
)
@options.only_target
@click.option("--layer-precisions", type=FILE, help="cache: write the text for trtexec --layerPrecisions here.")
@click.option("--trt-version", metavar="8600", help="cache: the digits in the header; TensorRT warns of others.")
@click.option("--io", type=click.Choice(["fp32", "fp16"]), default="fp32", show_default=True, help="fp16: the border.")
@click.option("--no-weights", is_flag=True, help="int8, uint8: leave weights in floating point.")
@click.option("--no-verify", is_flag=True, help="Do not measure the difference in onnxruntime.")
@click.option(
    "--inputs", type=FILE, metavar="data.npz", help="Measure on (the first 8 of) these inputs instead of drawn ones."
)
@options.shape
@options.plugin
def export(
    model: Path,
    scales: Path | None,
    output: Path,
    form: str | None,
    target: str,
    layer_precisions: Path | None,
    trt_version: str | None,
    io: str,
    no_weights: bool,
    no_verify: bool,
    inputs: Path | None,
    **given: Any,
) -> None:
    """Write the scales of MODEL in the dialect that the target's TensorRT takes.

    \b
    cache        calibration cache and layer precisions, TensorRT up to 10.16
    fp16         MODEL with FP16 tensors: TensorRT 11 runs what the types say
    int8, uint8  MODEL with Q/DQ: experimental, see what is printed

    Errors against MODEL are measured in onnxruntime and shown. Those of Q/DQ say little on drawn inputs, which lie
    beyond the scales: give --inputs.
    """
    from dlarewrite import compiler
    from dlarewrite.precision.scales import ScaleTable

    console = Console.current()
    find_plugins(console, given.get("plugin") or ())
    check_paths(model, output)
    form = form or ("fp16" if compiler.Options(target=target).load_target().profile.strongly_typed else "cache")
    if scales is None and form != "fp16":
        raise UsageError(f"--to {form} needs --scales", hint="`dlarewrite calibrate` and `scales import` make them")
    if form != "cache" and (layer_precisions or trt_version):
        raise UsageError("--layer-precisions and --trt-version belong to --to cache")
    if scales is not None and output.exists() and scales.exists() and output.samefile(scales):
        raise UsageError(f"output {str(output)!r} is the table", hint="write to another file")
    table = ScaleTable.load(scales) if scales is not None else ScaleTable()
    with console.working("export") as tell:
        tell(f"load {model}")
        loaded, _ = compiler.load_frozen(model, options.collect(model, given))
    if scales is not None:
        check_belongs(console, table, loaded, scales, model)
    feeds = None if no_verify else _feeds(inputs, loaded)
    if form == "cache":
        _cache(console, table, loaded, output, (model, layer_precisions), trt_version)
    elif form == "fp16":
        _half(console, table, loaded, output, io == "fp16", feeds)
    else:
        _quantised(console, table, loaded, output, form, not no_weights, feeds)


def _feeds(inputs: Path | None, model: Model) -> Feeds:
    """What to measure on: the first samples of a file, or nothing, for drawn ones."""
    if inputs is None:
        return []
    from dlarewrite.precision.source import open_data

    data, _ = open_data(str(inputs), model)
    return [sample.feed for sample in islice(data.begin(0), _MOST)]


def _cache(
    console: Console,
    table: ScaleTable,
    loaded: Model,
    output: Path,
    places: tuple[Path, Path | None],
    version: str | None,
) -> None:
    from dataclasses import replace

    from dlarewrite.ir.exporter import atomic
    from dlarewrite.precision import cache
    from dlarewrite.precision import layer_precisions as layers
    from dlarewrite.precision.propagate import lacking
    from dlarewrite.report.scales import summary

    model, text_file = places
    if version is not None:
        if not version.isdigit():
            raise UsageError(f"--trt-version is {version!r}; it is digits such as 8600")
        table = replace(table, header=f"TRT-{version}-EntropyCalibration2")
    chosen = {**dict.fromkeys(lacking(table.scales, loaded), "fp16"), **table.layer_precisions}
    text, unsaid = layers.render(chosen)
    data = cache.render(table)
    if text_file is not None:
        check_paths(model, text_file)
        with atomic(text_file) as file:
            file.write(f"{text}\n".encode())
    with atomic(output) as file:
        file.write(data.encode())
    if unsaid:
        console.warn(
            f"trtexec cannot be told of {len(unsaid)} layers, since their names have commas, quotation "
            f"marks or stars, such as {unsaid[0]!r}"
        )
    precisions = f" --precisionConstraints=prefer --layerPrecisions=$(cat {text_file})" if text and text_file else ""
    words = f"trtexec --onnx={model} --int8 --fp16 --useDLACore=0 --calib={output}{precisions}"
    told = f"\n{len(chosen)} layers run FP16 (no scale, or set so)" if chosen else ""
    console.product(f"{summary(table)}{told}\n{words}\nwrote {', '.join(str(p) for p in (output, text_file) if p)}")


def _half(console: Console, table: ScaleTable, loaded: Model, output: Path, half_io: bool, feeds: Feeds | None) -> None:
    from dlarewrite.precision.typed_out import to_half
    from dlarewrite.report.qdq import typed

    with console.working("export") as tell:
        tell("set types")
        found = to_half(loaded, table, keep_io=not half_io)
        measured = "" if half_io else _measured(console, loaded, found.model, feeds)
        found.model.save(output)
    console.product(f"{typed(found, width())}{measured}\nwrote {output}")


def _quantised(
    console: Console, table: ScaleTable, loaded: Model, output: Path, form: str, weights: bool, feeds: Feeds | None
) -> None:
    from dlarewrite.precision.qdq_out import KNOWN, to_qdq
    from dlarewrite.report.qdq import quantised

    with console.working("export") as tell:
        tell("put pairs in")
        found = to_qdq(loaded, table, kind=form, weights=weights)
        measured = _measured(console, loaded, found.model, feeds)
        found.model.save(output)
    console.warn(KNOWN[form])
    console.product(f"{quantised(found, width())}{measured}\nwrote {output}")


def _measured(console: Console, before: Model, after: Model, feeds: Feeds | None) -> str:
    """The line of errors on a file's inputs, or on drawn ones; "" for None or where nothing can be compared."""
    from dlarewrite.report.qdq import errors
    from dlarewrite.verify import Numerics, prove

    if feeds is None:
        return ""
    try:
        proof = prove(
            before.to_proto(),
            after.to_proto(),
            numerics=Numerics.LOSSY,
            seeds=(0,),
            feeds=feeds or None,
            base_dir=before.folder,
            after_dir=after.folder,
        )
    except DlarewriteError as error:
        console.warn(f"not compared with the model: {error.message}")
        return ""
    if not proof.outputs:
        console.warn(f"not compared with the model: {proof.reason}")
        return ""
    worse = f"; {proof.reason}" if not proof.ok else ""
    where = "the inputs given" if feeds else "drawn inputs"
    return f"\nOff the model on {where} by: {errors(proof)}{worse}"

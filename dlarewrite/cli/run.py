"""``dlarewrite run``: the parts of a split one after another, and how they compare with a whole model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlarewrite.cli import options
from dlarewrite.cli.command import FILE, command, operand
from dlarewrite.cli.console import Console
from dlarewrite.cli.output import width
from dlarewrite.errors import MismatchError, UsageError

if TYPE_CHECKING:
    from dlarewrite.partition.manifest import Manifest
    from dlarewrite.partition.rejoin import Runs
    from dlarewrite.verify import Evidence


@command("run", short_help="Run the parts that `split` wrote, and compare them with a model.")
@operand("folder")
@click.option(
    "--inputs", type=FILE, metavar="data.npz", help="Arrays by input name; several samples as 0/NAME, 1/NAME."
)
@click.option("-o", "--output", type=FILE, metavar="out.npz", help="Write the outputs here, named as the inputs are.")
@click.option(
    "--against", type=FILE, metavar="MODEL", help="Compare with this model, on drawn inputs if none are given."
)
@options.comparison
@click.option("--allow-changed", is_flag=True, help="Run files that are not those that the manifest was written for.")
@options.as_json
def run(
    folder: Path,
    inputs: Path | None,
    output: Path | None,
    against: Path | None,
    seed: tuple[int, ...],
    atol: tuple[Any, ...],
    rtol: tuple[Any, ...],
    allow_changed: bool,
    as_json: bool,
) -> None:
    """Run the parts in FOLDER one after another in onnxruntime, as its manifest says.

    --against compares bit by bit with the model that was split, and within ROUNDING's tolerance with any other one,
    unless --atol or --rtol say else. Exit codes: 0 ok, 1 failure, 2 usage, 4 the outputs differ.
    """
    from dlarewrite.partition import manifest, rejoin
    from dlarewrite.verify import load_npz

    console = Console.current()
    found = manifest.load(folder)
    _check_request(inputs, output, against)
    with console.working("run") as tell:
        manifest.check_files(folder, found, checksums=not allow_changed)
        runs = evidence = None
        if inputs is not None:
            tell("run")
            runs = rejoin.run(folder, found, load_npz(inputs, rejoin.whole(folder, found)))
        if against is not None:
            tell("compare")
            bounds = options.tolerance("atol", atol), options.tolerance("rtol", rtol)
            evidence = _compare(folder, found, against, inputs, seed, bounds)
        if output is not None and runs is not None:
            rejoin.save_outputs(runs, output)
    console.product(_text(found, runs, evidence, as_json))
    if output is not None:
        console.info(f"wrote {output}")
    if evidence is not None and not evidence.ok:
        raise MismatchError(f"the parts differ from {str(against)!r}: {evidence.reason}")


def _check_request(inputs: Path | None, output: Path | None, against: Path | None) -> None:
    """There is something to run on, and the outputs can be written."""
    if inputs is None and against is None:
        raise UsageError("there is nothing to run on", hint="give --inputs data.npz, or --against MODEL to draw inputs")
    if inputs is None and output is not None:
        raise UsageError("outputs are written for given inputs", hint="give --inputs data.npz")
    for path in (inputs, against):
        if path is not None and not path.is_file():
            raise UsageError(f"file {str(path)!r} does not exist")
    if output is not None and not output.absolute().parent.is_dir():
        raise UsageError(f"output folder {str(output.parent)!r} does not exist", hint=f"mkdir -p {output.parent}")
    if output is not None and inputs is not None and output.resolve() == inputs.resolve():
        raise UsageError(f"output {str(output)!r} is the input", hint="write to another file")


def _compare(
    folder: Path, found: Manifest, against: Path, inputs: Path | None, seeds: tuple[int, ...], bounds: tuple[Any, Any]
) -> Evidence:
    """The parts against a model, as closely as the split was made where it is the one that was split."""
    from dlarewrite.partition import manifest, rejoin
    from dlarewrite.verify import Numerics

    same = manifest.digest(against) == found.source_sha256
    return rejoin.prove(
        folder,
        found,
        against,
        numerics=Numerics[found.numerics] if same else Numerics.ROUNDING,
        seeds=seeds,
        feeds=inputs,
        shapes=rejoin.static_shapes(found),
        atol=bounds[0],
        rtol=bounds[1],
    )


def _text(found: Manifest, runs: Runs | None, evidence: Evidence | None, as_json: bool) -> str:
    from dlarewrite.report import json_
    from dlarewrite.report.split import run_text

    if not as_json:
        return run_text(found, runs, evidence, width())
    outputs = [] if runs is None else [
        {name: {"dtype": str(v.dtype), "shape": list(v.shape)} for name, v in sample.items() if hasattr(v, "shape")}
        for sample in runs.outputs
    ]  # fmt: skip
    seconds = {} if runs is None else {name: list(took) for name, took in runs.seconds.items()}
    proof = None if evidence is None else evidence.to_dict()
    return json_.document_text({"version": 1, "seconds": seconds, "outputs": outputs, "evidence": proof})

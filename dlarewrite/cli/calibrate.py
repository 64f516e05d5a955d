"""``dlarewrite calibrate``: INT8 scales from data, on the CPU."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlarewrite.cli import options
from dlarewrite.cli.command import FILE, command, operand
from dlarewrite.cli.console import Console
from dlarewrite.cli.data_options import check_output, data_options, opened, progress
from dlarewrite.cli.extensions import find_plugins
from dlarewrite.errors import UsageError

if TYPE_CHECKING:
    from dlarewrite.precision.calibrate import Calibration
    from dlarewrite.precision.data import Data
    from dlarewrite.precision.images import Preprocess


@command("calibrate", short_help="Find INT8 scales by running the model on data.")
@operand("model")
@click.option(
    "--data", required=True, metavar="DIR|FILE|MODULE:FUNCTION", help="Pictures, .npz or .npy files, or a function."
)
@click.option("-o", "--output", type=FILE, help="The table: JSON for *.json, else a calibration cache.")
@click.option(
    "--method",
    type=click.Choice(["entropy", "minmax", "percentile", "mse"]),
    default="entropy",
    show_default=True,
    help="How amax is chosen from the values seen; with entropy the graph's inputs keep their whole range.",
)
@click.option(
    "--percentile", type=float, default=99.99, show_default=True, metavar="P", help="For --method percentile."
)
@click.option("--preview", type=FILE, metavar="out.png", help="A picture of what the network will see.")
@click.option(
    "--state", type=FILE, help="Keep the statistics here, also when done: another --method then takes no run."
)
@click.option("--allow-nonfinite", is_flag=True, help="Leave tensors with NaN or infinity without a scale.")
@data_options
@options.shape
@options.plugin
def calibrate(
    model: Path,
    data: str,
    output: Path | None,
    method: str,
    percentile: float,
    preview: Path | None,
    state: Path | None,
    allow_nonfinite: bool,
    **given: Any,
) -> None:
    """Run MODEL on data in onnxruntime and write a scale for every floating-point activation.

    Interrupted, it goes on where it stopped when the same command is given again. Files are taken in the order of
    their paths. Without -o, --preview alone shows how pictures are prepared.

    \b
    dlarewrite calibrate resnet50.onnx --data images/ --resize 256 --mean 0.485,0.456,0.406 \\
      --std 0.229,0.224,0.225 -o scales.json
    dlarewrite calibrate yolo.onnx --data images/ --fit letterbox -o scales.json
    """
    from dlarewrite import compiler
    from dlarewrite.precision.calibrate import Settings
    from dlarewrite.precision.calibrate import calibrate as run

    console = Console.current()
    find_plugins(console, given.get("plugin") or ())
    if output is None and preview is None:
        raise UsageError("there is nothing to write", hint="give -o scales.json, or --preview out.png")
    for path in (output, preview, state):
        if path is not None:
            check_output(path, model)
    settings = Settings(method, percentile, given["threads"], allow_nonfinite)
    frozen, _ = compiler.load_static(model, options.collect(model, {k: given[k] for k in ("shape", "batch", "plugin")}))
    found, how = opened(data, frozen, given, console)
    if preview is not None:
        _preview(found, how, preview, console)
    if output is None:
        return
    kept = state if state is not None else output.with_name(f"{output.name}.state")
    with console.working("calibrate") as tell:
        try:
            made = run(frozen, found, settings, state=kept, watch=progress(tell))
        except KeyboardInterrupt:
            if kept.exists():
                console.info(f"what was seen is kept in {kept}: the same command goes on from there")
            raise
    made.table.save(output)
    if state is None:
        kept.unlink(missing_ok=True)
    console.product(f"{_summary(made)}\nwrote {output}")
    _warn(made, console)


def _preview(data: Data, how: Preprocess | None, path: Path, console: Console) -> None:
    from dlarewrite.precision.preview import MOST, write_preview

    if how is None:
        raise UsageError("--preview shows pictures, and --data holds none")
    batches = (next(iter(sample.feed.values())) for sample in data.begin(0))
    write_preview(list(islice((one for batch in batches for one in batch), MOST)), how, path)
    console.info(f"wrote {path}: what the network will see")


def _summary(made: Calibration) -> str:
    from dlarewrite.report.scales import summary

    resumed = f" ({made.resumed} of them kept by an earlier run)" if made.resumed else ""
    return f"{summary(made.table)}{resumed}"


def _warn(made: Calibration, console: Console) -> None:
    from dlarewrite.report.figures import plural, some

    if made.zero:
        console.warn(f"{plural(len(made.zero), 'tensor')} zero in all samples, given the floor: {some(made.zero)}")
    if made.gaps:
        listed = some([f"{name} ({why})" for name, why in made.gaps.items()])
        console.warn(f"{plural(len(made.gaps), 'tensor')} without a scale: {listed}")

"""``dlarewrite emulate``: what INT8 with these scales does to the outputs, before a board is there."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlarewrite.cli import options
from dlarewrite.cli.command import FILE, command, operand
from dlarewrite.cli.console import Console
from dlarewrite.cli.data_options import check_output, data_options, opened, progress
from dlarewrite.cli.extensions import find_plugins
from dlarewrite.cli.output import width
from dlarewrite.cli.types import Share, ShareType
from dlarewrite.errors import GateError, UsageError

if TYPE_CHECKING:
    from dlarewrite.ir.model import Model
    from dlarewrite.precision.calibrate import Watch
    from dlarewrite.precision.data import Data
    from dlarewrite.precision.emulate import Emulation
    from dlarewrite.precision.proposal import Proposal
    from dlarewrite.precision.scales import ScaleTable
    from dlarewrite.target import Judgement, Target


@command("emulate", short_help="Show the error that INT8 with a table of scales makes.")
@operand("model")
@click.option("--scales", type=FILE, required=True, help="The table (JSON) or calibration cache.")
@click.option("--data", metavar="DIR|FILE|MODULE:FUNCTION", help="Pictures, .npz or .npy files, or a function.")
@click.option("--inputs", type=FILE, metavar="data.npz", help="The same as --data data.npz.")
@options.only_target
@click.option(
    "--everything", is_flag=True, help="Take all layers to be on the DLA, also those that the target refuses."
)
@click.option(
    "--equal-scales",
    is_flag=True,
    help="Give tensors that must share a scale the largest one, as TensorRT (Q-EQ).",
)
@click.option("--top", type=click.IntRange(min=0), default=20, show_default=True, help="How many tensors are shown.")
@click.option("--min-snr", type=float, metavar="DB", help="Gate: exit with 3 where an output is worse than this.")
@click.option("--precision-plan", is_flag=True, help="Measure each layer alone; propose which to keep out of INT8.")
@click.option("--max-layers", type=click.IntRange(min=1), metavar="N", help="Measure the N worst layers only.")
@click.option("--max-slowdown", type=ShareType(1000.0), default="10%", show_default=True, help="Time a plan may add.")
@click.option("--want-snr", type=float, default=40.0, show_default=True, metavar="DB", help="Where a plan stops.")
@click.option("-o", "--output", type=FILE, help="Write the table with the plan's layer precisions here.")
@options.as_json
@data_options
@options.shape
@options.plugin
def emulate(
    model: Path,
    scales: Path,
    data: str | None,
    inputs: Path | None,
    target: str,
    everything: bool,
    equal_scales: bool,
    top: int,
    min_snr: float | None,
    precision_plan: bool,
    max_layers: int | None,
    max_slowdown: Share,
    want_snr: float,
    output: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Run MODEL in onnxruntime with INT8 as the DLA does it, and print the error against floating point.

    "Own dB" is what a tensor's scale costs by itself: a bad scale stands out there. "SNR dB" is the error with all
    that comes before. A convolution with its scale and activation is one operation; nothing is rounded within it.
    """
    from dlarewrite import compiler
    from dlarewrite.precision.scales import ScaleTable
    from dlarewrite.report.emulation import decibels

    console = Console.current()
    find_plugins(console, given.get("plugin") or ())
    spec = _spec(data, inputs)
    if output is not None:
        if not precision_plan:
            raise UsageError("-o writes a plan's table", hint="add --precision-plan")
        check_output(output, model)
    table = ScaleTable.load(scales)
    chosen = options.collect(
        model, {k: given[k] for k in ("shape", "batch", "plugin")} | {"target": target, "precision": "int8"}
    )
    frozen, machine = compiler.load_static(model, chosen)
    found, _ = opened(spec, frozen, given, console)
    _warn_of_other_model(frozen, table, console)
    judgement = None if everything else compiler.judge_model(frozen, machine)
    run = _Run(frozen, found, judgement, machine, given["threads"])
    with console.working("emulate") as tell:
        table = run.tied(table) if equal_scales else table
        made = run.emulate(table, progress(tell))
    plan, measured = None, math.inf
    if precision_plan:
        with console.working("precision plan") as tell:
            limits = _Limits(max_layers, max_slowdown.value, want_snr)
            plan, measured = run.plan(table, made, limits, progress(tell))
        if output is not None:
            plan.applied(table).save(output)
    console.product(_text(made, plan, measured, top, as_json))
    if output is not None:
        console.info(f"wrote {output}")
    if min_snr is not None and made.snr < min_snr:
        raise GateError(f"--min-snr demands {min_snr:g} dB, found {decibels(made.snr)}")


@dataclass(frozen=True)
class _Limits:
    """Of a plan: how many layers are measured, the share of time that it may add, and the SNR in dB where it stops."""

    layers: int | None
    slowdown: float
    snr: float


@dataclass(frozen=True)
class _Run:
    """A model on its data; ``judgement`` is None where every layer is taken to be on the DLA."""

    model: Model
    data: Data
    judgement: Judgement | None
    target: Target
    threads: int

    def tied(self, table: ScaleTable) -> ScaleTable:
        """The table with equal scales where TensorRT demands them."""
        from dlarewrite.precision.emulate import tied
        from dlarewrite.precision.layers import groups

        return tied(table, groups(self.model, table, self.judgement))

    def emulate(self, table: ScaleTable, watch: Watch | None = None) -> Emulation:
        from dlarewrite.precision.emulate import emulate

        return emulate(self.model, table, self.data, self.judgement, threads=self.threads, watch=watch)

    def plan(self, table: ScaleTable, made: Emulation, limits: _Limits, watch: Watch) -> tuple[Proposal, float]:
        """The proposal, and the worst output's SNR that it gives when it is emulated."""
        from dlarewrite.precision.proposal import predicted_seconds, propose
        from dlarewrite.precision.sensitivity import sensitivities

        found = sensitivities(
            self.model, table, self.data, made, self.target, most=limits.layers, threads=self.threads, watch=watch
        )
        seconds = predicted_seconds(made.groups, self.target)
        proposal = propose(found, made.groups, seconds, max_slowdown=limits.slowdown, want_snr=limits.snr, snr=made.snr)
        if not proposal.chosen:
            return proposal, made.snr
        return proposal, self.emulate(proposal.applied(table)).snr


def _text(made: Emulation, plan: Proposal | None, measured: float, top: int, as_json: bool) -> str:
    from dlarewrite.report import emulation as report

    if as_json:
        return json.dumps(report.document(made, plan, measured), indent=2, ensure_ascii=False, allow_nan=False)
    text = report.emulated(made, width(), top)
    return text if plan is None else f"{text}\n\n{report.proposal(plan, measured, width(), top)}"


def _spec(data: str | None, inputs: Path | None) -> str:
    if (data is None) == (inputs is None):
        raise UsageError(
            "emulation needs data" if data is None else "--data and --inputs are given both",
            hint="give --data DIR, --data data.npz or --data module:function",
        )
    return data if data is not None else str(inputs)


def _warn_of_other_model(model: Model, table: ScaleTable, console: Console) -> None:
    from dlarewrite.precision.fingerprint import fingerprint

    if table.model and table.model != fingerprint(model):
        console.warn("the scales were made for another model; `dlarewrite scales carry` brings them to a rewritten one")

"""``dlarewrite sparsity``: which convolutions could use the DLA's structured sparsity."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from dlarewrite.cli import options
from dlarewrite.cli.command import FILE, command, operand
from dlarewrite.cli.console import Console
from dlarewrite.cli.extensions import find_plugins
from dlarewrite.cli.output import width


@command("sparsity", short_help="Say which convolutions could be 2:4 sparse on the DLA.")
@operand("model")
@click.option("--scales", type=FILE, help="A table whose layer precisions count: what is kept FP16 stays dense.")
@options.only_target
@options.as_json
@options.shape
@options.plugin
def sparsity(model: Path, scales: Path | None, target: str, as_json: bool, **given: Any) -> None:
    """Say which convolutions of MODEL could run on the sparse units of Orin's DLA, and which are 2:4 already.

    INT8 is taken for granted. The predicted gain rests on published factors, not on a measurement.
    """
    from dlarewrite import compiler
    from dlarewrite.precision.scales import ScaleTable
    from dlarewrite.precision.sparsity import sparsity_report
    from dlarewrite.report import sparsity as report

    console = Console.current()
    find_plugins(console, given.get("plugin") or ())
    asked = ScaleTable.load(scales).layer_precisions if scales is not None else {}
    with console.working("sparsity"):
        chosen = options.collect(model, given | {"target": target, "precision": "int8"})
        frozen, machine = compiler.load_static(model, chosen)
        found = sparsity_report(frozen, machine, compiler.judge_model(frozen, machine), asked)
    document = report.document(found)
    console.product(
        json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) if as_json else report.text(found, width())
    )

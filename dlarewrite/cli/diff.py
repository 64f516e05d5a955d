"""``dlarewrite diff``: what changed between two models, node by node, grouped by pass."""

from __future__ import annotations

from pathlib import Path

import click

from dlarewrite.cli import options
from dlarewrite.cli.command import command, operand
from dlarewrite.cli.console import Console


@command("diff", short_help="Say what changed between two models, node by node, by pass.")
@operand("before")
@operand("after")
@click.option("--exit-code", is_flag=True, help="Exit with 1 where the models differ.")
@options.as_json
def diff(before: Path, after: Path, exit_code: bool, as_json: bool) -> None:
    """Say which nodes of BEFORE are gone in AFTER, which are new, and which changed in what.

    Any two ONNX files can be compared. Changes that `dlarewrite optimize` made are grouped by the pass that made them.
    Weights are compared by value, bit for bit. Exit codes: 0 compared, 1 failure (or, with --exit-code, different), 2
    usage.
    """
    console = Console.current()
    with console.working("diff") as tell:
        from dlarewrite import difference
        from dlarewrite.ir.model import Model
        from dlarewrite.report import json_
        from dlarewrite.report.difference import render

        models = []
        for path in (before, after):
            tell(f"load {path}")
            models.append(Model.load(path))
        tell("compare")
        found = difference.compare(*models)
        sources = {"before": str(before), "after": str(after)}
        text = json_.document_text({"sources": sources, **found.to_dict()}) if as_json else render(found)
    console.product(text)
    if exit_code and not found.equal:
        click.get_current_context().exit(1)

"""Whether a table of scales is that of the model it is used with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dlarewrite.cli.console import Console
from dlarewrite.errors import UsageError

if TYPE_CHECKING:
    from dlarewrite.ir.model import Model
    from dlarewrite.precision.scales import ScaleTable


def check_belongs(console: Console, table: ScaleTable, model: Model, scales: Path, path: Path) -> None:
    """A table that names none of the model's tensors is another model's; one that was made for another gets a word."""
    from dlarewrite.precision.activations import activations
    from dlarewrite.precision.fingerprint import fingerprint

    names = {t.name for t in activations(model)}
    if not names & table.scales.keys():
        raise UsageError(f"{str(scales)!r} names no tensor of {str(path)!r}", hint="is it another model's table?")
    strangers = [name for name in table.scales if name not in names]
    apart = 2 * len(strangers) > len(table.scales) and 2 * len(names & table.scales.keys()) < len(names)
    if apart or (table.model and table.model != fingerprint(model)):
        told = f"{len(strangers)} of {len(table.scales)} tensors in it are not there"
        console.warn(f"{scales} seems to be made for another model than {path}: {told}")

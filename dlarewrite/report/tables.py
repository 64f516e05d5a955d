"""Tables as plain text of a given width."""

from __future__ import annotations

import io
from collections.abc import Sequence


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, right: Sequence[str] = ()) -> str:
    """``rows`` under ``columns``, folded to ``width`` characters; columns in ``right`` are right-aligned."""
    from rich.box import Box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    plain = Box("    \n    \n -  \n    \n    \n    \n    \n    \n", ascii=True)
    made = Table(box=plain, pad_edge=False, show_edge=False, header_style="")
    for column in columns:
        made.add_column(
            Text(column),
            justify="right" if column in right else "left",
            overflow="fold",
            min_width=min(len(column), 6),
            ratio=None,
        )
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    out = io.StringIO()
    console = Console(file=out, width=max(width, 40), color_system=None, force_terminal=False, legacy_windows=False)
    console.print(made)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip("\n")


def section(title: str, body: str) -> str:
    """A title, an empty line's worth of air, and what belongs to it."""
    return f"{title}\n{body}"

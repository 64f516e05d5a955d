"""What changed between two models as lines to read or to grep: one a node, under the pass that did it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dlarewrite.report.figures import plural

if TYPE_CHECKING:
    from dlarewrite.difference import Difference, NodeChange

_SIGNS = {"removed": "-", "added": "+", "changed": "~", "renamed": "=", "moved": ">"}
_NO_PASS = "no pass noted"


def render(difference: Difference) -> str:
    """One sentence; then, where something differs, what callers see, and each pass with its nodes."""
    return "\n".join(_lines(difference))


def _lines(difference: Difference) -> Iterator[str]:
    if difference.equal:
        yield f"equal: {plural(difference.nodes[1], 'node')}, nothing changed"
    else:
        counts = [f"{number} {kind}" for kind, number in difference.counts.items() if number]
        yield f"{difference.nodes[0]} -> {plural(difference.nodes[1], 'node')}: " + ", ".join(
            (*counts, f"{difference.kept} kept")
        )
    if difference.described:
        yield f"{plural(difference.described, 'tensor')} of known type and shape in one model only"
    if difference.interface:
        yield "\nmodel"
        yield from (f"  ~ {line}" for line in difference.interface)
    for by, changes in difference.by_pass.items():
        totals = Counter(change.kind for change in changes)
        yield f"\n{by or _NO_PASS}: " + ", ".join(f"{totals[kind]} {kind}" for kind in _SIGNS if totals[kind])
        yield from map(_line, changes)


def _line(change: NodeChange) -> str:
    origin = f" from {change.origin}" if change.origin not in ("", change.name) else ""
    details = f": {'; '.join(change.details)}" if change.details else ""
    return f"  {_SIGNS[change.kind]} {change.op} {change.name}{origin}{details}"

"""What a caller demands of a model, and whether it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlarewrite.report.figures import percent, some
from dlarewrite.report.groups import OFF_DLA

if TYPE_CHECKING:
    from dlarewrite.outcome import Report


@dataclass(frozen=True)
class Gate:
    """One demand: its option's name, what it asks, what was found."""

    name: str
    demanded: str
    found: str
    ok: bool

    def __str__(self) -> str:
        return f"{'met' if self.ok else 'NOT met'}: {self.name} demands {self.demanded}, found {self.found}"

    def to_dict(self) -> dict[str, str | bool]:
        return {"name": self.name, "demanded": self.demanded, "found": self.found, "ok": self.ok}


def judge(
    report: Report,
    *,
    full_dla: bool = False,
    min_dla_work: float | None = None,
    max_loadables: int | None = None,
    max_crossings: int | None = None,
) -> tuple[Gate, ...]:
    """The gates that were asked for, held against the report's final graph; uncertain is not on the DLA.

    ``min_dla_work`` is a share of MACs, 0 … 1.
    """
    summary = report.summary
    gates = []
    if full_dla:
        off = [node.name for node in report.nodes if node.verdict in OFF_DLA]
        found = f"{len(off)} off it: {some(off)}" if off else "all on it"
        gates.append(Gate("require-full-dla", "every node on the DLA", found, not off))
    if min_dla_work is not None:
        met = summary.dla_share >= min_dla_work
        gates.append(
            Gate("min-dla-work", f"at least {percent(min_dla_work)} of the MACs", percent(summary.dla_share), met)
        )
    for name, most, count in (
        ("max-loadables", max_loadables, summary.loadables),
        ("max-crossings", max_crossings, summary.crossings),
    ):
        if most is not None:
            gates.append(Gate(name, f"at most {most}", str(count), count <= most))
    return tuple(gates)

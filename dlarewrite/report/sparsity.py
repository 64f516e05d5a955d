"""Which convolutions could be structured sparse, as people and as programs read it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dlarewrite.report.figures import percent, plural, some
from dlarewrite.report.tables import section, table

if TYPE_CHECKING:
    from dlarewrite.precision.sparsity import SparsityReport

SCHEMA_VERSION = 1


def text(found: SparsityReport, width: int) -> str:
    """Shares of the work, predicted gain, eligible convolutions, and what keeps the others dense."""
    eligible = [c for c in found.convs if c.eligible]
    done = [c for c in eligible if c.sparse]
    head = (
        f"{len(eligible)} of {plural(len(found.convs), 'convolution')} could be 2:4 sparse on {found.target}, with "
        f"{percent(found.share())} of the MACs; {len(done)} are already ({percent(found.share(sparse_only=True))})"
    )
    parts = [head]
    if eligible:
        parts.append(_gain(found, bool(done)))
        rows = [
            [
                c.node,
                str(c.channels),
                percent(c.macs / found.macs) if found.macs else "-",
                "sparse already" if c.sparse else f"to be pruned: {percent(c.energy_lost or 0.0)} of its energy",
                "; ".join(c.notes) or "-",
            ]
            for c in eligible
        ]
        parts.append(
            section("Eligible", table(["Conv", "Channels", "MACs", "Weights", "Not firm"], rows, width, ["Channels"]))
        )
    reasons: dict[str, list[str]] = {}
    for conv in found.convs:
        for reason in conv.reasons[:1]:
            reasons.setdefault(reason, []).append(conv.node)
    if reasons:
        rows = [[reason, str(len(names)), some(names)] for reason, names in reasons.items()]
        parts.append(section("Dense", table(["Why", "Count", "Convs"], rows, width, ["Count"])))
    return "\n\n".join(parts)


def _gain(found: SparsityReport, some_done: bool) -> str:
    low, high = found.gain()
    lines = [
        f"predicted gain with all of them sparse: {low:.2f}x to {high:.2f}x (published factors of 1.24 to 1.47 on this "
        "share of the work; not measured here)"
    ]
    if some_done:
        low, high = found.gain(sparse_only=True)
        lines.append(f"as the weights are: {low:.2f}x to {high:.2f}x, built with --sparsity=enable")
    return "\n".join(lines)


def document(found: SparsityReport) -> dict[str, Any]:
    """Plain data for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "target": found.target,
        "macs": found.macs,
        "eligible_share": found.share(),
        "sparse_share": found.share(sparse_only=True),
        "predicted_gain": list(found.gain()),
        "predicted_gain_as_is": list(found.gain(sparse_only=True)),
        "convs": [{**asdict(c), "eligible": c.eligible} for c in found.convs],
    }

"""Tables of scales, what was carried, and what a table covers, as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dlarewrite.report.figures import number, percent, plural, size, some
from dlarewrite.report.tables import section, table

if TYPE_CHECKING:
    from dlarewrite.precision.carry import Carried
    from dlarewrite.precision.coverage import Coverage, RegionCoverage
    from dlarewrite.precision.equal_scales import Equalised
    from dlarewrite.precision.scales import Contradiction, ScaleTable

_SHOWN = 10


def listing(found: ScaleTable, width: int) -> str:
    """Every scale with where it is from, and the layers of fixed precision."""
    rows = [[name, number(s.amax), f"{s.bits:x}", s.certainty.value, s.source] for name, s in found.scales.items()]
    parts = [table(["Tensor", "amax", "Scale", "Known", "From"], rows, width, right=["amax"])] if rows else []
    parts += [table(["Layer", "Precision"], list(map(list, found.layer_precisions.items())), width)] * bool(
        found.layer_precisions
    )
    return "\n\n".join([*parts, summary(found)])


def summary(found: ScaleTable) -> str:
    """One line: how many scales, known in which way, made how."""
    kinds = [s.certainty.value for s in found.scales.values()]
    ways = ", ".join(f"{kinds.count(k)} {k}" for k in dict.fromkeys(kinds))
    made = f"; made by {found.method}" if found.method else ""
    layers = f"; {plural(len(found.layer_precisions), 'layer')} of fixed precision" if found.layer_precisions else ""
    return f"{plural(len(found.scales), 'scale')}{f' ({ways})' if ways else ''}{made}{layers}"


def contradictions(found: Sequence[Contradiction]) -> str:
    """What was decided where two scales met."""
    more = [f"  and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return section("Contradictions", "\n".join([*(f"  {c}" for c in found[:_SHOWN]), *more]))


def carried(found: Carried, width: int) -> str:
    """How many tensors got a scale and how, the gaps, the contradictions."""
    whole = len(found.table.scales) + len(found.gaps)
    parts = [f"{len(found.table.scales)} of {plural(whole, 'tensor')} have a scale\n{summary(found.table)}"]
    if found.gaps:
        rows = [[g.tensor, g.node or "-", g.why] for g in found.gaps[:_SHOWN]]
        more = f"\n  and {len(found.gaps) - _SHOWN} more" if len(found.gaps) > _SHOWN else ""
        parts.append(section("Without a scale", table(["Tensor", "Node", "Why"], rows, width) + more))
    if found.contradictions:
        parts.append(contradictions(found.contradictions))
    return "\n\n".join(parts)


def coverage(found: Coverage, width: int) -> str:
    """Regions with their precision and time, what is missing, what runs FP16 and why, what equal scales cost."""
    if not found.regions:
        return "no DLA region: nothing needs a scale"
    lacking = sum(len(r.missing) for r in found.regions)
    parts = [
        f"{percent(found.share)} of {plural(found.tensors, 'tensor')} in DLA regions have a scale, {lacking} lack one"
    ]
    parts.append(_regions(found, width))
    if found.missing:
        parts.append(section("Without a scale", f"  {some(found.missing, _SHOWN)}"))
    for region in found.regions:
        if region.fp16 and not region.missing:
            parts.append(_fp16(region))
    if found.equalised:
        parts.append(_equalised(found.equalised, width))
    return "\n\n".join(parts)


def _regions(found: Coverage, width: int) -> str:
    columns = ["Region", "Runs", "Layers", "FP16", "Missing", "Borders", "Time", "Covered", "All FP16"]
    rows = [
        [
            r.name,
            r.precision,
            str(r.layers),
            str(len(r.fp16)),
            str(len(r.missing)),
            f"{len(r.borders)} ({size(sum(b.bytes for b in r.borders))})" if r.borders else "0",
            *(f"{1e3 * s:.3g} ms" for s in (r.seconds, r.covered_seconds, r.fp16_seconds)),
        ]
        for r in found.regions
    ]
    return table(columns, rows, width, right=columns[2:]) + "\n\nTimes are predicted, for one inference's layers."


def _fp16(region: RegionCoverage) -> str:
    reasons: dict[str, list[str]] = {}
    for layer, why in region.fp16.items():
        reasons.setdefault(why, []).append(layer)
    lines = [f"  {why}: {some(layers)}" for why, layers in reasons.items()]
    return section(f"In FP16 in {region.name}", "\n".join(lines))


def _equalised(groups: Sequence[Equalised], width: int) -> str:
    rows = [
        [f"{g.worst:.1f}", next(iter(g.lost)), number(g.amax), some(g.layers, 1), ", ".join(g.rules)]
        for g in groups[:_SHOWN]
    ]
    more = f"\n  and {len(groups) - _SHOWN} more" if len(groups) > _SHOWN else ""
    body = table(["Bits lost", "By tensor", "Shared amax", "Layers", "Rules"], rows, width, right=["Bits lost"])
    return section("Equal scales", body + more)

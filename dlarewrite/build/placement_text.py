"""Planned against real placement as lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from dlarewrite.build.placement import Placement
from dlarewrite.build.request import BuildRequest

_MOST = 10


def placement_lines(placement: Placement, request: BuildRequest) -> Iterator[str]:
    """What runs where: counts, each planned region with its loadables, and planned nodes that ended on the GPU."""
    yield (
        f"{len(placement.loadables)} loadables (planned {len(request.plan.regions)}), {len(placement.gpu)} GPU layers, "
        f"{len(placement.reformats)} reformats"
    )
    for region in request.plan.regions:
        homes = placement.homes.get(region.name, ())
        found = ", ".join(homes) if homes else "no loadable of its own"
        yield f"  {region.name}, {len(region.nodes)} nodes: {found}"
    if placement.strayed:
        rest = f" and {len(placement.strayed) - _MOST} more" if len(placement.strayed) > _MOST else ""
        yield f"  planned on the DLA, found on the GPU: {', '.join(placement.strayed[:_MOST])}{rest}"

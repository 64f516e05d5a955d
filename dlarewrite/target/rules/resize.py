"""Resize and Upsample."""

from __future__ import annotations

import functools

from dlarewrite.target.facts import ResizeFacts
from dlarewrite.target.limits import Equals, Must, OneOf, WholeBetween
from dlarewrite.target.rule import MATRIX_LIMIT, SINCE_84, Rule, Scope
from dlarewrite.target.verdict import Evidence

_NEAREST = (
    ("asymmetric", "floor"),
    ("half_pixel", "round_prefer_floor"),
    ("half_pixel", "round_prefer_ceil"),
)


def _given(facts: ResizeFacts) -> tuple[str, ...]:
    if facts.given == "scales":
        return ("",)
    return ("sizes" if facts.given == "sizes" else "values computed at run time",)


def _count(facts: ResizeFacts) -> tuple[int, ...]:
    return (len(facts.scales),) if facts.scales else (facts.rank,)


def _outer(facts: ResizeFacts) -> tuple[float, ...]:
    return facts.scales[:2] if len(facts.scales) == 4 else ()


def _inner(facts: ResizeFacts) -> tuple[float, ...]:
    return facts.scales[2:] if len(facts.scales) == 4 else ()


def _nearest_modes(facts: ResizeFacts) -> tuple[str, ...]:
    return ("" if (facts.coordinates, facts.rounding) in _NEAREST else f"{facts.coordinates} with {facts.rounding}",)


def _nearest_82(facts: ResizeFacts) -> tuple[str, ...]:
    pair = (facts.coordinates, facts.rounding)
    return ("" if pair == ("asymmetric", "floor") else f"{facts.coordinates} with {facts.rounding}",)


def _coordinates(facts: ResizeFacts) -> tuple[str, ...]:
    return (facts.coordinates,)


def _antialias(facts: ResizeFacts) -> tuple[str, ...]:
    return ("antialias = 1",) if facts.antialias else ()


def _ratios(facts: ResizeFacts) -> tuple[float, ...]:
    """Scale of H and W, from the shapes where no scales are given; empty where unknown."""
    if len(facts.scales) == 4:
        return facts.scales[2:]
    before, after = facts.view.xs, facts.view.ys
    if before is None or after is None or len(before) != 4 or len(after) != 4 or not all(before):
        return ()
    return (after[2] / before[2], after[3] / before[3])


def _for_sizes(facts: ResizeFacts) -> str:
    found = _ratios(facts)
    if not found or facts.mode == "cubic":
        return ""
    return "resize-sizes-to-scales" if all(r == int(r) and r >= 1 for r in found) else _fractional(facts, found)


def _for_scale(facts: ResizeFacts) -> str:
    found = _ratios(facts)
    if not all(r == int(r) and r >= 1 for r in found):
        return _fractional(facts, found)
    return "nearest-cascade" if facts.mode == "nearest" else "linear-to-deconv"


def _fractional(facts: ResizeFacts, found: tuple[float, ...]) -> str:
    if all(r <= 1 and (1 / r) == round(1 / r) for r in found if r):
        return "downsample"
    return "" if facts.mode == "nearest" else "align-corners-linear"


def _for_coordinates(facts: ResizeFacts) -> str:
    return _COORDINATES.get(facts.coordinates, "")


_COORDINATES = {
    "half_pixel_symmetric": "resize-mode",
    "align_corners": "align-corners-linear",
    "asymmetric": "align-corners-linear",
}
_D = Evidence.DOCUMENTED
_resize = functools.partial(Rule, layer="Resize.NEAREST, Resize.LINEAR", ops=("Resize", "Upsample"))

RULES = (
    _resize(
        id="RSZ-MODE",
        title="Resize modes of the DLA: nearest and linear",
        layer="Resize",
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        sources=("HDR",),
        cure="resize-to-nearest",
        scope=Scope.MATRIX,
    ),
    _resize(
        id="RSZ-SCALES",
        title="Resize is given scales, never sizes",
        quantity=("size",),
        limit=Must("given as constant scales"),
        measure=_given,
        evidence=_D,
        sources=("HDR",),
        cure="resize-sizes-to-scales downsample align-corners-linear",
        choose=_for_sizes,
    ),
    _resize(
        id="RSZ-4",
        title="Resize has exactly four scales",
        quantity=("number of scales",),
        limit=Equals(4),
        measure=_count,
        evidence=_D,
        sources=("HDR",),
        cure="lift-to-4d",
        explanation="The second half of RSZ-SCALES.",
    ),
    _resize(
        id="RSZ-NC",
        title="Resize leaves batch and channels alone",
        quantity=("scale of the batch", "scale of the channels"),
        limit=Equals(1),
        measure=_outer,
        evidence=_D,
        sources=("HDR",),
    ),
    _resize(
        id="RSZ-NEAR",
        title="Scales of nearest",
        layer="Resize.NEAREST",
        quantity=("scale of the height", "scale of the width"),
        limit=WholeBetween(1, 32),
        measure=_inner,
        evidence=_D,
        sources=("HDR",),
        cure="nearest-cascade downsample",
        choose=_for_scale,
    ),
    _resize(
        id="RSZ-LIN",
        title="Scales of linear",
        layer="Resize.LINEAR",
        quantity=("scale of the height", "scale of the width"),
        limit=WholeBetween(1, 4),
        measure=_inner,
        evidence=_D,
        sources=("HDR",),
        profiles=SINCE_84,
        cure="linear-to-deconv align-corners-linear downsample",
        choose=_for_scale,
    ),
    _resize(
        id="RSZ-NEAR-MODE",
        title="Coordinates and rounding of nearest",
        layer="Resize.NEAREST",
        quantity=("coordinates and rounding",),
        limit=Must("asymmetric with floor, half_pixel with round_prefer_floor or half_pixel with round_prefer_ceil"),
        measure=_nearest_modes,
        evidence=_D,
        sources=("HDR",),
        profiles=SINCE_84,
        cure="resize-mode",
    ),
    _resize(
        id="RSZ-NEAR-82",
        title="Coordinates and rounding of nearest in TensorRT 8.2",
        layer="Resize.NEAREST",
        quantity=("coordinates and rounding",),
        limit=Must("asymmetric with floor"),
        measure=_nearest_82,
        evidence=_D,
        sources=("HDR@8.2.1",),
        profiles=frozenset({"X82"}),
        cure="resize-mode",
    ),
    _resize(
        id="RSZ-LIN-MODE",
        title="Coordinates of linear",
        layer="Resize.LINEAR",
        quantity=("coordinates",),
        limit=OneOf(("half_pixel", "pytorch_half_pixel")),
        measure=_coordinates,
        evidence=_D,
        sources=("HDR", "F219158"),
        profiles=SINCE_84,
        cure="align-corners-linear",
        choose=_for_coordinates,
        explanation="asymmetric and align_corners are refused.",
    ),
    _resize(
        id="RSZ-ANTIALIAS",
        title="Resize has no antialiasing",
        quantity=("filter",),
        limit=Must("without antialiasing"),
        measure=_antialias,
        evidence=_D,
        sources=("HDR",),
        cure="resize-mode",
        explanation="TensorRT's resize layer has no antialiasing; where the image grows it changes nothing.",
    ),
)

"""Pooling."""

from __future__ import annotations

import functools
import operator

from dlarewrite.target.facts import WindowFacts
from dlarewrite.target.limits import Between, Equals, Must
from dlarewrite.target.rule import INT8_ONLY, MATRIX_LIMIT, ORIN, XAVIER, Rule, Scope
from dlarewrite.target.rules.shared import PADS, pads, spatial
from dlarewrite.target.verdict import Evidence


def _exclusive(facts: WindowFacts) -> tuple[str, ...]:
    return ("count_include_pad = 0",) if facts.exclusive else ()


def _ceil(facts: WindowFacts) -> tuple[str, ...]:
    return ("ceil_mode = 1",) if facts.ceil else ()


def _indices(facts: WindowFacts) -> tuple[str, ...]:
    outputs = facts.view.node.outputs
    return ("an output of indices",) if len(outputs) > 1 and outputs[1].name else ()


_D, _I = Evidence.DOCUMENTED, Evidence.INFERRED
_pool = functools.partial(
    Rule, layer="Pooling.MAX, Pooling.AVERAGE, Pooling.AVERAGE_EXCLUSIVE", ops=("MaxPool", "AveragePool")
)

RULES = (
    _pool(
        id="POOL-TYPE",
        title="Pooling is of type MAX or AVERAGE",
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        sources=("HDR", "N86"),
        scope=Scope.MATRIX,
    ),
    _pool(
        id="POOL-2D",
        title="Pooling has two spatial dimensions",
        quantity=("spatial dimensions",),
        limit=Equals(2),
        measure=spatial,
        evidence=_D,
        sources=("LAT",),
        cure="lift-to-4d",
    ),
    _pool(
        id="POOL-WIN",
        title="Pooling window",
        quantity=("window height", "window width"),
        limit=Between(1, 8),
        measure=operator.attrgetter("kernel"),
        evidence=_D,
        sources=("HDR", "N86"),
        cure="pool-window average-window",
    ),
    _pool(
        id="POOL-PAD",
        title="Pooling padding",
        quantity=PADS,
        limit=Between(0, 7),
        measure=pads,
        evidence=_D,
        sources=("HDR", "N86"),
        cure="pool-pads",
    ),
    _pool(
        id="POOL-STRIDE",
        title="Pooling stride",
        quantity=("stride height", "stride width"),
        limit=Between(1, 16),
        measure=operator.attrgetter("strides"),
        evidence=_D,
        sources=("HDR", "N86"),
        cure="pool-window average-window",
    ),
    _pool(
        id="POOL-DIL",
        title="Pooling has no dilation",
        quantity=("dilation height", "dilation width"),
        limit=Equals(1),
        measure=operator.attrgetter("dilations"),
        evidence=_D,
        sources=("HDR",),
        cure="pool-dilation",
        explanation="TensorRT's pooling layer has no dilation at all.",
    ),
    _pool(
        id="POOL-INDICES",
        title="Pooling gives no indices",
        ops=("MaxPool",),
        quantity=("second output",),
        limit=Must("left out"),
        measure=_indices,
        evidence=_D,
        sources=("HDR",),
        cure="unpool",
        explanation="TensorRT's pooling layer has one output.",
    ),
    _pool(
        id="POOL-EXCL-82",
        title="Average pooling counts the padding (Xavier, TensorRT 8.2)",
        layer="Pooling.AVERAGE, Pooling.AVERAGE_EXCLUSIVE",
        ops=("AveragePool",),
        quantity=("counting",),
        limit=Must("inclusive"),
        measure=_exclusive,
        evidence=_D,
        sources=("HDR@8.2.1",),
        profiles=frozenset({"X82"}),
        cure="average-exclusive average-unpadded",
        explanation="ONNX's default count_include_pad = 0 sets exclusive counting even where all pads are 0; "
        "setting it to 1 then changes nothing but this.",
    ),
    _pool(
        id="POOL-EXCL-X",
        title="Average pooling counts the padding (Xavier)",
        layer="Pooling.AVERAGE, Pooling.AVERAGE_EXCLUSIVE",
        ops=("AveragePool",),
        quantity=("counting",),
        limit=Must("inclusive"),
        measure=_exclusive,
        evidence=_D,
        sources=("HDR@8.4.1",),
        profiles=XAVIER - {"X82"},
        cure="average-exclusive average-unpadded",
        explanation="Stated for Xavier from 8.4 on; see POOL-EXCL-82 for zero pads.",
    ),
    _pool(
        id="POOL-EXCL-O",
        title="Average pooling that leaves the padding out (Orin)",
        layer="Pooling.AVERAGE",
        ops=("AveragePool",),
        quantity=("counting",),
        limit=Must("inclusive to be sure (with zero pads both are the same)"),
        measure=_exclusive,
        evidence=_I,
        effect="note",
        sources=("HDR@8.4.1", "here"),
        profiles=ORIN,
        cure="average-exclusive average-unpadded",
        explanation="The headers forbid exclusive counting for Xavier only; that Orin takes it is inferred. With "
        "real padding the node is uncertain, with zero pads this is a note.",
    ),
    _pool(
        id="POOL-CEIL",
        title="Pooling rounds its output size down",
        quantity=("rounding",),
        limit=Must("down (ceil_mode = 0) to be sure"),
        measure=_ceil,
        evidence=_I,
        effect="uncertain",
        sources=("OT", "here"),
        cure="pool-pads average-exclusive",
        explanation="ceil_mode becomes EXPLICIT_ROUND_UP; whether the DLA takes it is not documented.",
    ),
    _pool(
        id="POOL-INT8-SCALE",
        title="INT8 pooling has one scale for input and output",
        quantity=("input and output scale",),
        limit=Must("equal"),
        evidence=_D,
        effect="note",
        sources=("N86", "CN84"),
        precisions=INT8_ONLY,
        scope=Scope.NOTE,
    ),
)

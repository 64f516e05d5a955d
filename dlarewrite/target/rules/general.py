"""What holds for every layer and for whole graphs."""

from __future__ import annotations

import functools
import math

from dlarewrite.target.facts import TensorFacts
from dlarewrite.target.limits import AtMost, Between, Must
from dlarewrite.target.rule import ALL, SINCE_84, Rule, Scope
from dlarewrite.target.verdict import Evidence


def _static(facts: TensorFacts) -> tuple[str, ...]:
    if facts.shape is not None:
        return ("",)
    if facts.dims is None:
        return (f"unknown for {facts.name}",)
    shown = ", ".join("?" if d is None or d == -1 else str(d) for d in facts.dims)
    return (f"[{shown}] for {facts.name}",)


def _dimensions(facts: TensorFacts) -> tuple[int, ...]:
    """The non-batch dimensions: C, H and W, or what there is of them."""
    if not facts.shape:
        return ()
    return facts.shape[-3:] if len(facts.shape) > 3 else facts.shape[1:]


def _batch(facts: TensorFacts) -> tuple[int, ...]:
    """The product of all dimensions before the last three; the first one where there are no more than three."""
    if not facts.shape:
        return ()
    return (math.prod(facts.shape[:-3]) if len(facts.shape) > 3 else facts.shape[0],)


def _rank_over(facts: TensorFacts) -> tuple[int, ...]:
    return (len(facts.shape),) if facts.shape is not None else ()


_D, _L = Evidence.DOCUMENTED, Evidence.LOG
_tensor = functools.partial(Rule, layer="*", ops=(), scope=Scope.TENSOR)
_graph = functools.partial(Rule, layer="*", ops=(), scope=Scope.GRAPH)
_caveat = functools.partial(Rule, layer="*", ops=(), scope=Scope.CAVEAT)

RULES = (
    _tensor(
        id="GEN-STATIC",
        title="No dynamic dimension",
        quantity=("shape",),
        limit=Must("static"),
        measure=_static,
        evidence=_D,
        sources=("LAT", "N86", "HDR@v10.16"),
        cure="freeze-shapes",
        explanation="A wildcard is accepted only where the profile's min, opt and max are equal.",
    ),
    _tensor(
        id="GEN-DIM",
        title="Size of a dimension",
        quantity=("dimension",),
        limit=Between(1, 8192),
        measure=_dimensions,
        evidence=_D,
        sources=("LAT", "HDR"),
    ),
    _tensor(
        id="GEN-BATCH",
        title="Batch size",
        quantity=("batch (product of all dimensions but C, H, W)",),
        limit=AtMost(4096),
        measure=_batch,
        evidence=_D,
        sources=("LAT", "N86", "CN84"),
        profiles=SINCE_84,
        explanation="Of a shape N, P, Q, R, S the batch is N times P.",
    ),
    _tensor(
        id="GEN-BATCH-OLD",
        title="Batch size on Xavier with TensorRT 8.2",
        quantity=("batch",),
        limit=AtMost(32),
        measure=_batch,
        evidence=_L,
        effect="uncertain",
        sources=("#2318", "LAT"),
        profiles=frozenset({"X82"}),
        explanation="An old log refuses 128 with a maximum of 32, the later guides allow 4096.",
    ),
    _tensor(
        id="GEN-RANK-OVER",
        title="More than four dimensions",
        quantity=("number of dimensions",),
        limit=AtMost(4),
        measure=_rank_over,
        evidence=_L,
        effect="uncertain",
        sources=("ult#23488", "LAT"),
        cure="lift-to-4d",
        explanation="Dimensions before the last three count as batch; that layers take them is not documented one "
        "by one.",
    ),
    _graph(
        id="GEN-DTYPE",
        title="DLA layers compute in FP16 or INT8",
        quantity=("element type",),
        limit=Must("a floating-point type that FP16 or INT8 can stand for"),
        evidence=_L,
        sources=("tf2onnx#1632",),
        cure="narrow-types logic",
        explanation="Integer and boolean layers are switched to the GPU unless they are folded; FP64 and BF16 have "
        "no DLA form.",
    ),
    _graph(
        id="GEN-RANK",
        title="Network inputs and outputs have four dimensions",
        quantity=("number of dimensions",),
        limit=Must("4, or TensorRT adds a Shuffle that runs on the GPU"),
        evidence=_L,
        sources=("ult#23488",),
        cure="lift-to-4d",
        profiles=SINCE_84,
    ),
    _graph(
        id="GEN-2D",
        title="Layers have two spatial dimensions",
        quantity=("spatial dimensions",),
        limit=Must("2"),
        scope=Scope.COVERED,
        evidence=_D,
        sources=("LAT", "N86"),
        cure="conv1d lift-to-4d",
        explanation="CONV-2D, DECONV-2D, POOL-2D, ACT-2D, EW-2D and SCALE-2D check it layer by layer.",
    ),
    _graph(
        id="GEN-SAMEBATCH",
        title="All layers of a loadable share one batch",
        quantity=("batch sizes of the nodes on the DLA",),
        limit=Must("equal, or the graph is cut into more loadables"),
        evidence=_D,
        effect="note",
        sources=("LAT",),
        profiles=SINCE_84,
    ),
    _graph(
        id="GEN-LOCALMEM",
        title="Intermediate tensors of a loadable",
        quantity=("bytes of intermediate tensors",),
        limit=AtMost(2**30 - 1),
        evidence=_D,
        effect="uncertain",
        sources=("HDR", "MEM"),
        explanation="The default of the local DRAM pool; counted here without reuse, over all nodes on the DLA.",
    ),
    _graph(
        id="GEN-WEIGHTS",
        title="Weights of a loadable",
        quantity=("bytes of weights",),
        limit=AtMost(2**29 - 1),
        evidence=_D,
        effect="uncertain",
        sources=("HDR", "MEM"),
        explanation="The default of the global DRAM pool; counted over all nodes on the DLA.",
    ),
    _graph(
        id="GEN-CONST",
        title="A stand-alone constant is not supported on the DLA",
        quantity=("constants",),
        limit=Must("folded into their readers"),
        scope=Scope.COVERED,
        evidence=_D,
        effect="note",
        sources=("DLASW", "YXN"),
        cure="const-operand concat-pairs",
        explanation="It disappears only if TensorRT folds it into its reader; EW-CONST and CAT-CONST check this "
        "layer by layer. CONST-FOLD says the same.",
    ),
    _caveat(
        id="CONST-FOLD",
        title="Constant only if folded away",
        quantity=("constants",),
        limit=Must("folded"),
        scope=Scope.COVERED,
        evidence=_D,
        sources=("DLASW",),
    ),
    _caveat(
        id="GEN-LOADABLES",
        title="Loadables per core at a time",
        quantity=("loadables",),
        limit=Must("at most 16 (4 in the 8.4 guide)"),
        evidence=_D,
        sources=("LAT", "N86", "CN84"),
        explanation="Every contiguous run of DLA layers is a loadable; the partition counts them.",
    ),
    _caveat(
        id="GEN-FALLBACK",
        title="Without GPU fallback one refused layer is a build error",
        quantity=("GPU fallback",),
        limit=Must("allowed, or every layer on the DLA"),
        evidence=_D,
        sources=("RTCFG", "CN84"),
    ),
    _caveat(
        id="GEN-WHY",
        title="Layer checks are necessary, not sufficient",
        quantity=("combinations of layers",),
        limit=Must("within the DLA's internal state"),
        evidence=_D,
        sources=("N86", "RTCFG"),
        explanation="A layer may leave the DLA because of its operator, a parameter, its batch, or because a "
        "combination of layers exceeds the DLA's internal state; only a build on the device tells.",
    ),
    _caveat(
        id="GEN-CUDAGRAPH",
        title="CUDA graphs cannot capture DLA work",
        quantity=("CUDA graphs",),
        limit=Must("off"),
        evidence=_D,
        sources=("HDR@v10.16",),
        profiles=ALL,
    ),
)

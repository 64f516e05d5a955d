"""Which pass cures a refusal, where the operator alone does not say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from dlarewrite.ir.view import axis, consumers, is_float
from dlarewrite.target.constness import value
from dlarewrite.target.facts import NodeView, ReduceFacts, ShuffleFacts
from dlarewrite.target.lowering import lower

_POOLED = MappingProxyType(
    {
        "ReduceMean": "global-average-pool",
        "GlobalAveragePool": "global-average-pool",
        "ReduceMax": "global-max-pool",
        "GlobalMaxPool": "global-max-pool",
        "ReduceSum": "reduce-sum",
        "ReduceL1": "reduce-sum",
        "ReduceSumSquare": "reduce-sum",
    }
)
_BY_CHANNEL = frozenset({"ReduceMean", "ReduceSum", "ReduceMax"})


def _reduce(view: NodeView) -> str:
    facts = lower(view)[0].facts
    if not isinstance(facts, ReduceFacts):
        return _POOLED.get(view.op, "")
    if not facts.axes or 0 in facts.axes:
        return ""
    if facts.rank != 4:
        return "lift-to-4d" if view.op in _POOLED else ""
    if facts.axes == (1,):
        return "reduce-channel" if view.op in _BY_CHANNEL else ""
    return _POOLED.get(view.op, "") if set(facts.axes) <= {2, 3} else ""


def _pad(view: NodeView) -> str:
    readers = consumers(view.y) if view.y is not None else ()
    if view.attr("mode", "constant") != "constant" or len(readers) != 1:
        return "pad-explicit"
    return "fold-pad" if readers[0].op in ("Conv", "AveragePool", "MaxPool") else "pad-explicit"


def _gather(view: NodeView) -> str:
    if view.op != "Gather" or not view.const.tensor(view.input(1)) or view.xs is None or len(view.xs) != 4:
        return ""
    where = axis(int(view.attr("axis", 0)), 4)
    return ("", "channel-select", "slice-split-hw", "slice-split-hw")[where]


def _gather_elements(view: NodeView) -> str:
    return "gather-elements" if view.const.tensor(view.input(1)) else ""


def _scatter(view: NodeView) -> str:
    return "scatter-const" if view.const.tensor(view.input(1)) else ""


def _where(view: NodeView) -> str:
    return "where-const" if view.const.tensor(view.input(0)) else ""


def _cumsum(view: NodeView) -> str:
    held = value(view.input(1))
    if held is None or view.xs is None or len(view.xs) != 4:
        return ""
    return "cumsum" if axis(int(held.reshape(-1)[0]), 4) == 1 else ""


def _quotient(view: NodeView) -> str:
    return "div-pow-by-const" if view.const.tensor(view.input(1)) else ""


def _minimum(view: NodeView) -> str:
    one = any(view.const.tensor(t) for t in view.node.inputs)
    return "clip-bounds" if one and len(view.node.inputs) == 2 else "min-max"


def _slice(view: NodeView) -> str:
    facts = lower(view)[0].facts
    return "channel-select" if facts is not None and facts.axes == (1,) and facts.rank == 4 else ""


def _shuffle(view: NodeView) -> str:
    from dlarewrite.target.rules.shuffle import for_reshape

    facts = lower(view)[0].facts
    return for_reshape(facts) if isinstance(facts, ShuffleFacts) else ""


def _flatten(view: NodeView) -> str:
    readers = consumers(view.y) if view.y is not None else ()
    matrix = any(r.op in ("Gemm", "MatMul") and view.const.tensor(r.inputs[1]) for r in readers)
    return "gemm-to-conv" if matrix and view.op != "Unsqueeze" else "lift-to-4d"


def _tail(view: NodeView) -> str:
    """Post-processing: nothing that the DLA runs comes behind it, as far as its neighbours show."""
    readers = [reader for out in view.node.outputs for reader in consumers(out)]
    return "split-tail" if all(reader.op in _TAIL for reader in readers) else ""


def _cast(view: NodeView) -> str:
    if view.x is None or view.y is None:
        return ""
    if not view.x.inputs and is_float(view.y):
        return "split-tail"
    return "narrow-types" if is_float(view.x) or is_float(view.y) else ""


_TAIL_OPS = """
ArgMax ArgMin TopK NonMaxSuppression Gather GatherElements GatherND Cast Squeeze Unsqueeze Reshape Flatten Concat
Transpose Identity Slice RoiAlign
"""
_TAIL = frozenset(_TAIL_OPS.split())

CHOOSERS: Mapping[str, Callable[[NodeView], str]] = MappingProxyType(
    {
        **dict.fromkeys((*_POOLED, "ReduceMin", "ReduceProd", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp"), _reduce),
        "Pad": _pad,
        "Gather": _gather,
        "GatherElements": _gather_elements,
        "ScatterElements": _scatter,
        "ScatterND": _scatter,
        "Scatter": _scatter,
        "Where": _where,
        "CumSum": _cumsum,
        "Div": _quotient,
        "Pow": _quotient,
        "Min": _minimum,
        "Slice": _slice,
        "Split": _slice,
        "Reshape": _shuffle,
        "Transpose": _shuffle,
        "Flatten": _flatten,
        "Squeeze": _flatten,
        "Unsqueeze": _flatten,
        "ArgMax": _tail,
        "ArgMin": _tail,
        "TopK": _tail,
        "NonMaxSuppression": _tail,
        "Cast": _cast,
    }
)

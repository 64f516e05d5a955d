"""Which of several legal forms a rewrite takes: the cheaper one, by costs that have names, and said in one sentence.

A form costs what its nodes multiply, move, store and start. All four are brought to operations: a MAC is one, an
element read or written is one, and a layer costs :data:`LAYER` for being started. What the target refuses or doubts is
an island with two crossings, and loses against anything that it takes; so does what would use up the growth budget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import onnx_graphsurgeon as gs

from dlarewrite.analysis.cost import elements, macs
from dlarewrite.errors import EditError
from dlarewrite.ir.editor import Editor, Group
from dlarewrite.ir.view import is_constant, is_op
from dlarewrite.rewrite.context import Context
from dlarewrite.target import Precision, Verdict

F = TypeVar("F")

LAYER = 1 << 20
"""Operations that starting a layer is worth: less than 1 us of a DLA's arithmetic, where published throughput fits 5 us
(``dla_operation_seconds`` of the cost model): a form with more MACs has to be worth its layers with room to spare."""

_TAKEN = (Verdict.DLA, Verdict.FOLDED, Verdict.NOOP)
_NAMED = 2
_SHARE = 8
"""A form may take this part of what is left of the growth budget; more only where no thriftier form is legal."""
_FLOAT_BYTES = 4
"""As the model stores weights, at most; fp64 never reaches a DLA."""


@dataclass(frozen=True)
class Cost:
    """What a form adds: MACs, elements of activations read and written, elements of weights, layers.

    ``refused`` counts the nodes among them that the target refuses or doubts.
    """

    macs: int = 0
    moved: int = 0
    weights: int = 0
    layers: int = 0
    refused: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.macs + other.macs,
            self.moved + other.moved,
            self.weights + other.weights,
            self.layers + other.layers,
            self.refused + other.refused,
        )

    @property
    def operations(self) -> int:
        """All of it in one number."""
        return self.macs + self.moved + self.weights + self.layers * LAYER

    def text(self, precision: Precision) -> str:
        """For people: ``1.2 MMAC, 0.4 MiB moved, 1 layer``; bytes as a build in ``precision`` stores them."""
        size = 1 if precision is Precision.INT8 else 2
        layers = f"{self.layers} layer" + ("" if self.layers == 1 else "s")
        return f"{_many(self.macs)}, {_bytes((self.moved + self.weights) * size)} moved, {layers}"


@dataclass(frozen=True)
class Candidate(Generic[F]):
    """One form: the facts that ``apply`` needs, its name for people, its cost."""

    form: F
    name: str
    cost: Cost


@dataclass(frozen=True)
class Choice(Generic[F]):
    """The form that won, and one sentence on it against the others; "" where there was no other legal form."""

    form: F
    name: str
    cost: Cost
    sentence: str

    def detail(self, text: str) -> str:
        """``text`` with the sentence behind it."""
        return f"{text}: {self.sentence}" if self.sentence else text


def choose(context: Context, candidates: Sequence[Candidate[F]], replaced: Iterable[gs.Node] = ()) -> Choice[F]:
    """The cheapest legal candidate; the earlier one where costs are equal. At least one candidate is needed.

    ``replaced`` are nodes that go: their MACs are set off before a candidate is held against the growth budget.
    """
    if not candidates:
        raise ValueError("there is nothing to choose from")
    before = sum(map(macs, replaced))
    ranked = sorted(candidates, key=lambda c: (c.cost.refused, not _paid(context, c.cost, before), c.cost.operations))
    best = ranked[0]
    # Equal costs are the same nodes under two names.
    rest = [c for c in ranked[1:] if not c.cost.refused and c.cost != best.cost]
    precision = context.target.precision
    sentence = ""
    if rest and not best.cost.refused:
        others = " or ".join(f"{c.name} ({c.cost.text(precision)})" for c in rest[:_NAMED])
        sentence = f"{best.name} ({best.cost.text(precision)}) rather than {others}"
    return Choice(best.form, best.name, best.cost, sentence)


def measure(context: Context, emit: Callable[[Editor], object]) -> Cost | None:
    """What the nodes that ``emit`` makes would cost, tried and taken back; None where they cannot be made."""
    edit = Editor(context.model)
    try:
        with edit.rewrite("measure") as group:
            try:
                emit(edit)
                cost = sum((of_node(node, context) for node in group.added.values()), Cost())
            finally:
                context.forget(group)
                _release(context, group)
            raise _Undo(cost)
    except _Undo as undone:
        return undone.cost
    except EditError:
        return None


def _release(context: Context, group: Group) -> None:
    """Give the names of a trial back, for the nodes that are made in earnest."""
    for node in group.added.values():
        made = [t for t in node.inputs if is_constant(t) and not _elsewhere(t, group)]
        context.model.names.difference_update(str(named.name) for named in (node, *node.outputs, *made))


def _elsewhere(tensor: gs.Tensor, group: Group) -> bool:
    return any(id(reader) not in group.added for reader in tensor.outputs)


def of_node(node: gs.Node, context: Context) -> Cost:
    """The cost of one node that is in the model or on trial, judged by the context's target."""
    written = sum(elements(t) for t in node.outputs)
    data = [t for t in node.inputs if t.name and not is_constant(t)]
    # A Slice reads what it keeps.
    read = written if is_op(node, "Slice") else sum(map(elements, data))
    weights = sum(elements(t) for t in node.inputs if t.name and is_constant(t))
    refused = context.verdict(node).verdict not in _TAKEN
    return Cost(macs(node), read + written, weights, 1, int(refused))


def _paid(context: Context, cost: Cost, before: int) -> bool:
    """Whether it leaves enough of the growth budget, where one runs, to the rewrites to come."""
    budget = context.budget
    if budget is None:
        return True
    return _SHARE * (cost.macs - before) <= budget.macs and _SHARE * cost.weights * _FLOAT_BYTES <= budget.bytes


class _Undo(Exception):  # noqa: N818 - a signal to roll back, not an error
    """Rolls a trial back and carries its cost."""

    def __init__(self, cost: Cost) -> None:
        super().__init__()
        self.cost = cost


def _many(count: int) -> str:
    for scale, unit in ((10**9, "GMAC"), (10**6, "MMAC"), (10**3, "kMAC")):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count} MACs"


def _bytes(count: int) -> str:
    for scale, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count} B"

"""The table of an original model, carried to the model that it was rewritten into.

In order of trust: the same tensor under the same or a new name; values that an operator hands on, forwards and
backwards; then what an operator cannot leave. What no rule reaches is a gap, with its name and the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dlarewrite.ir.model import Model
from dlarewrite.ir.view import label
from dlarewrite.precision.activations import activations
from dlarewrite.precision.fingerprint import fingerprint
from dlarewrite.precision.kinship import kin
from dlarewrite.precision.scales import Certainty, Contradiction, ScaleTable
from dlarewrite.precision.settle import Gap, Work
from dlarewrite.precision.unary import marked


@dataclass(frozen=True)
class Carried:
    """The rewritten model's table; ``gaps`` are its tensors without a scale."""

    table: ScaleTable
    gaps: tuple[Gap, ...]
    contradictions: tuple[Contradiction, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many scales are known in which way, the surest first."""
        found = [s.certainty for s in self.table.scales.values()]
        return {c.value: found.count(c) for c in Certainty if c in found}


def carry(table: ScaleTable, before: Model, after: Model, heirs: Mapping[str, str] | None = None) -> Carried:
    """Give every floating-point tensor of ``after`` a scale, from ``table``, which belongs to ``before``.

    ``heirs`` (new tensor -> the original's tensor whose values it holds) adds what neither graph tells. Layers that a
    pass made out of one with a fixed precision keep that precision. Neither model is changed.
    """
    work = Work(after)
    work.place(marked(table, before), kin(before, after, heirs))
    work.settle()
    scales = {t.name: work.known[t.name] for t in activations(after) if t.name in work.known}
    precisions = _precisions(table.layer_precisions, after)
    made = replace(table, scales=scales, layer_precisions=precisions, model=fingerprint(after))
    return Carried(made, tuple(work.gaps()), tuple(work.contradictions))


def complete(table: ScaleTable, model: Model) -> Carried:
    """Fill in what a table lacks for its own model, by the same rules."""
    return carry(table, model, model)


def _precisions(given: Mapping[str, str], after: Model) -> dict[str, str]:
    """A node's own precision, or that of the original's node it was made from."""
    found = {}
    for node in after.nodes if given else ():
        origin = after.envelope.origin(node)
        precision = given.get(label(node)) or (given.get(origin.node) if origin is not None else None)
        if precision:
            found[label(node)] = precision
    return found

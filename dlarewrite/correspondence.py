"""Which node of one model is which node of another: by the tensors they make, by their names, by what they compute.

Three rounds, each over what the round before left, each linear in the graphs:

1. a node that makes a tensor of the same name, with the same operator or the same node name;
2. a node of the same name and operator, where the name is given once in each model;
3. a node of the same operator, attributes and inputs, where the inputs correspond: this finds what was only renamed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

import onnx_graphsurgeon as gs

from dlarewrite.ir.model import Model
from dlarewrite.ir.operand import digest, value_of


@dataclass
class Correspondence:
    """``partner``: position in ``before.nodes`` -> position in ``after.nodes``; ``renamed``: tensor -> its new name."""

    partner: dict[int, int] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)

    def pair(self, i: int, j: int, before: gs.Node, after: gs.Node) -> None:
        self.partner[i] = j
        self.taken.add(j)
        for old, new in zip(before.outputs, after.outputs, strict=False):
            if old.name and new.name:
                self.renamed[old.name] = new.name

    def left(self, before: list[gs.Node], after: list[gs.Node]) -> tuple[list[int], list[int]]:
        """Positions without a partner, in both models."""
        ours = [i for i in range(len(before)) if i not in self.partner]
        return ours, [j for j in range(len(after)) if j not in self.taken]


def correspond(before: Model, after: Model) -> Correspondence:
    """Pair the nodes (and the graph inputs) of two models."""
    found, old, new = Correspondence(), before.nodes, after.nodes
    _pair_inputs(before, after, found)
    _by_outputs(old, new, found)
    _by_names(old, new, found)
    _by_meaning(old, new, found)
    return found


def _pair_inputs(before: Model, after: Model, found: Correspondence) -> None:
    names = [t.name for t in before.inputs], [t.name for t in after.inputs]
    same = set(names[0]) & set(names[1])
    found.renamed.update({name: name for name in same})
    rest = [[n for n in side if n not in same] for side in names]
    if len(rest[0]) == len(rest[1]):
        found.renamed.update(zip(*rest, strict=True))


def _by_outputs(old: list[gs.Node], new: list[gs.Node], found: Correspondence) -> None:
    makers = {t.name: j for j, node in enumerate(new) for t in node.outputs if t.name}
    for i, node in enumerate(old):
        for tensor in node.outputs:
            j = makers.get(tensor.name, -1) if tensor.name else -1
            if j < 0 or j in found.taken:
                continue
            if _kind(node) == _kind(new[j]) or (node.name and node.name == new[j].name):
                found.pair(i, j, node, new[j])
                break


def _by_names(old: list[gs.Node], new: list[gs.Node], found: Correspondence) -> None:
    once = [{name for name, n in Counter(x.name for x in side).items() if name and n == 1} for side in (old, new)]
    ours, theirs = found.left(old, new)
    places = {(new[j].name, _kind(new[j])): j for j in theirs if new[j].name in once[1]}
    for i in ours:
        j = places.get((old[i].name, _kind(old[i])))
        if j is not None and old[i].name in once[0]:
            found.pair(i, j, old[i], new[j])


def _by_meaning(old: list[gs.Node], new: list[gs.Node], found: Correspondence) -> None:
    ours, theirs = found.left(old, new)
    if not ours or not theirs:
        return
    # What `new` tensors are called in `before`; a name that only one side knows never meets another by chance.
    home = {theirs_name: ours_name for ours_name, theirs_name in found.renamed.items()}
    waiting: dict[tuple[Any, ...], deque[int]] = defaultdict(deque)
    for i in ours:
        waiting[_meaning(old[i], {})].append(i)
    for j in theirs:
        if any(t.name not in home for t in new[j].inputs if t.name and value_of(t) is None):
            continue
        queue = waiting.get(_meaning(new[j], home))
        if not queue:
            continue
        i = queue.popleft()
        found.pair(i, j, old[i], new[j])
        home.update({b.name: a.name for a, b in zip(old[i].outputs, new[j].outputs, strict=False) if b.name})


def _kind(node: gs.Node) -> tuple[str, str]:
    return "" if node.domain in (None, "ai.onnx") else str(node.domain), str(node.op)


def _meaning(node: gs.Node, home: dict[str, str]) -> tuple[Any, ...]:
    """Equal for nodes that compute the same from the same; tensors under their names in the first model."""
    attributes = tuple(sorted((name, _frozen(value)) for name, value in node.attrs.items()))
    return _kind(node), attributes, tuple(_operand(t, home) for t in node.inputs), len(node.outputs)


def _frozen(value: Any) -> str:
    array = value_of(value) if isinstance(value, gs.Constant) else None
    return repr(value) if array is None else digest(array)


def _operand(tensor: gs.Tensor, home: dict[str, str]) -> str:
    array = value_of(tensor)
    return f"value {digest(array)}" if array is not None else f"tensor {home.get(tensor.name, tensor.name)}"


def moved(places: list[int]) -> set[int]:
    """Those of ``places`` outside a longest increasing run: the fewest nodes that must move to explain the order."""
    tails: list[int] = []
    ends: list[int] = []
    previous: list[int] = []
    for index, place in enumerate(places):
        at = bisect_left(tails, place)
        previous.append(ends[at - 1] if at else -1)
        tails[at : at + 1] = [place]
        ends[at : at + 1] = [index]
    stay, index = set(), ends[-1] if ends else -1
    while index >= 0:
        stay.add(places[index])
        index = previous[index]
    return set(places) - stay

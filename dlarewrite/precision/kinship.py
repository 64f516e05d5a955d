"""Which tensor of a rewritten model holds the values of which tensor of the original.

A tensor that is made anew gets a new name, and what read the old one reads it. So a reader that is otherwise the same
as before, and makes the same result, tells whose place a new tensor has taken; and a node that does the same to the
same inputs makes the same result under another name.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.model import Model
from dlarewrite.ir.operand import value_of
from dlarewrite.precision.lineage import Lineage
from dlarewrite.precision.twins import same_layers, size

_COMMUTATIVE = frozenset({"Add", "Mul", "Sum", "Max", "Min", "Mean"})
_SMALL = 1 << 16
"""Elements up to which two constants of different names are compared by value."""


def kin(before: Model, after: Model, heirs: Mapping[str, str] | None = None) -> dict[str, tuple[str, ...]]:
    """Tensor of ``after`` -> the tensors of ``before`` whose values it holds (several only where the two disagree).

    ``heirs`` (tensor of ``after`` -> tensor of ``before``) is known from elsewhere. Linear in both graphs.
    """
    makers = {t.name: (node, i) for node in before.nodes for i, t in enumerate(node.outputs) if t.name}
    roots = {t.name for t in before.inputs}
    found: dict[str, dict[str, None]] = {}
    for name in (t.name for t in (*after.inputs, *(t for node in after.nodes for t in node.outputs)) if t.name):
        if name in makers or name in roots:
            found[name] = {name: None}
    for new, old in (heirs or {}).items():
        if old in makers or old in roots:
            found.setdefault(new, {}).setdefault(old)
    _learn_layers(before, after, found)
    for node in reversed(after.nodes):
        _learn_inputs(node, makers, found)
    readers = _readers(before)
    for node in after.nodes:
        _learn_outputs(node, readers, found)
    for name, old in Lineage(before, after).kin(found).items():
        found[name] = {old: None}
    return {name: tuple(olds) for name, olds in found.items()}


def _learn_layers(before: Model, after: Model, found: dict[str, dict[str, None]]) -> None:
    """From layers that have their weights in common, of which not both results are known."""
    present = {old for olds in found.values() for old in olds}
    ours = [n for n in before.nodes if n.outputs and n.outputs[0].name not in present]
    theirs = [n for n in after.nodes if n.outputs and n.outputs[0].name not in found]
    for old, new in same_layers(ours, theirs) if ours and theirs else ():
        found.setdefault(new.outputs[0].name, {}).setdefault(old.outputs[0].name)
        if _same_size(old.inputs[0], new.inputs[0]):
            found.setdefault(new.inputs[0].name, {}).setdefault(old.inputs[0].name)


def _learn_inputs(node: gs.Node, makers: Mapping[str, tuple[gs.Node, int]], found: dict[str, dict[str, None]]) -> None:
    """From a node that makes the same result as one before, whose inputs its inputs are."""
    for place, output in enumerate(node.outputs):
        for old in found.get(output.name, ()):
            maker, index = makers.get(old, (None, -1))
            if maker is None or index != place or not _alike(maker, node):
                continue
            for one, other in _pairs(maker, node, found):
                if _same_size(one, other):
                    found.setdefault(other.name, {}).setdefault(one.name)
            return


def _learn_outputs(node: gs.Node, readers: Mapping[str, list[gs.Node]], found: dict[str, dict[str, None]]) -> None:
    """From a node that does the same to the same inputs, what its results are."""
    if all(not t.name or t.name in found for t in node.outputs):
        return
    first = next((t for t in node.inputs if t.name and value_of(t) is None), None)
    if first is None:
        return
    for old in found.get(first.name, ()):
        for candidate in readers.get(old, ()):
            if _alike(candidate, node) and all(
                one.name in found.get(other.name, ())
                for one, other in zip(candidate.inputs, node.inputs, strict=True)
                if other.name and value_of(other) is None
            ):
                for one, other in zip(candidate.outputs, node.outputs, strict=False):
                    if one.name and other.name and other.name not in found:
                        found[other.name] = {one.name: None}
                return


def _readers(model: Model) -> dict[str, list[gs.Node]]:
    made: dict[str, list[gs.Node]] = {}
    for node in model.nodes:
        for name in dict.fromkeys(t.name for t in node.inputs if t.name):
            made.setdefault(name, []).append(node)
    return made


def _pairs(maker: gs.Node, node: gs.Node, found: Mapping[str, Mapping[str, None]]) -> list[tuple[gs.Tensor, gs.Tensor]]:
    """Activations (before, after) of two like nodes that stand in one place, where the new one is not yet known."""
    if node.op not in _COMMUTATIVE:
        both = zip(maker.inputs, node.inputs, strict=True)
        return [(a, b) for a, b in both if b.name and value_of(b) is None and b.name not in found]
    known = {old for t in node.inputs for old in found.get(t.name, ())}
    ours = [t for t in maker.inputs if value_of(t) is None and t.name not in known]
    theirs = [t for t in node.inputs if value_of(t) is None and t.name not in found]
    # Of several open operands of a sum nobody can say which is which.
    return [(ours[0], theirs[0])] if len(ours) == len(theirs) == 1 else []


def _alike(one: gs.Node, other: gs.Node) -> bool:
    """Same operator, attributes and constants, and activations in the same places."""
    if (one.op, one.domain or "", len(one.inputs)) != (other.op, other.domain or "", len(other.inputs)):
        return False
    if set(one.attrs) != set(other.attrs) or any(not _same_attribute(one.attrs[k], other.attrs[k]) for k in one.attrs):
        return False
    return all(_same_role(a, b) for a, b in zip(one.inputs, other.inputs, strict=True))


def _same_attribute(one: object, other: object) -> bool:
    if isinstance(one, gs.Tensor) or isinstance(other, gs.Tensor):
        return isinstance(one, gs.Constant) and isinstance(other, gs.Constant) and _same_values(one, other)
    return bool(one == other)


def _same_role(one: gs.Tensor, other: gs.Tensor) -> bool:
    constant = isinstance(one, gs.Constant) or value_of(one) is not None
    if constant != (isinstance(other, gs.Constant) or value_of(other) is not None):
        return False
    return _same_values(one, other) if constant else bool(one.name) == bool(other.name)


def _same_values(one: gs.Tensor, other: gs.Tensor) -> bool:
    # Nothing changes a constant in place; a new value comes under a new name.
    if one.name and one.name == other.name:
        return True
    first, second = value_of(one), value_of(other)
    if first is None or second is None or first.size > _SMALL or first.size != second.size:
        return False
    return bool(np.array_equal(first.reshape(-1), second.reshape(-1)))


def _same_size(one: gs.Tensor, other: gs.Tensor) -> bool:
    sizes = size(one), size(other)
    return None in sizes or sizes[0] == sizes[1]

"""What changed between two models, node by node, with the pass that did it where the second model says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import onnx_graphsurgeon as gs

from dlarewrite.correspondence import Correspondence, correspond, moved
from dlarewrite.ir.model import Model
from dlarewrite.ir.operand import operands, rare_attributes, same_values, shown, value_of
from dlarewrite.ir.provenance import Origin, read_removed
from dlarewrite.ir.text import type_text
from dlarewrite.ir.view import input_at, label

SCHEMA_VERSION = 1
KINDS = ("removed", "added", "changed", "renamed", "moved")
"""``renamed``: the same computation under another node or tensor name; ``moved``: only its place in the file."""


@dataclass(frozen=True)
class NodeChange:
    """One node that differs. ``by``: the pass, "" where none is noted; ``origin``: the node it was made from."""

    kind: str
    op: str
    name: str
    by: str = ""
    origin: str = ""
    details: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "op": self.op, "name": self.name, "from": self.origin, "details": list(self.details)}


@dataclass(frozen=True)
class Difference:
    """``nodes``: how many each model has; ``interface``: what differs outside the nodes; ``kept``: nodes as they were.

    ``described``: tensors of kept nodes of which one model knows a static type or shape and the other does not, which
    is no difference of the graph.
    """

    nodes: tuple[int, int]
    interface: tuple[str, ...]
    changes: tuple[NodeChange, ...]
    kept: int
    described: int

    @property
    def equal(self) -> bool:
        return not self.changes and not self.interface

    @property
    def counts(self) -> dict[str, int]:
        """Kind -> number of nodes, all kinds listed."""
        found = dict.fromkeys(KINDS, 0)
        for change in self.changes:
            found[change.kind] += 1
        return found

    @property
    def by_pass(self) -> dict[str, tuple[NodeChange, ...]]:
        """Pass -> its changes, in the order of the graph; "" comes last."""
        names = [*dict.fromkeys(c.by for c in self.changes if c.by), ""]
        found: dict[str, list[NodeChange]] = {by: [] for by in names}
        for change in self.changes:
            found[change.by].append(change)
        return {by: tuple(changes) for by, changes in found.items() if changes}

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the layout is versioned by ``schema_version``."""
        return {
            "schema_version": SCHEMA_VERSION,
            "equal": self.equal,
            "nodes": {"before": self.nodes[0], "after": self.nodes[1]},
            "interface": list(self.interface),
            "counts": {**self.counts, "kept": self.kept},
            "described": self.described,
            "passes": [
                {"name": by or None, "changes": [c.to_dict() for c in changes]} for by, changes in self.by_pass.items()
            ],
        }


def compare(before: Model, after: Model) -> Difference:
    """Compare any two models; neither is changed. Time and memory grow linearly with nodes and weights."""
    return _Comparison(before, after).finish()


class _Comparison:
    def __init__(self, before: Model, after: Model) -> None:
        self.before, self.after = before, after
        self.found: Correspondence = correspond(before, after)
        self.removers = read_removed(after.envelope.header) | {
            name: by for by, names in after.envelope.removed.items() for name in names
        }
        # An original may have been rewritten several times: all passes that made something out of it, in graph order.
        self.makers: dict[str, list[str]] = {}
        for node in after.nodes:
            origin = after.envelope.origin(node)
            if origin is not None and origin.node:
                self.makers.setdefault(origin.node, []).append(origin.last)
        self.described = 0

    def finish(self) -> Difference:
        """Changes in the order of the first model's graph, each removed node followed by what was made out of it."""
        old, new, found = self.before.nodes, self.after.nodes, self.found
        misplaced = moved([found.partner[i] for i in sorted(found.partner)])
        places = {label(node): i for i, node in enumerate(old)}
        placed: list[tuple[tuple[int, int, int], NodeChange]] = []
        near = {j: i for i, j in found.partner.items()}
        kept = last = 0
        for i, node in enumerate(old):
            j = found.partner.get(i)
            change = self.removed(node) if j is None else self.paired(node, new[j], j in misplaced)
            if change is None:
                kept += 1
                continue
            placed.append(((i, 0, 0), change))
        for j, node in enumerate(new):
            last = near.get(j, last)
            if j not in near:
                change = self.added(node)
                placed.append(((places.get(change.origin, last), 1, j), change))
        changes = tuple(change for _, change in sorted(placed, key=lambda p: p[0]))
        return Difference((len(old), len(new)), tuple(self.interface()), changes, kept, self.described)

    def removed(self, node: gs.Node) -> NodeChange:
        name = label(node)
        remover, makers = self.removers.get(name, ""), self.makers.get(name, [])
        # Shown beside what was made of it, if its remover made none of that.
        by = remover if remover in makers or not makers else makers[0]
        return NodeChange("removed", _op(node), name, by)

    def added(self, node: gs.Node) -> NodeChange:
        origin = self.after.envelope.origin(node) or Origin((), "")
        return NodeChange("added", _op(node), label(node), origin.last, origin.node, (_types(node),))

    def paired(self, old: gs.Node, new: gs.Node, moved: bool) -> NodeChange | None:
        details, by = tuple(self.details(old, new)), self.blame(old, new)
        if details:
            return NodeChange("changed", _op(new), label(new), by, label(old), details)
        names = tuple(_names(old, new))
        if names:
            return NodeChange("renamed", _op(new), label(new), by, label(old), names)
        return NodeChange("moved", _op(new), label(new), by, label(old)) if moved else None

    def blame(self, old: gs.Node, new: gs.Node) -> str:
        """The pass that changed a node: noted on it, else that which made what it reads, or removed what it read."""
        noted = self.after.envelope.origin(new)
        if noted is not None and noted != self.before.envelope.origin(old):
            return noted.last
        for index in range(max(len(old.inputs), len(new.inputs))):
            was, now = input_at(old, index), input_at(new, index)
            if self.sameshown(was, now):
                continue
            maker = now.inputs[0] if now is not None and now.inputs else None
            made = self.after.envelope.origin(maker) if maker is not None else None
            if made is not None:
                return made.last
            gone = self.removers.get(label(was.inputs[0])) if was is not None and was.inputs else None
            if gone:
                return gone
        return ""

    def details(self, old: gs.Node, new: gs.Node) -> Iterator[str]:
        """What differs, one line each: operator, attributes, inputs and weights, types of the outputs."""
        if _op(old) != _op(new):
            yield f"operator {_op(old)} -> {_op(new)}"
        was, now = dict(old.attrs), dict(new.attrs)
        was |= dict(rare_attributes(self.before, old))
        now |= dict(rare_attributes(self.after, new))
        for name in sorted({*was, *now}):
            if not _same_attribute(was.get(name), now.get(name)):
                yield f"{name}: {_attribute(was.get(name))} -> {_attribute(now.get(name))}"
        for index in range(max(operands(old), operands(new))):
            left, right = input_at(old, index), input_at(new, index)
            if not self.sameshown(left, right):
                yield f"input {index}: {shown(left)} -> {shown(right)}"
        for index in range(max(len(old.outputs), len(new.outputs))):
            if index >= min(len(old.outputs), len(new.outputs)):
                yield f"outputs: {len(old.outputs)} -> {len(new.outputs)}"
                break
            one, other = old.outputs[index], new.outputs[index]
            if not _compatible(one, other):
                yield f"output {other.name}: {type_text(one)} -> {type_text(other)}"
            elif type_text(one) != type_text(other):
                self.described += 1

    def sameshown(self, old: gs.Tensor | None, new: gs.Tensor | None) -> bool:
        if old is None or new is None:
            return old is new
        left, right = value_of(old), value_of(new)
        if left is not None and right is not None:
            return same_values(left, right)
        return left is None and right is None and self.found.renamed.get(old.name, old.name) == new.name

    def interface(self) -> Iterator[str]:
        """Operator sets, and what callers of the model see."""
        sets = [{e.domain or "ai.onnx": e.version for e in m.envelope.header.opset_import} for m in self.models]
        for side, model in zip(sets, self.models, strict=True):
            side["ai.onnx"] = model.opset
        for domain in sorted({*sets[0], *sets[1]}):
            was, now = sets[0].get(domain), sets[1].get(domain)
            if was != now:
                yield f"opset {domain}: {_absent(was)} -> {_absent(now)}"
        for what in ("input", "output"):
            sides = [[f"{t.name} {type_text(t)}" for t in getattr(m, f"{what}s")] for m in self.models]
            for index in range(max(map(len, sides))):
                texts = [side[index] if index < len(side) else "absent" for side in sides]
                if texts[0] != texts[1]:
                    yield f"{what} {index}: {texts[0]} -> {texts[1]}"

    @property
    def models(self) -> tuple[Model, Model]:
        return self.before, self.after


def _op(node: gs.Node) -> str:
    return str(node.op) if node.domain in (None, "", "ai.onnx") else f"{node.domain}.{node.op}"


def _names(old: gs.Node, new: gs.Node) -> Iterator[str]:
    if old.name != new.name:
        yield f"name: {_absent(old.name)} -> {_absent(new.name)}"
    for index, (one, other) in enumerate(zip(old.outputs, new.outputs, strict=True)):
        if one.name != other.name:
            yield f"output {index}: {_absent(one.name)} -> {_absent(other.name)}"


def _types(node: gs.Node) -> str:
    return "-> " + ", ".join(f"{t.name} {type_text(t)}" for t in node.outputs if t.name)


def _absent(value: object) -> str:
    return "absent" if value in (None, "") else str(value)


def _same_attribute(one: Any, other: Any) -> bool:
    if isinstance(one, gs.Constant) and isinstance(other, gs.Constant):
        left, right = value_of(one), value_of(other)
        return left is not None and right is not None and same_values(left, right)
    return type(one) is type(other) and bool(one == other)


def _attribute(value: Any) -> str:
    if isinstance(value, gs.Constant):
        return shown(value)
    if value is None or isinstance(value, (bool, int, float, str, list, tuple)):
        return _absent(value) if not isinstance(value, float) else f"{value:.6g}"
    return f"a {type(value).__name__}" if not hasattr(value, "type") else "a subgraph or type"


def _compatible(one: gs.Tensor, other: gs.Tensor) -> bool:
    """Whether two descriptions can be of the same tensor: a part that one of them does not know fits anything."""
    if one.dtype is not None and other.dtype is not None and one.dtype != other.dtype:
        return False
    if one.shape is None or other.shape is None:
        return True
    pairs = list(zip(one.shape, other.shape, strict=False))
    same = all(a == b for a, b in pairs if isinstance(a, int) and isinstance(b, int))
    return same and len(one.shape) == len(other.shape)

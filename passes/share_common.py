"""What is computed or stored twice is kept once, and what nobody reads is dropped.

What it does: value numbering over the whole graph: equal nodes on equal inputs become one, equal initializers become
one, dead nodes go.
Law: equal deterministic functions of equal values are equal.
Numerics: EXACT - nothing is computed in another way.
Scales: the surviving tensor keeps its own; that of the dropped twin is the same, since the values are.
Fires: on nodes of the standard domain with the same operator, attributes and inputs; on initializers of the same
type, shape and bytes.
Refuses: nothing. Random operators, Dropout, nodes with subgraphs, custom operators, and initializers that a
subgraph reads by name are left alone.
Source: value numbering, e.g. Aho et al., Compilers, 8.5.
Example: Relu(x), Relu(x) -> one Relu with two readers
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import (
    Constant,
    Context,
    Editor,
    GraphPass,
    Node,
    Numerics,
    Phase,
    Refusal,
    Tensor,
    constants,
    view,
)

UNEQUAL = frozenset(
    (
        *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"),
        *("Dropout", "If", "Loop", "Scan", "SequenceMap", "Optional"),
    )
)
"""Nodes that may differ from their twins, or carry what is not compared here."""

PROBE = 64
"""Bytes of a weight that are compared before all of them are."""


@dataclass(frozen=True)
class ShareCommon(GraphPass):
    """Common sub-expressions and duplicate initializers -> one each."""

    name: ClassVar[str] = "share-common"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    phase: ClassVar[Phase] = Phase.CLEAN

    def run(self, context: Context, edit: Editor) -> list[Refusal]:
        nodes = list(context.model.nodes)
        with edit.rewrite(self.name, detail="dead nodes"):
            edit.sweep(reversed(nodes))
        twins = list(_twin_constants(context))
        with edit.rewrite(self.name, detail=f"{len(twins)} duplicate initializers"):
            for twin, first in twins:
                edit.replace_uses(twin, first)
        known: dict[Hashable, Node] = {}
        for node in nodes:
            key = _key(node, context) if node in context.model else None
            first_node = node if key is None else known.setdefault(key, node)
            if first_node is node or not _is_gain(node, context):
                continue
            with edit.rewrite(self.name, node, f"same as {view.label(first_node)}"):
                for old, new in zip(node.outputs, first_node.outputs, strict=True):
                    edit.replace_uses(old, new)
                edit.sweep([node])
        return []


def _is_gain(node: Node, context: Context) -> bool:
    """An Identity that holds a pinned name could only be replaced by another one."""
    return node.op != "Identity" or not any(context.model.is_pinned(t) for t in node.outputs)


def _key(node: Node, context: Context) -> Hashable | None:
    """What makes two nodes equal, or None for those that are never compared."""
    if node.op in UNEQUAL or (node.domain or "") not in ("", "ai.onnx") or not node.outputs:
        return None
    envelope = context.model.envelope
    unseen = set(envelope.attributes(node)) - set(node.attrs) - envelope.touched.get(id(node), set())
    if envelope.has_subgraphs(node) or unseen:
        return None
    attrs = tuple((name, _value(value)) for name, value in sorted(node.attrs.items()))
    return node.op, attrs, tuple(id(t) if t.name else 0 for t in node.inputs), tuple(bool(t.name) for t in node.outputs)


def _value(value: object) -> Hashable:
    if isinstance(value, Constant):
        return str(value.dtype), tuple(value.shape), _digest(value)
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    return tuple(value) if isinstance(value, (list, tuple)) else (type(value).__name__, str(value))


def _digest(constant: Constant) -> bytes:
    return hashlib.sha256(constants.raw_bytes(constant)).digest()


def _twin_constants(context: Context) -> Iterator[tuple[Tensor, Tensor]]:
    """(twin, first) of all initializers with equal type, shape and bytes; hashed only where their heads agree."""
    alike: dict[Hashable, list[Constant]] = {}
    for tensor in {id(t): t for node in context.model.nodes for t in node.inputs}.values():
        if _is_comparable(tensor):
            alike.setdefault((str(tensor.dtype), tuple(tensor.shape)), []).append(tensor)
    for group in [group for group in alike.values() if len(group) > 1]:
        heads: dict[bytes, list[Constant]] = {}
        for tensor in group:
            heads.setdefault(bytes(constants.raw_bytes(tensor)[:PROBE]), []).append(tensor)
        for same_head in [same for same in heads.values() if len(same) > 1]:
            first: dict[bytes, Constant] = {}
            for tensor in same_head:
                chosen = first.setdefault(_digest(tensor), tensor)
                if chosen is not tensor and not context.model.is_pinned(tensor):
                    yield tensor, chosen


def _is_comparable(tensor: Tensor) -> bool:
    """Numbers and truth values; strings and packed types are left alone."""
    if not isinstance(tensor, Constant) or tensor.dtype is None or isinstance(tensor.dtype, int):
        return False
    return np.dtype(tensor.dtype).kind in "iufb"

"""Which new tensor stands where a tensor of the original stood, by the notes of which node was made out of which.

A node of the original and the one that read it may both be rewritten. Where what crosses between the two groups is one
tensor, as before, and neither group lost the constants of its original (then nothing was folded across the border),
that tensor holds the values that crossed before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.model import Model
from dlarewrite.ir.operand import value_of
from dlarewrite.ir.view import Array, label, producer
from dlarewrite.precision.twins import size

_COMPARED = 1 << 24
"""Elements up to which constants are sorted and compared."""


class Lineage:
    """Nodes of the rewritten model in groups, by the node of the original that they were made from."""

    def __init__(self, before: Model, after: Model) -> None:
        names = Counter(label(n) for n in before.nodes)
        self._old = {label(n): n for n in before.nodes if names[label(n)] == 1}
        self._group: dict[int, str] = {}
        self._members: dict[str, list[gs.Node]] = {}
        self._kept: dict[str, bool] = {}
        for node in after.nodes:
            origin = after.envelope.origin(node)
            name = origin.node if origin is not None and origin.node else label(node)
            self._group[id(node)] = name
            self._members.setdefault(name, []).append(node)

    def kin(self, known: Mapping[str, object]) -> dict[str, str]:
        """Tensor of the rewritten model, not ``known`` yet -> tensor of the original."""
        found = {}
        for name, nodes in self._members.items():
            maker = self._old.get(name)
            if maker is None:
                continue
            leaving = {
                t.name: t for n in nodes for t in n.outputs if any(self._group[id(r)] != name for r in t.outputs)
            }
            for tensor in leaving.values():
                old = None if tensor.name in known else self._before(tensor, maker, leaving)
                if old is not None and self._is_whole(name):
                    found[tensor.name] = old
        return found

    def _before(self, tensor: gs.Tensor, maker: gs.Node, leaving: Mapping[str, gs.Tensor]) -> str | None:
        """The output of ``maker`` that the readers' originals read, if nothing else crosses to them."""
        for reader in tensor.outputs:
            name = self._group[id(reader)]
            old = self._old.get(name)
            if old is None or old is maker or not self._is_whole(name):
                continue
            crossed = [t for t in old.inputs if producer(t) is maker]
            crossing = [t for t in leaving.values() if any(self._group.get(id(r)) == name for r in t.outputs)]
            if len(crossed) == len(crossing) == 1 and size(crossed[0]) == size(tensor) is not None:
                return str(crossed[0].name)
        return None

    def _is_whole(self, name: str) -> bool:
        """Whether every constant of the original node still is a constant of the nodes made from it."""
        if name not in self._kept:
            held = [v for n in self._members.get(name, ()) for v in _constants(n)]
            wanted = _constants(self._old[name])
            self._kept[name] = all(any(_same_numbers(w, h) for h in held) for w in wanted)
        return self._kept[name]


def _constants(node: gs.Node) -> list[Array]:
    values = (value_of(t) for t in node.inputs if t.name)
    return [v for v in values if v is not None and v.dtype.kind == "f" and v.size > 1]


def _same_numbers(one: Array, other: Array) -> bool:
    """Equal as collections of numbers: layouts differ between operators."""
    if one.size != other.size or one.size > _COMPARED:
        return False
    return bool(np.array_equal(np.sort(one, axis=None), np.sort(other, axis=None)))

"""The model as passes see it: graphsurgeon's nodes and tensors, plus the envelope that brings back all the rest.

``Model.load`` and ``Model.to_proto`` / ``Model.save`` are the only places where ONNX is read and written. Nodes and
tensors are graphsurgeon's classes; reading and writing is done here, because ``gs.import_onnx`` and
``gs.export_onnx`` lose doc strings, metadata, attributes of rarer kinds and the bytes of subgraph bodies.
Node and tensor identity is Python's: graphsurgeon compares by name and structure, which mistakes twins.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import onnx
import onnx_graphsurgeon as gs

from dlarewrite.ir import importer
from dlarewrite.ir.envelope import Envelope
from dlarewrite.ir.order import stable_order


class Model:
    """One ONNX model under work.

    ``inputs`` and ``outputs`` are the graph's (overridable initializers excluded); ``opset`` is the version of the
    standard domain. Only :class:`dlarewrite.ir.editor.Editor` may change a model.
    """

    def __init__(
        self,
        nodes: Iterable[gs.Node],
        inputs: list[gs.Variable],
        outputs: list[gs.Tensor],
        opset: int,
        envelope: Envelope,
        names: Iterable[str],
        folder: Path | None = None,
    ) -> None:
        self._nodes: dict[int, gs.Node] = {}
        self._ranks: dict[int, tuple[int, int]] = {}
        self._serial = itertools.count(1)
        for position, node in enumerate(nodes):
            self._nodes[id(node)] = node
            self._ranks[id(node)] = (position, 0)
        self._end = len(self._nodes)
        self.inputs = inputs
        self.outputs = outputs
        self.opset = opset
        self.envelope = envelope
        self.names = set(names)
        self._tickets: dict[str, int] = {}
        self.folder = folder
        self._ordered: list[gs.Node] | None = None
        self._by_op: dict[str, list[tuple[int, gs.Node]]] | None = None

    @classmethod
    def load(cls, source: str | Path | onnx.ModelProto | gs.Graph, folder: Path | None = None) -> Model:
        """Read a file, a ModelProto (never changed) or a graphsurgeon graph; see :mod:`dlarewrite.ir.importer`.

        External data of a ModelProto lies in ``folder``; that of a file lies beside it.
        """
        return importer.load(source, folder)

    @property
    def nodes(self) -> list[gs.Node]:
        """All live nodes in stable topological order (computed once per edit; do not change the list)."""
        if self._ordered is None:
            self._ordered = self.ordered(list(self._nodes.values()))
        return self._ordered

    def ordered(self, nodes: Sequence[gs.Node]) -> list[gs.Node]:
        """Some live nodes in an order in which those that feed each other directly follow each other."""
        return stable_order(nodes, lambda n: self._ranks[id(n)], self.reads)

    def standard(self, *ops: str) -> list[gs.Node]:
        """The nodes of these standard-domain operators in the order of :attr:`nodes`, found without a walk over all."""
        nodes = self.nodes
        if self._by_op is None:
            self._by_op = {}
            for place, node in enumerate(nodes):
                if (node.domain or "") in ("", "ai.onnx"):
                    self._by_op.setdefault(node.op, []).append((place, node))
        found = [entry for op in dict.fromkeys(ops) for entry in self._by_op.get(op, ())]
        return [node for _, node in sorted(found, key=lambda entry: entry[0])]

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, node: gs.Node) -> bool:
        return self._nodes.get(id(node)) is node

    def reads(self, node: gs.Node) -> Iterator[gs.Tensor]:
        """All that a node depends on: its inputs, and what the bodies of its If/Loop/Scan capture."""
        yield from node.inputs
        yield from self.envelope.captures(node)

    def is_output(self, tensor: gs.Tensor) -> bool:
        """Whether the tensor is a graph output."""
        return any(t is tensor for t in self.outputs)

    def is_input(self, tensor: gs.Tensor) -> bool:
        """Whether the tensor is a graph input."""
        return any(t is tensor for t in self.inputs)

    def is_pinned(self, tensor: gs.Tensor) -> bool:
        """Whether the tensor's name must stay: graph input, graph output, or captured by a subgraph."""
        return self.is_output(tensor) or self.is_input(tensor) or self.envelope.is_captured(tensor)

    def fresh(self, hint: str) -> str:
        """A tensor or node name nobody uses yet, ``hint`` itself where it is free."""
        stem = name = hint or "tensor"
        number = self._tickets.get(stem, 0)
        while name in self.names:
            number += 1
            name = f"{stem}_{number}"
        self._tickets[stem] = number
        self.names.add(name)
        return name

    # The methods below belong to the Editor and to copying.

    def _adopt(self, other: Model, nodes: Mapping[int, gs.Node]) -> None:
        """Take over copies of another model's nodes with their ranks, and its fresh names."""
        for node in other.nodes:
            made = nodes[id(node)]
            self._nodes[id(made)] = made
            self._ranks[id(made)] = other._ranks[id(node)]
        last = max((minor for _, minor in other._ranks.values()), default=0)
        self._serial = itertools.count(last + 1)
        self._end, self._tickets = other._end, dict(other._tickets)
        self._reorder()

    def _reorder(self) -> None:
        self._ordered = self._by_op = None

    def _insert(self, node: gs.Node, beside: gs.Node | None) -> None:
        major = self._ranks[id(beside)][0] if beside is not None and id(beside) in self._ranks else self._end
        self._nodes[id(node)] = node
        self._ranks[id(node)] = (major, next(self._serial))
        self._reorder()

    def _remove(self, node: gs.Node) -> None:
        del self._nodes[id(node)]
        self.envelope.release(node)
        self._reorder()

    def _restore(self, node: gs.Node) -> None:
        self._nodes[id(node)] = node
        self.envelope.release(node, back=True)
        self._reorder()

    def to_proto(self) -> onnx.ModelProto:
        """The model as a new ModelProto; external weights stay references into :attr:`folder`."""
        from dlarewrite.ir.exporter import to_proto

        return to_proto(self)

    def save(self, path: str | Path) -> None:
        """Write the model atomically; see :func:`dlarewrite.ir.exporter.save`."""
        from dlarewrite.ir.exporter import save

        save(self, Path(path))

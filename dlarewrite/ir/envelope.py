"""What graphsurgeon's objects have no place for, kept beside them and put back on export.

Per model: IR version, producer, domain, version, doc strings, metadata, opset imports, training information,
quantisation annotations, overridable initializers. Per node: the original NodeProto, from which doc string,
metadata, overload and every attribute that nobody changed are copied verbatim, subgraph bodies included.
Per tensor: the original ValueInfoProto (doc string, metadata, sequence / optional / map types).
Of the rewriting: which pass made which node, and removed which of the original's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import onnx
import onnx_graphsurgeon as gs

from dlarewrite.ir.provenance import Origin, read


@dataclass
class Envelope:
    """``header`` is the ModelProto without its nodes and weights; the maps are keyed by ``id`` or name.

    ``provenance`` (by ``id`` of the node) and ``removed`` (pass -> labels of original nodes) are the Editor's notes.
    """

    header: onnx.ModelProto
    protos: dict[int, onnx.NodeProto] = field(default_factory=dict)
    touched: dict[int, set[str]] = field(default_factory=dict)
    values: dict[str, onnx.ValueInfoProto] = field(default_factory=dict)
    overridable: dict[str, onnx.ValueInfoProto] = field(default_factory=dict)
    output_values: dict[str, onnx.ValueInfoProto] = field(default_factory=dict)
    sparse: dict[str, onnx.SparseTensorProto] = field(default_factory=dict)
    provenance: dict[int, Origin] = field(default_factory=dict)
    removed: dict[str, list[str]] = field(default_factory=dict)
    _captures: dict[int, tuple[gs.Tensor, ...]] = field(default_factory=dict)
    _capturers: dict[int, int] = field(default_factory=dict)
    _alive: list[object] = field(default_factory=list)

    def remember(self, node: gs.Node, proto: onnx.NodeProto) -> None:
        """Keep the node's original; the node itself is held too, so that its ``id`` stays its own."""
        self.protos[id(node)] = proto
        self._alive.append(node)

    def capture(self, node: gs.Node, tensors: Iterable[gs.Tensor]) -> None:
        """Record which outer tensors the node's subgraph bodies read by name."""
        self._captures[id(node)] = tuple(tensors)
        for tensor in self._captures[id(node)]:
            self._capturers[id(tensor)] = self._capturers.get(id(tensor), 0) + 1

    def release(self, node: gs.Node, back: bool = False) -> None:
        """The node left the model, and its bodies read nothing any more; or it came ``back``, and they do again."""
        for tensor in self.captures(node):
            self._capturers[id(tensor)] = self._capturers.get(id(tensor), 0) + (1 if back else -1)

    def captures(self, node: gs.Node) -> tuple[gs.Tensor, ...]:
        return self._captures.get(id(node), ())

    def is_captured(self, tensor: gs.Tensor) -> bool:
        """Whether a subgraph body reads the tensor by name."""
        return bool(self._capturers.get(id(tensor)))

    def recapture(self, old: gs.Tensor, new: gs.Tensor) -> None:
        """``new`` takes the place (and, by the Editor, the name) of ``old`` in every body that reads it."""
        count = self._capturers.pop(id(old), 0)
        if not count:
            return
        self._capturers[id(new)] = self._capturers.get(id(new), 0) + count
        for key, tensors in self._captures.items():
            self._captures[key] = tuple(new if t is old else t for t in tensors)

    def has_subgraphs(self, node: gs.Node) -> bool:
        """Whether the node carries If/Loop/Scan bodies, which no pass may look into or copy."""
        proto = self.protos.get(id(node))
        return proto is not None and any(a.HasField("g") or a.graphs for a in proto.attribute)

    def attributes(self, node: gs.Node) -> tuple[str, ...]:
        """Names of all attributes that the node was read with, subgraphs and other rare kinds included."""
        proto = self.protos.get(id(node))
        return () if proto is None else tuple(a.name for a in proto.attribute)

    def origin(self, node: gs.Node) -> Origin | None:
        """What made the node, in this run or in one before; None for a node of the original model."""
        return self.provenance.get(id(node)) or read(self.protos.get(id(node)))

    def touch(self, node: gs.Node, attribute: str) -> None:
        """Note that an attribute no longer is the original's."""
        self.touched.setdefault(id(node), set()).add(attribute)

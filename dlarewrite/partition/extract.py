"""Cut a model into parts that run one after another; each part is a whole model of its own.

Parts are copies: constants, what is folded when an engine is built and what changes nothing are in every part that
reads them, so that only what a layer computes crosses from part to part. A tensor keeps its name in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from dlarewrite.errors import ModelError
from dlarewrite.ir.model import Model
from dlarewrite.ir.types import described
from dlarewrite.ir.view import attr, shape
from dlarewrite.target import NodeVerdict, Verdict
from dlarewrite.verify.shell import inferred

DLA, GPU = "dla", "gpu"


@dataclass(frozen=True)
class Piece:
    """The layers of one part, in any order; ``device`` is "dla" or "gpu"."""

    name: str
    device: str
    layers: tuple[gs.Node, ...]


@dataclass(frozen=True)
class Part:
    """One part as a model; ``layers`` are those of its piece."""

    name: str
    device: str
    layers: tuple[gs.Node, ...]
    model: Model


def cut_apart(model: Model, verdicts: Mapping[int, NodeVerdict], pieces: Sequence[Piece]) -> list[Part]:
    """The parts of ``pieces``, which stand in an order of execution and hold every layer that an output depends on.

    An output that no layer computes (a constant, or what reaches it from an input unchanged) goes to the last part on
    the GPU; where there is none, a part ``tail`` is made for it. Raises :class:`ModelError` where the type of a tensor
    that has to cross is not known.
    """
    return list(_Cutter(model, verdicts, pieces).parts())


class _Cutter:
    def __init__(self, model: Model, verdicts: Mapping[int, NodeVerdict], pieces: Sequence[Piece]) -> None:
        self.model = model
        self.verdicts = verdicts
        self.place = {id(node): number for number, node in enumerate(model.nodes)}
        self.pieces = list(pieces)
        self.home = {id(node): i for i, piece in enumerate(pieces) for node in piece.layers}
        self.own: list[list[gs.Node]] = [list(piece.layers) for piece in pieces]
        self.made: list[dict[int, gs.Tensor]] = [{} for _ in pieces]
        self.inferred: dict[str, onnx.ValueInfoProto] | None = None

    def parts(self) -> Iterator[Part]:
        for tensor in self.model.outputs:
            self._provide(tensor)
        needs = [self._needs(own) for own in self.own]
        for _, read in needs:
            for tensor in read:
                if tensor.inputs:
                    self.made[self.home[id(tensor.inputs[0])]][id(tensor)] = tensor
        for piece, (nodes, read), made in zip(self.pieces, needs, self.made, strict=True):
            yield Part(piece.name, piece.device, piece.layers, self._part(nodes, read, self._ordered(made)))

    def _provide(self, tensor: gs.Tensor) -> None:
        """Note which part yields a graph output; one that is a graph input needs none."""
        if self.model.is_input(tensor):
            return
        maker = tensor.inputs[0] if tensor.inputs else None
        if maker is not None and id(maker) in self.home:
            self.made[self.home[id(maker)]][id(tensor)] = tensor
            return
        number = self._home_of_bystander(maker)
        if maker is not None:
            self.own[number].append(maker)
        self.made[number][id(tensor)] = tensor

    def _home_of_bystander(self, node: gs.Node | None) -> int:
        """Where a node that is no layer goes when it makes an output: to its layer, or to the last GPU part."""
        while node is not None and self.verdicts[id(node)].verdict is Verdict.NOOP and node.inputs[0].inputs:
            node = node.inputs[0].inputs[0]
            if id(node) in self.home:
                return self.home[id(node)]
        for number in reversed(range(len(self.pieces))):
            if self.pieces[number].device == GPU:
                return number
        self.pieces.append(Piece("tail", GPU, ()))
        self.own.append([])
        self.made.append({})
        return len(self.pieces) - 1

    def _needs(self, own: Sequence[gs.Node]) -> tuple[list[gs.Node], list[gs.Tensor]]:
        """All nodes of a part, borrowed ones included, and the tensors that it reads from outside."""
        nodes = {id(node): node for node in own}
        stack = list(own)
        while stack:
            for tensor in self.model.reads(stack.pop()):
                maker = tensor.inputs[0] if tensor.inputs else None
                if maker is not None and id(maker) not in nodes and self._is_borrowed(maker):
                    nodes[id(maker)] = maker
                    stack.append(maker)
        ordered = sorted(nodes.values(), key=lambda node: self.place[id(node)])
        read: dict[int, gs.Tensor] = {}
        for node in ordered:
            for tensor in self.model.reads(node):
                inside = bool(tensor.inputs) and (id(tensor.inputs[0]) in nodes or _dims_read(tensor, self.verdicts))
                if tensor.name and not inside and not isinstance(tensor, gs.Constant):
                    read[id(tensor)] = tensor
        return [node for node in ordered if not _is_dims(node, self.verdicts)], list(read.values())

    def _is_borrowed(self, node: gs.Node) -> bool:
        return id(node) not in self.home and not _is_dims(node, self.verdicts)

    def _ordered(self, made: Mapping[int, gs.Tensor]) -> list[gs.Tensor]:
        """The network's own outputs first, in their order; the rest in the order in which they are made."""
        rank = {id(tensor): number for number, tensor in reversed(list(enumerate(self.model.outputs)))}
        last = len(rank)

        def key(tensor: gs.Tensor) -> tuple[int, int]:
            return rank.get(id(tensor), last), self.place[id(tensor.inputs[0])] if tensor.inputs else -1

        return sorted(made.values(), key=key)

    def _part(self, nodes: Sequence[gs.Node], read: Sequence[gs.Tensor], made: Sequence[gs.Tensor]) -> Model:
        copies: dict[int, gs.Tensor] = {}
        old = self.model.envelope

        def copied(tensor: gs.Tensor) -> gs.Tensor:
            if id(tensor) not in copies:
                copies[id(tensor)] = self._copy(tensor)
            return copies[id(tensor)]

        header = onnx.ModelProto()
        header.CopyFrom(old.header)
        values = dict(old.values)
        for tensor in (*read, *made):
            self._learn(tensor, values)
        envelope = replace(
            old,
            header=header,
            protos={},
            touched={},
            values=values,
            provenance={},
            _captures={},
            _capturers={},
            _alive=[],
        )
        fresh = []
        for node in nodes:
            twin = gs.Node(
                op=node.op,
                name=node.name,
                attrs=dict(node.attrs),
                inputs=[copied(t) for t in node.inputs],
                outputs=[copied(t) for t in node.outputs],
                domain=node.domain,
            )
            if id(node) in old.protos:
                envelope.remember(twin, old.protos[id(node)])
            envelope.touched[id(twin)] = set(old.touched.get(id(node), ()))
            if id(node) in old.provenance:
                envelope.provenance[id(twin)] = old.provenance[id(node)]
            captured = old.captures(node)
            if captured:
                envelope.capture(twin, [copied(t) for t in captured])
            fresh.append(twin)
        part = Model(
            nodes=fresh,
            inputs=[copied(t) for t in read],
            outputs=[copied(t) for t in made],
            opset=self.model.opset,
            envelope=envelope,
            names=self.model.names,
            folder=self.model.folder,
        )
        _keep_annotations(header, {t.name for t in copies.values()})
        return part

    def _copy(self, tensor: gs.Tensor) -> gs.Tensor:
        if isinstance(tensor, gs.Constant):
            return gs.Constant(tensor.name, tensor._values, tensor.data_location, tensor._export_dtype)
        if _dims_read(tensor, self.verdicts):
            return gs.Constant(tensor.name, _dims_of(tensor.inputs[0]))
        known = tensor.dtype, tensor.shape
        if tensor.dtype is None and self.inferred is not None and tensor.name in self.inferred:
            known = described(self.inferred[tensor.name])
        kind, dims = known
        return gs.Variable(tensor.name, kind, list(dims) if dims is not None else None, tensor.type)

    def _learn(self, tensor: gs.Tensor, values: dict[str, onnx.ValueInfoProto]) -> None:
        """Find the type of a tensor that crosses where the model does not state it."""
        stated = values.get(tensor.name)
        if tensor.dtype is not None or (stated is not None and stated.type.WhichOneof("value") is not None):
            return
        if isinstance(tensor, gs.Constant):
            return
        if self.inferred is None:
            graph = inferred(self.model.to_proto()).graph
            self.inferred = {v.name: v for v in (*graph.value_info, *graph.output)}
        found = self.inferred.get(tensor.name)
        if found is None or found.type.WhichOneof("value") is None:
            raise ModelError(
                f"the type of tensor {tensor.name!r} is not known, so the model cannot be cut there",
                hint="export the model with its value_info, or run onnx.shape_inference on it",
            )
        values[tensor.name] = found


def _is_dims(node: gs.Node, verdicts: Mapping[int, NodeVerdict]) -> bool:
    """A Shape or Size of a static shape: it is written as its value, so that nothing crosses for its dims alone."""
    folded = verdicts[id(node)].verdict is Verdict.FOLDED
    return folded and node.op in ("Shape", "Size") and bool(node.inputs) and shape(node.inputs[0]) is not None


def _dims_read(tensor: gs.Tensor, verdicts: Mapping[int, NodeVerdict]) -> bool:
    return bool(tensor.inputs) and _is_dims(tensor.inputs[0], verdicts)


def _dims_of(node: gs.Node) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    dims = np.array(shape(node.inputs[0]) or (), dtype=np.int64)
    if node.op == "Size":
        return np.array(dims.prod(), dtype=np.int64)
    return dims[slice(attr(node, "start", 0), attr(node, "end"))]


def _keep_annotations(header: onnx.ModelProto, names: set[str]) -> None:
    kept = [a for a in header.graph.quantization_annotation if a.tensor_name in names]
    del header.graph.quantization_annotation[:]
    header.graph.quantization_annotation.extend(kept)

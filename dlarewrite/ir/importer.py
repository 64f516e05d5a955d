"""Reading ONNX: a file, a ModelProto or a graphsurgeon graph becomes a :class:`~dlarewrite.ir.model.Model`.

Local functions are inlined, Constant nodes stay nodes (folding them is a pass), weights stay lazy, and bodies of
If/Loop/Scan stay protos: the outer tensors that they capture are recorded, so that nothing renames those.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google.protobuf.message
import onnx
import onnx.inliner
import onnx_graphsurgeon as gs
from onnx import AttributeProto, TensorProto

from dlarewrite.errors import ModelError, UsageError
from dlarewrite.ir.envelope import Envelope
from dlarewrite.ir.types import described
from dlarewrite.ir.weights import StoredValues, external_bytes

if TYPE_CHECKING:
    from dlarewrite.ir.model import Model


def load(source: str | Path | onnx.ModelProto | gs.Graph, folder: Path | None = None) -> Model:
    """Read ``source``; raises :class:`UsageError` for a path that is not there, :class:`ModelError` for bad content."""
    if isinstance(source, gs.Graph):
        return _build(gs.export_onnx(source), None)
    if isinstance(source, onnx.ModelProto):
        copy = onnx.ModelProto()
        copy.CopyFrom(source)
        return _build(copy, folder)
    path = Path(source)
    if not path.exists():
        raise UsageError(f"model file {str(path)!r} does not exist")
    if path.is_dir():
        raise UsageError(f"{str(path)!r} is a folder; name the .onnx file in it")
    try:
        proto = onnx.load(str(path), load_external_data=False)
    except (google.protobuf.message.DecodeError, ValueError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{str(path)!r} is not an ONNX model, or it is truncated ({_first_line(error)})",
            hint="export it again, or fetch the whole file (a Git LFS pointer is a common cause)",
        ) from error
    except OSError as error:
        raise ModelError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    return _build(proto, path.parent)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _build(proto: onnx.ModelProto, folder: Path | None) -> Model:
    from dlarewrite.ir.model import Model

    if not proto.HasField("graph") or not (proto.graph.node or proto.graph.output):
        raise ModelError("the file holds no ONNX graph", hint="is it a TensorRT engine, or another format's file?")
    if not proto.opset_import and proto.ir_version >= 3:
        raise ModelError("the model imports no operator set", hint="export it again with an explicit opset")
    newest = onnx.defs.onnx_opset_version()
    if _opset(proto) > newest:
        raise ModelError(
            f"the model is of opset {_opset(proto)}, and the newest that this onnx knows is {newest}",
            hint="export it with an older opset, or install a newer onnx",
        )
    if proto.functions:
        proto = onnx.inliner.inline_local_functions(proto)
    graph = proto.graph
    envelope = Envelope(_header(proto))
    tensors = _Tensors(graph, folder, envelope)
    nodes = []
    for number, node_proto in enumerate(graph.node):
        node = gs.Node(
            op=node_proto.op_type,
            name=node_proto.name,
            attrs=_attributes(node_proto),
            inputs=[tensors.named(n) for n in node_proto.input],
            outputs=[tensors.named(n) for n in node_proto.output],
            domain=node_proto.domain or None,
        )
        for tensor in node.outputs:
            if tensor.name and (len(tensor.inputs) > 1 or isinstance(tensor, gs.Constant)):
                raise ModelError(
                    f"tensor {tensor.name!r} has two producers, one of them node {number} ({node_proto.op_type})",
                    hint="ONNX is single-assignment; export the model again",
                )
        envelope.remember(node, node_proto)
        captured = dict.fromkeys(_captured_names(node_proto))
        if captured:
            envelope.capture(node, [tensors.named(n) for n in captured if n in tensors.known or n])
        nodes.append(node)
    model = Model(
        nodes=nodes,
        inputs=[tensors.named(v.name) for v in graph.input if v.name not in envelope.overridable],
        outputs=[tensors.named(v.name) for v in graph.output],
        opset=_opset(proto),
        envelope=envelope,
        names=[*tensors.known, *(n.name for n in graph.node), *_body_names(graph)],
        folder=folder,
    )
    _check_sources(model)
    return model


def _opset(proto: onnx.ModelProto) -> int:
    return next((e.version for e in proto.opset_import if e.domain in ("", "ai.onnx")), 1)


def _header(proto: onnx.ModelProto) -> onnx.ModelProto:
    """All of the model but nodes, weights, inputs, outputs and value_info."""
    header = onnx.ModelProto()
    for descriptor, value in proto.ListFields():
        if descriptor.name not in ("graph", "functions"):
            if isinstance(value, (int, str, bytes)):
                setattr(header, descriptor.name, value)
            else:
                getattr(header, descriptor.name).MergeFrom(value)
    header.graph.name = proto.graph.name
    header.graph.doc_string = proto.graph.doc_string
    header.graph.metadata_props.MergeFrom(proto.graph.metadata_props)
    header.graph.quantization_annotation.MergeFrom(proto.graph.quantization_annotation)
    return header


class _Tensors:
    """Makes each named tensor once: constants from initializers, variables with what value_info knows."""

    def __init__(self, graph: onnx.GraphProto, folder: Path | None, envelope: Envelope) -> None:
        self.known: dict[str, gs.Tensor] = {}
        for initializer in graph.initializer:
            if initializer.data_location == TensorProto.EXTERNAL:
                external_bytes(initializer, folder)
            self.known[initializer.name] = gs.Constant(initializer.name, StoredValues(initializer, folder))
        for sparse in graph.sparse_initializer:
            envelope.sparse[sparse.values.name] = sparse
            constant = gs.Constant(sparse.values.name, gs.ir.tensor.SparseValues(sparse))
            constant._values.shape = tuple(sparse.dims)
            self.known[sparse.values.name] = constant
        for value in graph.output:
            envelope.output_values[value.name] = value
        for value in graph.input:
            if isinstance(self.known.get(value.name), gs.Constant):
                envelope.overridable[value.name] = value
        for value in (*graph.value_info, *graph.output, *graph.input):
            if isinstance(self.known.get(value.name), gs.Constant):
                continue
            envelope.values[value.name] = value
            kind, dims = described(value)
            variable = self.named(value.name)
            variable.dtype = kind if kind is not None else variable.dtype
            variable.shape = dims if dims is not None else variable.shape

    def named(self, name: str) -> gs.Tensor:
        if not name:
            return gs.Variable.empty()
        if name not in self.known:
            self.known[name] = gs.Variable(name)
        return self.known[name]


def _attributes(proto: onnx.NodeProto) -> dict[str, Any]:
    """Plain attributes as Python values; graphs, types and sparse tensors stay in the proto only."""
    plain: dict[str, Any] = {}
    for a in proto.attribute:
        if a.ref_attr_name:
            continue
        if a.type == AttributeProto.FLOAT:
            plain[a.name] = a.f
        elif a.type == AttributeProto.INT:
            plain[a.name] = a.i
        elif a.type == AttributeProto.STRING:
            plain[a.name] = a.s.decode("utf-8", "surrogateescape")
        elif a.type == AttributeProto.TENSOR:
            plain[a.name] = gs.Constant(a.t.name, StoredValues(a.t, None))
        elif a.type == AttributeProto.FLOATS:
            plain[a.name] = list(a.floats)
        elif a.type == AttributeProto.INTS:
            plain[a.name] = list(a.ints)
        elif a.type == AttributeProto.STRINGS:
            plain[a.name] = [s.decode("utf-8", "surrogateescape") for s in a.strings]
    return plain


def _bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for a in node.attribute:
        if a.type == AttributeProto.GRAPH:
            yield a.g
        yield from a.graphs


def _captured_names(node: onnx.NodeProto) -> Iterator[str]:
    """Names that the node's bodies read but do not define, at any depth."""
    for body in _bodies(node):
        local = {v.name for v in body.input} | {t.name for t in body.initializer}
        local |= {t.values.name for t in body.sparse_initializer}
        for inner in body.node:
            for name in (*inner.input, *_captured_names(inner)):
                if name and name not in local:
                    yield name
            local.update(inner.output)
        yield from (v.name for v in body.output if v.name not in local)


def _body_names(graph: onnx.GraphProto) -> Iterator[str]:
    """Every name used inside bodies, so that no fresh name shadows one."""
    stack = [body for node in graph.node for body in _bodies(node)]
    while stack:
        body = stack.pop()
        yield from (t.name for t in body.initializer)
        yield from (v.name for v in body.input)
        for node in body.node:
            yield from node.output
            yield node.name
            stack.extend(_bodies(node))


def _check_sources(model: Model) -> None:
    """Every tensor that is read has to come from somewhere."""
    roots = {id(t) for t in model.inputs}
    for node in model.nodes:
        for tensor in model.reads(node):
            if tensor.name and not tensor.inputs and not isinstance(tensor, gs.Constant) and id(tensor) not in roots:
                raise ModelError(
                    f"node {node.name or node.op!r} ({node.op}) reads tensor {tensor.name!r}, which nothing produces",
                    hint="the file is incomplete; export the model again",
                )
    for tensor in model.outputs:
        if not tensor.inputs and not isinstance(tensor, gs.Constant) and id(tensor) not in roots:
            raise ModelError(f"graph output {tensor.name!r} is produced by nothing")

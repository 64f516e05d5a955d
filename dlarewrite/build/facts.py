"""What a build needs to know of the network beside its plan: borders, who they belong to, and every node's verdict."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.analysis.cost import nbytes
from dlarewrite.build.formats import Border
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import attr, consumers, dtype, is_float, is_op, label, producer, shape
from dlarewrite.partition.plan import Plan
from dlarewrite.target import Judgement

_BLOCK_BYTES = 32
_TYPES = {"float32": "fp32", "float16": "fp16"}
# These run in FP16 inside an INT8 build, or know no other type (Q-AUTOFP16, SLICE-FP16, SMAX-FP16).
_FP16_MAKERS = ("Sigmoid", "Tanh", "LRN", "Softmax", "Slice", "Split")


@dataclass(frozen=True)
class NodeFacts:
    """One node for reports: operator, dims, verdict, and the rules behind it."""

    op: str
    inputs: tuple[tuple[int, ...] | None, ...]
    outputs: tuple[tuple[int, ...] | None, ...]
    verdict: str
    rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class NetworkFacts:
    """``intermediates`` are the bytes of all tensors that a region makes, with channels padded to the DLA's blocks;
    ``unscaled`` are its tensors without a scale.

    ``quantized`` tells of Q/DQ nodes, ``asymmetric`` of UINT8 ones, ``fp32`` of FP32 activations in regions.
    """

    inputs: tuple[Border, ...] = ()
    outputs: tuple[Border, ...] = ()
    nodes: Mapping[str, NodeFacts] = field(default_factory=dict)
    intermediates: Mapping[str, int] = field(default_factory=dict)
    unscaled: tuple[str, ...] = ()
    quantized: bool = False
    asymmetric: bool = False
    fp32: bool = False


def describe_network(model: Model, judgement: Judgement, plan: Plan, scaled: Collection[str] = ()) -> NetworkFacts:
    """The facts of a judged and planned model; ``scaled`` are the tensors that the build has a scale for."""
    home = {node: region.name for region in plan.regions for node in region.nodes}
    width = 1 if plan.precision == "int8" else 2
    nodes: dict[str, NodeFacts] = {}
    inner: dict[str, int] = {}
    for node in model.nodes:
        name = label(node)
        found = judgement.verdicts[id(node)]
        rules = tuple(f.rule for f in found.findings if f.effect != "note")
        reads = tuple(shape(t) for t in node.inputs if t.name)
        makes = tuple(shape(t) for t in node.outputs if t.name)
        nodes[name] = NodeFacts(node.op, reads, makes, found.verdict.value, rules)
        if name in home:
            inner[home[name]] = inner.get(home[name], 0) + sum(_stored(t, width) for t in node.outputs if t.name)
    quantizers = [n for n in model.nodes if is_op(n, "QuantizeLinear", "DequantizeLinear")]
    return NetworkFacts(
        inputs=tuple(_input(t, home, scaled) for t in model.inputs),
        outputs=tuple(_output(t, home, scaled) for t in model.outputs),
        nodes=nodes,
        intermediates=inner,
        unscaled=tuple(
            t.name for n in model.nodes if label(n) in home for t in n.outputs if t.name and t.name not in scaled
        ),
        quantized=bool(quantizers),
        asymmetric=any(dtype(t) == np.uint8 for n in quantizers for t in (*n.inputs[2:3], *n.outputs[:1])),
        fp32=any(dtype(t) == np.float32 for n in model.nodes if label(n) in home for t in n.outputs),
    )


def _stored(tensor: gs.Tensor, width: int) -> int:
    """Bytes of a tensor in the DLA's layout: blocks of 32 bytes of channels (IO-CHW16/32)."""
    dims = shape(tensor)
    if dims is None or len(dims) < 4:
        return nbytes(tensor, width)
    *batch, channels, height, columns = dims
    return math.prod(batch) * -(-channels * width // _BLOCK_BYTES) * _BLOCK_BYTES * height * columns


def _input(tensor: gs.Tensor, home: Mapping[str, str], scaled: Collection[str]) -> Border:
    readers = consumers(tensor)
    image = bool(readers) and all(
        is_op(n, "Conv") and n.inputs[0] is tensor and int(attr(n, "group", 1)) <= 4 for n in readers
    )
    on_dla = bool(readers) and all(label(n) in home for n in readers)
    return _border("input", tensor, on_dla, image=image, quantizable=tensor.name in scaled)


def _output(tensor: gs.Tensor, home: Mapping[str, str], scaled: Collection[str]) -> Border:
    maker = producer(tensor)
    on_dla = maker is not None and label(maker) in home
    quantizable = maker is not None and tensor.name in scaled and not is_op(maker, *_FP16_MAKERS)
    return _border("output", tensor, on_dla, quantizable=quantizable)


def _border(
    direction: str, tensor: gs.Tensor, on_dla: bool, *, image: bool = False, quantizable: bool = False
) -> Border:
    kind = dtype(tensor)
    name = "fp32" if kind is None else _TYPES.get(kind.name, kind.name)
    dims = shape(tensor) or ()
    return Border(direction, tensor.name, name, dims, on_dla and is_float(tensor), image, quantizable)

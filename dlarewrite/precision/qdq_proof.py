"""Two proofs that a Q/DQ model was read right, both in onnxruntime.

The plain model must equal the original without rounding: the original with its activation pairs turned into Identity,
while its weights go through onnxruntime's own Q/DQ. And with the scales put back as Q/DQ, it is compared with the
original itself, which shows what one scale per tensor costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx
from onnx import TensorProto, numpy_helper

from dlarewrite.ir.model import Model
from dlarewrite.precision.qdq_in import Plain
from dlarewrite.precision.qdq_out import to_qdq
from dlarewrite.precision.scales import Certainty
from dlarewrite.verify import Evidence, Numerics, Prover
from dlarewrite.verify.numeric import Feeds


def prove_plain(original: Model, plain: Plain, *, feeds: Feeds | None = None, seeds: Sequence[int] = (0,)) -> Evidence:
    """That the plain model computes what the original computes without rounding its activations."""
    before = without_rounding(original.to_proto())
    prover = Prover(before, seeds=seeds, feeds=feeds, base_dir=original.folder)
    return prover.prove(plain.model.to_proto(), numerics=Numerics.EXACT, base_dir=plain.model.folder)


def compare_rounded(
    original: Model, plain: Plain, *, feeds: Feeds | None = None, seeds: Sequence[int] = (0,)
) -> Evidence:
    """The plain model with the scales that were read put back as Q/DQ, against the original; differences are figures.

    Bit-equal where the original has one pair per tensor for all its readers and symmetric zero points.
    """
    read = {name: s for name, s in plain.table.scales.items() if s.certainty is Certainty.EXACT}
    table = replace(plain.table, scales=read, layer_precisions={})
    again = to_qdq(plain.model, table, weights=False).model
    prover = Prover(original.to_proto(), seeds=seeds, feeds=feeds, base_dir=original.folder)
    return prover.prove(again.to_proto(), numerics=Numerics.LOSSY, base_dir=again.folder)


def without_rounding(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose Q/DQ pairs on activations are Identity, or Relu where the grid begins at 0.

    Pairs on constants, and DequantizeLinear of integers that are fed, stay.
    """
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    constant = {t.name for t in made.graph.initializer}
    zeros = _zero_points(made)
    fed = {v.name for v in made.graph.input}
    real: set[str] = set()
    for node in made.graph.node:
        inputs = [name for name in node.input if name]
        if all(name in constant for name in inputs):
            constant.update(node.output)
            continue
        if node.op_type == "QuantizeLinear":
            real.update(node.output)
            _pass_on(node, "Relu" if node.input[0] not in fed and _from_zero(node, zeros) else "Identity")
        elif node.op_type == "DequantizeLinear" and node.input[0] in real:
            _pass_on(node, "Identity")
        elif any(name in real for name in inputs):
            real.update(node.output[:1] if node.op_type == "MaxPool" else node.output)
    values = [v for v in made.graph.value_info if v.name not in real]
    del made.graph.value_info[:]
    made.graph.value_info.extend(values)
    return made


def _pass_on(node: onnx.NodeProto, op: str) -> None:
    node.op_type, node.domain = op, ""
    del node.input[1:]
    del node.attribute[:]


def _zero_points(proto: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Integer constants of 8 bits by name: initializers, and what Constant nodes hold."""
    held = {t.name: t for t in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Constant":
            held.update((node.output[0], a.t) for a in node.attribute if a.name == "value")
    return {name: t for name, t in held.items() if t.data_type in (TensorProto.UINT8, TensorProto.INT8)}


def _from_zero(node: onnx.NodeProto, zeros: dict[str, onnx.TensorProto]) -> bool:
    """Whether the quantiser's grid begins at 0: what is below is gone, and a Relu says so without rounding."""
    zero = zeros.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    if zero is None:
        return len(node.input) < 3 or not node.input[2]
    least = 0 if zero.data_type == TensorProto.UINT8 else -128
    return bool((numpy_helper.to_array(zero) == least).all())

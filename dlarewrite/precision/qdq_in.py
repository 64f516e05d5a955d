"""Models with QuantizeLinear/DequantizeLinear, read as plain float models with a table of scales.

What NVIDIA's translator does for DLA software 3.13 and later: the pairs go, their scales stay; weights become what
their pair makes of them. Source of the rules: fact base Q-SYM, Q-PROP, Q-CONVADD, Q-SIGMOID (NVIDIA's qdq-translator).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dlarewrite.errors import ModelError
from dlarewrite.ir.copying import duplicate
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import label
from dlarewrite.precision.fingerprint import fingerprint
from dlarewrite.precision.propagate import Propagation, propagate
from dlarewrite.precision.qdq_walk import Walk
from dlarewrite.precision.scales import Contradiction, ScaleTable
from dlarewrite.precision.weight_check import Requantised, check_weights

_INTEGER_OPERATORS = frozenset(
    (
        *("QLinearConv", "QLinearMatMul", "QLinearAdd", "QLinearMul", "QLinearConcat", "QLinearGlobalAveragePool"),
        *("QLinearAveragePool", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax", "QGemm", "QAttention"),
        *("ConvInteger", "MatMulInteger", "DynamicQuantizeLinear", "DynamicQuantizeMatMul", "MatMulNBits"),
    )
)


@dataclass(frozen=True)
class Reading:
    """How Q/DQ models are read.

    ``asymmetric`` says what becomes of a zero point other than 0 (128 for UINT8): "symmetric" widens the range, "keep"
    leaves the zero point in the table (no calibration cache can hold it), "refuse" raises. ``weights`` says what to do
    where TensorRT, which takes the scales of weights from their maxima, comes to others than the model: "check" tells,
    "max" raises, "histogram" does not look.
    """

    asymmetric: str = "symmetric"
    weights: str = "check"
    propagation: Propagation = field(default_factory=Propagation)


@dataclass(frozen=True)
class Plain:
    """The float model and its table. ``pairs`` counts quantised activations, ``weights`` folded constants.

    ``mixed`` maps tensors to readers that read them as they are, beside others that read them quantised: an INT8 build
    has one value for both. ``requantised`` are weights that TensorRT will quantise otherwise; ``kept`` are dequantised
    integers that the graph itself computes, left as arithmetic; ``relus`` counts those that a zero point at the end of
    the grid stood for.
    """

    model: Model
    table: ScaleTable
    pairs: int
    weights: int
    contradictions: tuple[Contradiction, ...] = ()
    requantised: tuple[Requantised, ...] = ()
    mixed: tuple[tuple[str, tuple[str, ...]], ...] = ()
    kept: tuple[str, ...] = ()
    relus: int = 0


def import_qdq(model: Model, reading: Reading | None = None) -> Plain:
    """Take the Q/DQ pairs out of a copy of ``model``; shapes should be inferred, and need not be static.

    Raises :class:`ModelError` for a model without pairs, and for what the DLA has not: computed scales, blocks, scales
    per channel of an activation, other types than 8 bits, integer operators.
    """
    reading = reading or Reading()
    _check_operators(model)
    work = Walk(duplicate(model)[0], reading.asymmetric)
    work.run()
    if not (work.pairs or work.weights or work.kept):
        raise ModelError(
            "the model has no QuantizeLinear or DequantizeLinear", hint="scales come from `calibrate` then"
        )
    requantised = check_weights(work.model, work.folded) if reading.weights != "histogram" else ()
    if requantised and reading.weights == "max":
        raise ModelError(f"{requantised[0]}", hint="--weights check tells of it, --weights histogram does not look")
    table = ScaleTable(work.named(), {}, "Q/DQ", fingerprint(work.model))
    table = propagate(table, work.model, reading.propagation)
    return Plain(
        work.model,
        table,
        work.pairs,
        work.weights,
        tuple(work.contradictions),
        requantised,
        tuple(work.mixed.values()),
        tuple(work.kept),
        work.relus,
    )


def _check_operators(model: Model) -> None:
    for node in model.nodes:
        if node.op in _INTEGER_OPERATORS:
            raise ModelError(
                f"node {label(node)!r} ({node.op}) computes on integers: this is no Q/DQ model",
                hint="quantise the float model in Q/DQ format (onnxruntime: QuantFormat.QDQ), with static scales",
            )
        proto = model.envelope.protos.get(id(node)) if model.envelope.has_subgraphs(node) else None
        if proto is not None and b"QuantizeLinear" in proto.SerializeToString():
            raise ModelError(f"node {label(node)!r} ({node.op}) has Q/DQ in its body, and the DLA has no control flow")

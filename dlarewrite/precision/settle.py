"""The scales of one model's tensors, found from those that are known: forwards, backwards, and at last by bounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import onnx_graphsurgeon as gs

from dlarewrite.ir.model import Model
from dlarewrite.ir.operand import value_of
from dlarewrite.ir.view import dtype, is_float, label, producer
from dlarewrite.precision.activations import activations
from dlarewrite.precision.curve import Curve, follow, start
from dlarewrite.precision.demand import Demand, demanded
from dlarewrite.precision.rules import derive
from dlarewrite.precision.scales import Certainty, Contradiction, Scale, ScaleTable, surer
from dlarewrite.precision.span import Operand, Span, of_scale
from dlarewrite.precision.unary import between, is_unary

_CHEAP = 2.5
"""Up to this many times the sum's amax a bound costs a partial sum little more than a bit; saturation costs more."""

_SHARPEN = frozenset({"Relu", "Clip", "Softmax", "Abs"})
"""Operators whose own range is worth knowing beside a measured amax: it says what sign the values have."""


@dataclass(frozen=True)
class Gap:
    """A tensor without a scale: its maker's label ("" for an input), and why nothing is known."""

    tensor: str
    node: str
    why: str


def _computed(model: Model) -> Iterator[gs.Tensor]:
    """The floating-point tensors that are computed or fed, also from constants: what is known of these helps others."""
    seen: set[str] = set()
    for tensor in (*model.inputs, *(t for node in model.nodes if node.op != "Constant" for t in node.outputs)):
        if tensor.name and tensor.name not in seen and (is_float(tensor) or dtype(tensor) is None):
            seen.add(tensor.name)
            yield tensor


class Work:
    """The scales that are known so far of one model."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.known: dict[str, Scale] = {}
        self.unary: dict[str, Scale] = {}
        self.contradictions: list[Contradiction] = []
        self._tensors = list(_computed(model))
        self._values: dict[int, Operand] = {}
        self._spans: dict[str, Span] = {}

    def place(self, table: ScaleTable, olds: Mapping[str, tuple[str, ...]]) -> None:
        """What the table says of tensors that were there before, by the names that they have now."""
        for tensor in self._tensors:
            for old in olds.get(tensor.name, ()):
                scale = table.get(old)
                if scale is not None and is_unary(scale) and between(tensor):
                    self.unary[tensor.name] = scale
                if scale is None or is_unary(scale):
                    continue
                if old != tensor.name:
                    scale = replace(scale, source=f"{scale.source}, as tensor {old}")
                self._meet(tensor.name, scale)
        for node in self.model.nodes:
            self._compare(node)

    def _meet(self, name: str, scale: Scale) -> None:
        held = self.known.setdefault(name, scale)
        if held.same_as(scale):
            return
        self.known[name], dropped, why = surer(held, scale)
        self.contradictions.append(Contradiction(name, self.known[name], dropped, why))

    def _compare(self, node: gs.Node) -> None:
        """Values that are only moved have one scale; two are a contradiction of the table itself."""
        if node.op not in ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose") or not node.outputs:
            return
        one, other = self.known.get(node.inputs[0].name), self.known.get(node.outputs[0].name)
        if one is None or other is None or one.same_as(other):
            return
        kept, dropped, why = surer(one, other)
        self.contradictions.append(Contradiction(node.outputs[0].name, kept, dropped, f"{node.op} moves values; {why}"))

    def settle(self) -> None:
        """Walk forwards and backwards until nothing new is found, always with what is surest first."""
        found = True
        while found:
            found = bool(self._inherit() + self._back(partial=False) or self._bounds() or self._back(partial=True))
        # What stands for none is no source of other scales, so that it comes last.
        self.known.update(self.unary)

    def _open(self, backwards: bool = False) -> Iterator[tuple[gs.Tensor, Span | None]]:
        """The tensors without a scale, with what their makers say of them."""
        for tensor in reversed(self._tensors) if backwards else self._tensors:
            if tensor.name not in self.known:
                maker = producer(tensor)
                yield tensor, None if maker is None else derive(maker, self._operands(maker))

    def _inherit(self) -> int:
        before = len(self.known)
        for tensor, span in self._open():
            if span is not None and span.certainty is not Certainty.BOUND:
                self.known[tensor.name] = span.scale(tensor.inputs[0].op)
        return len(self.known) - before

    def _bounds(self) -> int:
        """Ranges of functions of one tensor, and what operators cannot leave; parts of sums keep near the sum."""
        before = len(self.known)
        curves, wanted = self._curves(), self._wanted()
        for tensor, span in self._open():
            curve = curves.get(tensor.name)
            span = (curve.span() if curve is not None else None) or span
            demand = wanted.get(tensor.name)
            if span is None:
                continue
            far = demand is not None and span.amax > demand.amax * _CHEAP
            self.known[tensor.name] = demand.scale() if demand and far else span.scale(tensor.inputs[0].op)
        return len(self.known) - before

    def _curves(self) -> dict[str, Curve]:
        """Open tensors, and what they are made from, as functions of the nearest tensor with a scale of its own."""
        found: dict[str, Curve] = {}
        for node in self.model.nodes:
            if not any(self._is_open(t) for t in node.outputs):
                continue
            for tensor in node.inputs:
                span = None if tensor.name in found or not tensor.name else self._span(tensor)
                if span is not None and span.certainty is not Certainty.BOUND:
                    found[tensor.name] = start(tensor.name, span)
            curve = follow(node, found)
            if curve is not None:
                found[node.outputs[0].name] = curve
        return found

    def _wanted(self) -> dict[str, Demand]:
        """What readers need of open tensors, through as many open readers as there are."""
        found: dict[str, Demand] = {}
        scales = dict(self.known)
        for tensor in reversed(self._tensors):
            demand = None if tensor.name in scales else demanded(tensor, scales)
            if demand is not None:
                found[tensor.name] = demand
                scales[tensor.name] = demand.scale()
        return found

    def _back(self, *, partial: bool) -> int:
        before = len(self.known)
        for tensor, span in self._open(backwards=True):
            demand = demanded(tensor, self.known)
            if demand is None or (demand.partial and not partial):
                continue
            tighter = span is not None and span.amax <= demand.amax
            self.known[tensor.name] = span.scale(tensor.inputs[0].op) if span and tighter else demand.scale()
        return len(self.known) - before

    def _is_open(self, tensor: gs.Tensor) -> bool:
        return bool(tensor.name) and tensor.name not in self.known and (is_float(tensor) or dtype(tensor) is None)

    def _operands(self, node: gs.Node) -> list[Operand]:
        return [self._operand(t) for t in node.inputs]

    def _operand(self, tensor: gs.Tensor) -> Operand:
        if not tensor.name:
            return None
        if id(tensor) not in self._values:
            self._values[id(tensor)] = value_of(tensor)
        value = self._values[id(tensor)]
        return value if value is not None else self._span(tensor)

    def _span(self, tensor: gs.Tensor) -> Span | None:
        scale = self.known.get(tensor.name)
        if scale is None:
            return None
        if tensor.name not in self._spans:
            span, maker = of_scale(tensor.name, scale), producer(tensor)
            if maker is not None and maker.op in _SHARPEN:
                own = derive(maker, self._operands(maker))
                low, high = (span.low, span.high) if own is None else (max(own.low, span.low), min(own.high, span.high))
                span = replace(span, low=low, high=high) if low < high else span
            self._spans[tensor.name] = span
        return self._spans[tensor.name]

    def gaps(self) -> Iterator[Gap]:
        """The tensors that are still open, with the first input that holds them up."""
        for tensor in activations(self.model):
            if tensor.name in self.known:
                continue
            maker = producer(tensor)
            if maker is None:
                yield Gap(tensor.name, "", "an input of the model that the table does not have")
                continue
            missing = next((t.name for t in maker.inputs if self._is_open(t) and value_of(t) is None), None)
            why = f"its input {missing} has none" if missing is not None else f"{maker.op} has no rule for this form"
            yield Gap(tensor.name, label(maker), why)

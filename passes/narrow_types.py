"""float64 arithmetic becomes float32, and small integer arithmetic between Casts becomes float.

What it does: computes float64 nodes in float32, with a Cast where float64 comes in or has to go out; computes
Add, Sub, Mul, Max, Min, Neg and Abs of integers in floating point where all readers cast the result to float.
Law: float32 keeps 24 bits: a real function of rounded operands, and integers up to 2**24, are kept to that.
Numerics: ROUNDING - float64 results carry float32's error; the integer form is exact.
Scales: all tensors keep their names and scales; Casts take those of what they cast.
Fires: on standard continuous operators and data movement, inside the graph; inputs and outputs keep their type.
Refuses: float64 that reaches a rounding, a comparison, an index or a conversion to integer, constants that float32
cannot hold, and element-wise arithmetic on float64 inputs alone. Integers whose range may not fit are left alone.
Source: IEEE 754; GEN-DTYPE.
Example: Add(x: float64, c) -> Cast(Add(Cast(x, float32), c'), float64)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from dlarewrite.api import Constant, Context, Editor, GraphPass, Node, Numerics, Phase, Refusal, Tensor, emit, view

WIDE, NARROW = np.dtype(np.float64), np.dtype(np.float32)
WORK = ("Conv", "ConvTranspose", "Gemm", "MatMul", "MaxPool", "AveragePool", "BatchNormalization", "LayerNormalization")
MATHS = frozenset(
    (
        *WORK,
        *("Add", "Sub", "Mul", "Div", "Neg", "Abs", "Sqrt", "Exp", "Log", "Pow", "Reciprocal", "Sin", "Cos", "Erf"),
        *("Relu", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "Softmax", "LogSoftmax", "Elu", "Selu", "Softplus"),
        *("HardSigmoid", "Clip", "Min", "Max", "Sum", "Mean", "Where", "InstanceNormalization"),
        *("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2"),
        *("GlobalAveragePool", "GlobalMaxPool", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Concat"),
        *("Split", "Slice", "Pad", "Gather", "Expand", "Tile", "Identity", "DepthToSpace", "SpaceToDepth"),
    )
)
"""Operators that are continuous in their float inputs, or only move them."""
INTEGER = ("Add", "Sub", "Mul", "Max", "Min", "Neg", "Abs")
DEPTH = 8


@dataclass(frozen=True)
class NarrowTypes(GraphPass):
    """float64 -> float32, small integers between Casts -> float."""

    name: ClassVar[str] = "narrow-types"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    phase: ClassVar[Phase] = Phase.CLEAN

    def run(self, context: Context, edit: Editor) -> list[Refusal]:
        for node in reversed(context.model.nodes):
            if (kind := _float_of_integers(node, context)) is not None:
                with edit.rewrite(self.name, node, f"integers -> {kind}"):
                    _narrow_integers(node, kind, edit)
        plan = _plan(context)
        if plan.nodes:
            with edit.rewrite(self.name, plan.nodes[0], f"{len(plan.nodes)} nodes float64 -> float32"):
                _narrow(plan, context, edit)
        return plan.refusals


@dataclass
class Plan:
    """The float64 nodes that become float32, in order."""

    nodes: list[Node] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


def _plan(context: Context) -> Plan:
    plan = Plan()
    chosen: dict[int, Node] = {}
    for node in reversed(context.model.nodes):
        if not any(_is_wide(t) for t in node.outputs) or not view.is_op(node, *MATHS) or _names_again(node, context):
            continue
        reason, by = _obstacle(node, chosen, context)
        if not reason:
            chosen[id(node)] = node
        elif by is None or not (view.is_op(by, *MATHS) and any(_is_wide(t) for t in by.outputs)):
            plan.refusals.append(Refusal(reason, (node,)))
    if not any(n.op in WORK for n in chosen.values()):
        for node in chosen.values():
            if any(_is_wide(t) and context.model.is_input(t) for t in node.inputs):
                why = "it is arithmetic on float64 inputs, which may hold what float32 cannot, and no layer gains by it"
                return Plan(refusals=[*plan.refusals, Refusal(why, (node,))])
    plan.nodes.extend(reversed(chosen.values()))
    return plan


def _names_again(node: Node, context: Context) -> bool:
    """Whether the node gives a tensor whose type has to stay a second name that has to stay."""
    return view.is_op(node, "Identity") and all(map(context.model.is_pinned, (node.inputs[0], node.outputs[0])))


def _obstacle(node: Node, chosen: dict[int, Node], context: Context) -> tuple[str, Node | None]:
    """Why the node has to stay float64 (or an empty string), and the reader at fault; readers are decided already."""
    for tensor in node.inputs:
        value = view.constant_value(tensor) if _is_wide(tensor) else None
        if value is not None and not _fits(value):
            return f"the constant {tensor.name!r} is out of float32's range", None
    for tensor in (t for t in node.outputs if _is_wide(t)):
        for reader in view.consumers(tensor):
            free = _casts_to_float(reader, tensor) or _names_again(reader, context)
            if id(reader) not in chosen and not free:
                return f"{view.label(reader)} ({reader.op}) reads {tensor.name!r} and may need every bit of it", reader
    return "", None


def _is_wide(tensor: Tensor) -> bool:
    """Whether the tensor is float64; an unknown type is not, though numpy takes None for float64."""
    kind = view.dtype(tensor)
    return kind is not None and bool(kind == WIDE)


def _casts_to_float(reader: Node, tensor: Tensor) -> bool:
    if not view.is_op(reader, "Cast", "CastLike") or not view.is_float(reader.outputs[0]):
        return False
    return all(t is not tensor for t in reader.inputs[1:])


def _fits(value: view.Array) -> bool:
    limits, size = np.finfo(NARROW), np.abs(value[np.isfinite(value)])
    return bool(np.all((size == 0) | ((size <= float(limits.max)) & (size >= float(limits.tiny)))))


def _narrow(plan: Plan, context: Context, edit: Editor) -> None:
    narrow: dict[int, Tensor] = {}
    for node in plan.nodes:
        inputs: list[Tensor | None] = []
        for tensor in node.inputs:
            if not _is_wide(tensor):
                inputs.append(tensor if tensor.name else None)
                continue
            if id(tensor) not in narrow:
                narrow[id(tensor)] = _narrowed(tensor, edit)
            inputs.append(narrow[id(tensor)])
        attrs = dict(node.attrs)
        if any(context.model.is_pinned(t) for t in node.outputs):
            made = edit.ops(node.op, inputs, attrs, outputs=len(node.outputs))
            for old, new in zip(node.outputs, made, strict=True):
                narrow[id(old)] = new if _is_wide(old) else old
                edit.replace_uses(old, emit.cast(edit, new, WIDE) if _is_wide(old) else new)
            edit.sweep([node])
            continue
        for tensor in node.outputs:
            if _is_wide(tensor):
                edit.describe(tensor, NARROW, tensor.shape)
        edit.reform(node, node.op, inputs, attrs)


def _narrowed(tensor: Tensor, edit: Editor) -> Tensor:
    if isinstance(tensor, Constant):
        return edit.constant(np.asarray(tensor.values, dtype=NARROW), tensor.name)
    return emit.cast(edit, tensor, NARROW)


# ---- integers ----


def _float_of_integers(node: Node, context: Context) -> Any:
    """The float type that all readers cast the node's integer result to, if it holds it exactly; else None."""
    if not view.is_op(node, *INTEGER) or _is_integer(node.outputs[0]) is None:
        return None
    made = node.outputs[0]
    readers = view.consumers(made)
    if not readers or context.model.is_pinned(made) or not all(view.is_op(r, "Cast") for r in readers):
        return None
    kinds = {view.dtype(r.outputs[0]) for r in readers}
    kind = kinds.pop()
    if kinds or kind not in (NARROW, np.dtype(np.float16)):
        return None
    exact = 2 ** (np.finfo(kind).nmant + 1)
    if not any(view.producer(t) is not None for t in node.inputs):
        return None
    spans = [_span(t) for t in (made, *node.inputs)]
    return kind if all(s is not None and max(map(abs, s)) <= exact for s in spans) else None


def _is_integer(tensor: Tensor) -> np.dtype[Any] | None:
    kind = view.dtype(tensor)
    return kind if kind is not None and kind.kind in "iu" else None


def _span(tensor: Tensor, depth: int = DEPTH) -> tuple[int, int] | None:
    """The least and greatest value an integer or truth tensor can hold; None where that is unknown or may wrap."""
    kind = view.dtype(tensor)
    if kind is None or kind.kind not in "iub":
        return None
    value = view.constant_value(tensor)
    if value is not None:
        return (int(value.min()), int(value.max())) if value.size else None
    maker = view.producer(tensor)
    found = None if maker is None or depth == 0 else _made_span(maker, depth)
    if kind.kind == "b":
        return 0, 1
    limits = np.iinfo(kind)
    if found is None:
        return (int(limits.min), int(limits.max)) if kind.itemsize <= 2 else None
    return found if limits.min <= found[0] and found[1] <= limits.max else None


def _made_span(maker: Node, depth: int) -> tuple[int, int] | None:
    if view.is_op(maker, "Cast"):
        source = maker.inputs[0]
        return _span(source, depth - 1) if view.dtype(source) is not None else None
    if not view.is_op(maker, *INTEGER):
        return None
    spans = [_span(t, depth - 1) for t in maker.inputs]
    if any(s is None for s in spans):
        return None
    known = [s for s in spans if s is not None]
    (low, high), last = known[0], known[-1]
    if maker.op == "Neg":
        return -high, -low
    if maker.op == "Abs":
        return (0 if low <= 0 <= high else min(abs(low), abs(high))), max(abs(low), abs(high))
    if maker.op in ("Max", "Min"):
        choose = max if maker.op == "Max" else min
        return choose(s[0] for s in known), choose(s[1] for s in known)
    if maker.op == "Add":
        return low + last[0], high + last[1]
    if maker.op == "Sub":
        return low - last[1], high - last[0]
    ends = [a * b for a in (low, high) for b in last]
    return min(ends), max(ends)


def _narrow_integers(node: Node, kind: np.dtype[Any], edit: Editor) -> None:
    made = node.outputs[0]
    inputs = [
        edit.constant(np.asarray(t.values, dtype=kind), t.name) if isinstance(t, Constant) else emit.cast(edit, t, kind)
        for t in node.inputs
    ]
    edit.describe(made, kind, made.shape)
    edit.reform(node, node.op, inputs, dict(node.attrs))

"""How each operator is carried: which layout its outputs have where its inputs have given layouts, and what to emit.

A rule looks at one node of any rank whose variable inputs have a :class:`~dlarewrite.rewrite.layout.Layout`, and says
what happens on the rank-4 carriers, or None where the operator cannot be carried that way. Rules never edit: the
:class:`Carried` that they return does, when it is asked to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import attr, axis, constant_value, input_at, ints, is_constant, label, shape
from dlarewrite.rewrite import emit
from dlarewrite.rewrite.layout import Layout, layout

Emit = Callable[[Editor, Sequence["gs.Tensor | None"]], Sequence[gs.Tensor]]


@dataclass(frozen=True)
class Carried:
    """The outputs' layouts, and the edit: carriers of the inputs (None for constants) -> carriers of the outputs."""

    outputs: tuple[Layout, ...]
    emit: Emit


Rule = Callable[[gs.Node, Sequence["Layout | None"], int], "Carried | None"]


def _again(node: gs.Node, changes: Mapping[int, gs.Tensor] | None = None, **attrs: Any) -> Emit:
    """Emits the same operator on the carriers; ``changes`` replaces inputs, ``attrs`` attributes."""

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        inputs = [c if c is not None else input_at(node, i) for i, c in enumerate(carriers)]
        for index, tensor in (changes or {}).items():
            inputs[index] = tensor
        return edit.ops(node.op, inputs, {**node.attrs, **attrs}, outputs=len(node.outputs), hint=label(node))

    return make


def _passed(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
    """Emits nothing: the carrier of the input carries the output too."""
    return [c for c in carriers[:1] if c is not None]


def _data(ins: Sequence[Layout | None]) -> Layout | None:
    """The layout of input 0 where it is the only variable input."""
    return None if any(i is not None for i in ins[1:]) else next(iter(ins), None)


def unary(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Element by element, with constant scalars beside (the bounds of a Clip)."""
    data = _data(ins)
    scalars = all(t is None or shape(t) in ((), (1,)) for t in (input_at(node, i) for i in range(1, len(node.inputs))))
    if data is None or not scalars or len(node.outputs) != 1:
        return None
    return Carried((data,), _again(node))


def reshaping(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Reshape, Flatten, Squeeze, Unsqueeze: the carrier stays where no axis of it is cut."""
    data, form = _data(ins), shape(node.outputs[0])
    found = data.regrouped(form) if data is not None and form is not None else None
    return Carried((found,), _passed) if found is not None else None


def transposing(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Transpose: the carrier stays."""
    data = _data(ins)
    if data is None:
        return None
    perm = ints(node, "perm", tuple(range(len(data.places)))[::-1])
    return Carried((data.permuted(perm),), _passed)


def broadcasting(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Element-wise operators of several tensors, constants among them."""
    form = shape(node.outputs[0])
    lead = next((i for i in ins if i is not None and i.shape == form), None)
    if form is None or lead is None:
        return None
    for other in ins:
        if other is not None and not _fits(other, lead):
            return None
    if any(i is None and input_at(node, k) is None for k, i in enumerate(ins)):
        return None

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        inputs = [c if c is not None else _constant(edit, node.inputs[i], lead) for i, c in enumerate(carriers)]
        return edit.ops(node.op, inputs, dict(node.attrs), hint=label(node))

    return Carried((lead,), make)


def _fits(other: Layout, lead: Layout) -> bool:
    """Whether the carriers broadcast against each other as the tensors do."""
    offset = len(lead.places) - len(other.places)
    if offset < 0:
        return False
    for place, wanted in zip(other.places, lead.places[offset:], strict=True):
        if place and (place != wanted or any(other.dims[a] != lead.dims[a] for a in place)):
            return False
    return True


def _constant(edit: Editor, tensor: gs.Tensor, lead: Layout) -> gs.Constant | None:
    values = constant_value(tensor)
    if values is None:
        return None
    if values.size == 1:
        return edit.constant(values.reshape(()), str(tensor.name))
    return edit.constant(lead.relay(values), str(tensor.name))


def prelu(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """PRelu with constant slopes."""
    data, slopes = _data(ins), constant_value(input_at(node, 1))
    if data is None or slopes is None or slopes.ndim > len(data.places):
        return None

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        slope = data.relay(slopes)
        # TensorRT wants slopes of the input's rank; ONNX before opset 7 broadcast channels only.
        return edit.ops("PRelu", [carriers[0], edit.constant(slope, "slope")], hint=label(node))

    return Carried((data,), make)


def batch_normalization(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """BatchNormalization whose channels lie on the carrier's channels."""
    data = _data(ins)
    if data is None or not data.batched or len(node.outputs) != 1 or data.place(1) != 1:
        return None
    return Carried((data,), _again(node))


def softmax(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Softmax and LogSoftmax over one axis; before opset 13 over all axes from ``axis`` on."""
    data = _data(ins)
    if data is None:
        return None
    rank = len(data.places)
    first = axis(int(attr(node, "axis", -1 if opset >= 13 else 1)), rank)
    axes = [first] if opset >= 13 else [i for i in range(first, rank) if data.places[i]] or [first]
    place = data.place(axes[0]) if len(axes) == 1 else None
    if place is None or place == 0 or (opset < 13 and any(data.dims[a] > 1 for a in range(place + 1, 4))):
        return None
    return Carried((data,), _again(node, axis=place))


def concat(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Concat of variables along one axis of the carrier."""
    form = shape(node.outputs[0])
    known = [i for i in ins if i is not None]
    if form is None or not known or len(known) != len(ins):
        return None
    where = axis(int(attr(node, "axis", 1)), len(form))
    first = next((i for i in known if i.places[where]), known[0])
    place = first.place(where)
    if place is None or (place == 0 and where != 0):
        return None
    base = first.resized({place: 1})
    if any(i.place(where, place) != place or i.resized({place: 1}) != base for i in known):
        return None
    result = Layout(first.dims, first.places).resized({place: form[where]}).with_place(where, place)
    return Carried((result,), _again(node, axis=place))


def slicing(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Slice with constant starts, ends, axes and steps."""
    data, form = _data(ins), shape(node.outputs[0])
    if data is None or form is None:
        return None
    if opset < 10:
        starts, ends = ints(node, "starts"), ints(node, "ends")
        axes, steps = ints(node, "axes", tuple(range(len(starts)))), (1,) * len(starts)
    else:
        read = [constant_value(input_at(node, i)) for i in range(1, 5)]
        if (
            read[0] is None
            or read[1] is None
            or any(v is None and input_at(node, i) is not None for i, v in enumerate(read, 1))
        ):
            return None
        starts, ends = tuple(int(v) for v in read[0]), tuple(int(v) for v in read[1])
        axes = tuple(range(len(starts))) if read[2] is None else tuple(int(v) for v in read[2])
        steps = (1,) * len(starts) if read[3] is None else tuple(int(v) for v in read[3])
    axes = tuple(axis(a, len(form)) for a in axes)
    places = [data.place(a) for a in axes]
    if any(p is None for p in places) or len(set(places)) != len(places):
        return None
    kept = [p for p in places if p is not None]
    result = data.resized({p: form[a] for a, p in zip(axes, kept, strict=True)})

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        return [emit.slice_(edit, x, starts, ends, kept, steps) for x in carriers[:1] if x is not None]

    return Carried((result,), make)


def splitting(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Split with static sizes."""
    data = _data(ins)
    forms = [shape(t) for t in node.outputs]
    if data is None or any(f is None for f in forms) or any(not t.name for t in node.outputs):
        return None
    where = axis(int(attr(node, "axis", 0)), len(data.places))
    place = data.place(where)
    if place is None:
        return None
    sizes = [f[where] for f in forms if f is not None]
    layouts = tuple(data.resized({place: size}) for size in sizes)

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        if opset < 13:
            attrs = {"axis": place, "split": sizes}
            return edit.ops("Split", carriers[:1], attrs, outputs=len(sizes), hint=label(node))
        inputs = [carriers[0], edit.constant(np.asarray(sizes, np.int64), "split")]
        return edit.ops("Split", inputs, {"axis": place}, outputs=len(sizes), hint=label(node))

    return Carried(layouts, make)


def gathering(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Gather of one constant index (the axis goes) or of a constant list of them (it stays)."""
    data, indices = _data(ins), constant_value(input_at(node, 1))
    if data is None or indices is None or indices.ndim > 1 or not is_constant(input_at(node, 1)):
        return None
    where = axis(int(attr(node, "axis", 0)), len(data.places))
    place = data.place(where)
    if place is None:
        return None
    size = data.dims[place]
    chosen = [int(i) + size if i < 0 else int(i) for i in indices.reshape(-1)]
    result = data.resized({place: len(chosen)})

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        if indices.ndim == 0:
            return [emit.slice_(edit, x, chosen, [chosen[0] + 1], [place]) for x in carriers[:1] if x is not None]
        inputs = [carriers[0], edit.constant(np.asarray(chosen, np.int64), "indices")]
        return edit.ops("Gather", inputs, {"axis": place}, hint=label(node))

    return Carried((result if indices.ndim else result.without([where]),), make)


def reducing(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """ReduceMean, ReduceSum, ReduceMax ...: on the carrier the axes are kept."""
    data = _data(ins)
    if data is None or attr(node, "noop_with_empty_axes", 0):
        return None
    held = constant_value(input_at(node, 1))
    if input_at(node, 1) is not None and held is None:
        return None
    rank = len(data.places)
    named = tuple(int(v) for v in held) if held is not None else ints(node, "axes", tuple(range(rank)))
    axes = sorted({axis(a, rank) for a in named})
    places = sorted(p for a in axes for p in data.places[a])
    if not places or places[0] == 0:
        return None
    result = data.resized(dict.fromkeys(places, 1))
    if not attr(node, "keepdims", 1):
        result = result.without(axes)

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        attrs = {k: v for k, v in node.attrs.items() if k != "axes"} | {"keepdims": 1}
        as_input = opset >= 18 or (node.op == "ReduceSum" and opset >= 13)
        if not as_input:
            return edit.ops(node.op, carriers[:1], attrs | {"axes": places}, hint=label(node))
        return edit.ops(
            node.op, [carriers[0], edit.constant(np.asarray(places, np.int64), "axes")], attrs, hint=label(node)
        )

    return Carried((result,), make)


def padding(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Pad with constant widths."""
    data, form = _data(ins), shape(node.outputs[0])
    if data is None or form is None:
        return None
    rank = len(data.places)
    value: float = float(attr(node, "value", 0.0))
    widths = ints(node, "pads")
    axes: tuple[int, ...] = tuple(range(rank))
    if opset >= 11:
        held = [constant_value(input_at(node, i)) for i in (1, 2, 3)]
        if held[0] is None or any(v is None and input_at(node, i) is not None for i, v in enumerate(held, 1)):
            return None
        widths = tuple(int(v) for v in held[0])
        value = 0.0 if held[1] is None else float(held[1].reshape(-1)[0])
        axes = axes if held[2] is None else tuple(axis(int(v), rank) for v in held[2])
    pads, sizes = [0] * 8, {}
    result = data
    for i, where in enumerate(axes):
        begin, end = widths[i], widths[i + len(axes)]
        if not begin and not end:
            continue
        place = data.place(where, 3)
        if place is None or place == 0 or place in sizes:
            return None
        pads[place], pads[place + 4], sizes[place] = begin, end, form[where]
        result = result.resized({place: form[where]}).with_place(where, place)

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        mode = str(attr(node, "mode", "constant"))
        return [emit.pad(edit, x, pads, value, mode) for x in carriers[:1] if x is not None]

    return Carried((result,), make)


def _spatial(data: Layout) -> int | None:
    """Where the one spatial axis of an [N, C, L] tensor lies on its carrier.

    2 or 3, and nothing else lies beside it.
    """
    if len(data.places) != 3 or not data.batched or data.place(1) != 1 or len(data.places[0]) > 1:
        return None
    place = data.place(2, 3)
    return place if place in (2, 3) else None


def global_pool(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """GlobalAveragePool and GlobalMaxPool over everything behind the channels."""
    data = _data(ins)
    if data is None or not data.batched or data.place(1) != 1:
        return None
    return Carried((data.resized({2: 1, 3: 1}),), _again(node))


def resize(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Resize of [N, C, L], nearest or linear, by constant scales or sizes."""
    data, form = _data(ins), shape(node.outputs[0])
    if data is None or form is None or opset < 11 or attr(node, "axes") or attr(node, "mode") == "cubic":
        return None
    place = _spatial(data)
    scales, sizes = constant_value(input_at(node, 2)), constant_value(input_at(node, 3))
    factor = float(scales[2]) if scales is not None and scales.size == 3 else None
    if place is None or (factor is None and sizes is None) or form[:2] != data.shape[:2]:
        return None
    result = data.resized({place: form[2]}).with_place(2, place)

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        x = carriers[0]
        if factor is not None:
            factors = [1.0, 1.0, 1.0, 1.0]
            factors[place] = factor
            return [emit.resize(edit, x, factors, dict(node.attrs))] if x is not None else []
        dims = edit.constant(np.asarray(result.dims, np.int64), "sizes")
        empty = edit.constant(np.zeros(0, np.float32), "roi") if opset < 13 else None
        return edit.ops("Resize", [x, empty, empty, dims], dict(node.attrs), hint=label(node))

    return Carried((result,), make)


_UNARY = [
    "Relu",
    "LeakyRelu",
    "Sigmoid",
    "Tanh",
    "Clip",
    "HardSigmoid",
    "HardSwish",
    "Elu",
    "Selu",
    "Celu",
    "Softplus",
    "Softsign",
    "ThresholdedRelu",
    "Mish",
    "Gelu",
    "Abs",
    "Neg",
    "Exp",
    "Log",
    "Sqrt",
    "Reciprocal",
    "Erf",
    "Floor",
    "Ceil",
    "Round",
    "Sign",
    "Identity",
    "Dropout",
    "Cast",
    "Swish",
]
_REDUCE = ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare"]

EXACT_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(_UNARY, unary),
        **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Mean"), broadcasting),
        **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), reshaping),
        "Transpose": transposing,
        "PRelu": prelu,
        "BatchNormalization": batch_normalization,
        "Softmax": softmax,
        "LogSoftmax": softmax,
        "Concat": concat,
        "Slice": slicing,
        "Split": splitting,
        "Gather": gathering,
        **dict.fromkeys(_REDUCE, reducing),
        "Pad": padding,
        "GlobalAveragePool": global_pool,
        "GlobalMaxPool": global_pool,
        "Resize": resize,
    }
)
"""Operators whose carried form does the same arithmetic on the same elements."""

MOVES = frozenset(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"))
"""Operators that are gone once their tensor is carried."""


def bare(dims: Sequence[int], places: Sequence[Sequence[int]]) -> Layout:
    """Shorthand for rules in other files."""
    return layout(dims, places)

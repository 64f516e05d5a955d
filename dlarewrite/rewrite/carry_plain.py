"""How operators that keep every element in its place are carried.

Element-wise ones, normalizations, Reshapes, Resizes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import attr, axis, constant_value, input_at, ints, label, shape
from dlarewrite.rewrite import emit
from dlarewrite.rewrite.carry import Carried, again, only, passed
from dlarewrite.rewrite.layout import Layout


def unary(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Element by element, with constant scalars beside (the bounds of a Clip)."""
    data = only(ins)
    scalars = all(t is None or shape(t) in ((), (1,)) for t in (input_at(node, i) for i in range(1, len(node.inputs))))
    if data is None or not scalars or len(node.outputs) != 1:
        return None
    return Carried((data,), again(node))


def reshaping(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Reshape, Flatten, Squeeze, Unsqueeze: the carrier stays where no axis of it is cut."""
    data, form = only(ins), shape(node.outputs[0])
    found = data.regrouped(form) if data is not None and form is not None else None
    return Carried((found,), passed) if found is not None else None


def transposing(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Transpose: the carrier stays."""
    data = only(ins)
    if data is None:
        return None
    perm = ints(node, "perm", tuple(range(len(data.places)))[::-1])
    return Carried((data.permuted(perm),), passed)


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
    data, slopes = only(ins), constant_value(input_at(node, 1))
    if data is None or slopes is None or slopes.ndim > len(data.places):
        return None

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        slope = data.relay(slopes)
        # TensorRT wants slopes of the input's rank; ONNX before opset 7 broadcast channels only.
        return edit.ops("PRelu", [carriers[0], edit.constant(slope, "slope")], hint=label(node))

    return Carried((data,), make)


def batch_normalization(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """BatchNormalization whose channels lie on the carrier's channels."""
    data = only(ins)
    if data is None or not data.batched or len(node.outputs) != 1 or data.place(1) != 1:
        return None
    return Carried((data,), again(node))


def softmax(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Softmax and LogSoftmax over one axis; before opset 13 over all axes from ``axis`` on."""
    data = only(ins)
    if data is None:
        return None
    rank = len(data.places)
    first = axis(int(attr(node, "axis", -1 if opset >= 13 else 1)), rank)
    axes = [first] if opset >= 13 else [i for i in range(first, rank) if data.places[i]] or [first]
    place = data.place(axes[0]) if len(axes) == 1 else None
    if place is None or place == 0 or (opset < 13 and any(data.dims[a] > 1 for a in range(place + 1, 4))):
        return None
    return Carried((data,), again(node, axis=place))


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
    data = only(ins)
    if data is None or not data.batched or data.place(1) != 1:
        return None
    return Carried((data.resized({2: 1, 3: 1}),), again(node))


def resize(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Resize of [N, C, L], nearest or linear, by constant scales or sizes."""
    data, form = only(ins), shape(node.outputs[0])
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

"""How operators that cut, join and reduce tensors along axes are carried."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import attr, axis, constant_value, input_at, ints, is_constant, label, shape
from dlarewrite.rewrite import emit, forms
from dlarewrite.rewrite.carry import Carried, again, only
from dlarewrite.rewrite.layout import Layout


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
    return Carried((result,), again(node, axis=place))


def slicing(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Slice with constant starts, ends, axes and steps."""
    data, form, cuts = only(ins), shape(node.outputs[0]), forms.read_slice(node, opset)
    if data is None or form is None or cuts is None:
        return None
    places = [data.place(where) for where in cuts]
    kept = [p for p in places if p is not None]
    if len(set(kept)) != len(places):
        return None
    rows = [range(data.shape[where])[cut] for where, cut in cuts.items()]
    # A range that runs backwards to the front ends at -1, which a Slice would take for the last element.
    ends = [r.stop if r.stop >= 0 else -data.shape[where] - 1 for where, r in zip(cuts, rows, strict=True)]
    result = data.resized({p: form[where] for where, p in zip(cuts, kept, strict=True)})

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        starts, steps = [r.start for r in rows], [r.step for r in rows]
        return [emit.slice_(edit, x, starts, ends, kept, steps) for x in carriers[:1] if x is not None]

    return Carried((result,), make)


def splitting(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Split with static sizes."""
    data = only(ins)
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
    data, indices = only(ins), constant_value(input_at(node, 1))
    if data is None or indices is None or indices.ndim > 1 or not is_constant(input_at(node, 1)):
        return None
    where = axis(int(attr(node, "axis", 0)), len(data.places))
    place = data.place(where)
    if place is None:
        return None
    size = data.dims[place]
    chosen = [int(i) + size if i < 0 else int(i) for i in indices.reshape(-1)]
    result = data.resized({place: len(chosen)}).with_place(where, place)

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        if indices.ndim == 0:
            return [emit.slice_(edit, x, chosen, [chosen[0] + 1], [place]) for x in carriers[:1] if x is not None]
        inputs = [carriers[0], edit.constant(np.asarray(chosen, np.int64), "indices")]
        return edit.ops("Gather", inputs, {"axis": place}, hint=label(node))

    return Carried((result if indices.ndim else result.without([where]),), make)


def reducing(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """ReduceMean, ReduceSum, ReduceMax ...: on the carrier the axes are kept."""
    data, held = only(ins), constant_value(input_at(node, 1))
    if data is None or (held is None and input_at(node, 1) is not None):
        return None
    rank = len(data.places)
    named = ints(node, "axes") if held is None else tuple(int(a) for a in held.reshape(-1))
    if not named and attr(node, "noop_with_empty_axes", 0):
        return None
    axes = sorted({axis(a, rank) for a in named or range(rank)})
    places = sorted(p for a in axes for p in data.places[a])
    if not places or places[0] == 0:
        return None
    result = data.resized(dict.fromkeys(places, 1))
    if not attr(node, "keepdims", 1):
        result = result.without(axes)

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        gone = ("axes", "noop_with_empty_axes")
        attrs = {k: v for k, v in node.attrs.items() if k not in gone} | {"keepdims": 1}
        as_input = opset >= 18 or (node.op == "ReduceSum" and opset >= 13)
        if not as_input:
            return edit.ops(node.op, carriers[:1], attrs | {"axes": places}, hint=label(node))
        return edit.ops(
            node.op, [carriers[0], edit.constant(np.asarray(places, np.int64), "axes")], attrs, hint=label(node)
        )

    return Carried((result,), make)


def summing(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """A sum whose carrier holds the elements in their old order: in another, the sum is rounded otherwise."""
    data = only(ins)
    return reducing(node, ins, opset) if data is not None and data.straight else None


def padding(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Pad with constant widths."""
    data, form, read = only(ins), shape(node.outputs[0]), forms.read_pad(node, opset)
    if data is None or form is None or read is None:
        return None
    widths, value = read
    rank = len(form)
    pads, result = [0] * 8, data
    for where, (begin, end) in enumerate(zip(widths[:rank], widths[rank:], strict=True)):
        if not begin and not end:
            continue
        place = result.place(where, 3)
        if place is None or place == 0 or pads[place] or pads[place + 4]:
            return None
        pads[place], pads[place + 4] = begin, end
        result = result.resized({place: form[where]}).with_place(where, place)

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        mode = str(attr(node, "mode", "constant"))
        return [emit.pad(edit, x, pads, value, mode) for x in carriers[:1] if x is not None]

    return Carried((result,), make)

"""ConvTranspose as numbers: its kernel and crop, exact changes of both, and the forms in which the DLA takes it.

A ConvTranspose adds ``x[i] * w[t]`` to the uncropped output at ``stride * i + dilation * t``; pads only crop that
output, and output_padding crops less at the end, or adds rows that hold the bias alone. So pads become a crop, dilation
becomes zeros in the kernel, rows of pure bias become zeros at an end of the kernel, and groups become zeros too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir import view
from dlarewrite.ir.editor import Editor
from dlarewrite.rewrite import emit, spatial
from dlarewrite.rewrite.choice import Candidate, Cost, choose, measure
from dlarewrite.rewrite.context import Context
from dlarewrite.rewrite.spatial import Pair, Values


@dataclass(frozen=True)
class Deconv:
    """A ConvTranspose with two spatial axes.

    ``weights`` are [Cin, Cout / group, kh, kw]; ``begin`` and ``end`` are what is cropped from the uncropped output,
    ``end`` is below 0 where rows of pure bias are added.
    """

    weights: Values
    bias: gs.Tensor | None
    strides: Pair
    begin: Pair = (0, 0)
    end: Pair = (0, 0)
    group: int = 1
    dilations: Pair = (1, 1)

    @property
    def kernel(self) -> Pair:
        return self.weights.shape[2], self.weights.shape[3]

    @property
    def maps(self) -> int:
        """Output channels."""
        return int(self.weights.shape[1]) * self.group

    def full(self, size: Pair) -> Pair:
        """Rows and columns before the crop, for an input of ``size``."""
        reach = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]
        height, width = (s * (n - 1) + r for s, n, r in zip(self.strides, size, reach, strict=True))
        return height, width

    def undilated(self) -> Deconv:
        """The same with zeros between the kernel's elements."""
        if self.dilations == (1, 1):
            return self
        steps = self.dilations
        size = [(k - 1) * d + 1 for k, d in zip(self.kernel, steps, strict=True)]
        weights = np.zeros((*self.weights.shape[:2], *size), dtype=self.weights.dtype)
        weights[:, :, :: steps[0], :: steps[1]] = self.weights
        return replace(self, weights=weights, dilations=(1, 1))

    def widened(self) -> Deconv:
        """The same with zeros at the kernel's ends, so that nothing is added to the output; undilated kernels only."""
        before, after = ([max(-c, 0) for c in side] for side in (self.begin, self.end))
        if not any((*before, *after)):
            return self
        ends = ((0, 0), (0, 0), *zip(before, after, strict=True))
        cut = [(max(b, 0), max(e, 0)) for b, e in zip(self.begin, self.end, strict=True)]
        return replace(
            self, weights=np.pad(self.weights, ends), begin=(cut[0][0], cut[1][0]), end=(cut[0][1], cut[1][1])
        )

    def dense(self, parts: int = 1) -> list[Deconv]:
        """The groups shared out to ``parts`` ConvTransposes without groups; the bias is left to the caller."""
        inputs, maps, per = self.weights.shape[0] // self.group, self.weights.shape[1], self.group // parts
        found = []
        for part in range(parts):
            weights = np.zeros((per, inputs, per, maps, *self.kernel), dtype=self.weights.dtype)
            own = self.weights.reshape(parts, per, inputs, maps, *self.kernel)[part]
            weights[np.arange(per), :, np.arange(per)] = own
            weights = weights.reshape(per * inputs, per * maps, *self.kernel)
            found.append(replace(self, weights=weights, bias=None, group=1))
        return found


def read(node: gs.Node) -> Deconv | str | None:
    """What a ConvTranspose with constant weights does; a sentence why that cannot be told; None for open shapes."""
    window = view.window(node)
    if window is None or len(window.kernel) != 2:
        return None
    weights = view.constant_value(view.input_at(node, 1))
    if weights is None:
        return "its weights are computed at run time"
    begin = [max(b, 0) for b in window.begin]
    # Automatic pads below 0 mean that the output is larger than what is added up: all of the rest lies at the end.
    end = [e + min(b, 0) - extra for b, e, extra in zip(window.begin, window.end, window.output_padding, strict=True)]
    return Deconv(
        weights,
        view.input_at(node, 2),
        (window.strides[0], window.strides[1]),
        (begin[0], begin[1]),
        (end[0], end[1]),
        window.group,
        (window.dilations[0], window.dilations[1]),
    )


def attributes(strides: Pair, kernel: Pair) -> dict[str, Any]:
    """The attributes of a ConvTranspose without pads, groups and dilation."""
    return {"kernel_shape": list(kernel), "strides": list(strides), "pads": [0] * 4, "dilations": [1, 1], "group": 1}


def takes(context: Context, x: gs.Tensor, maps: int, kernel: Pair, strides: Pair) -> bool:
    """Whether the target takes a ConvTranspose without pads, groups and dilation of these sizes."""
    dims = view.shape(x)
    if dims is None or len(dims) != 4:
        return False
    nothing = np.broadcast_to(np.zeros((), dtype=view.dtype(x) or np.float32), (dims[1], maps, *kernel))
    return context.allows("ConvTranspose", [x, gs.Constant("w", nothing)], attributes(strides, kernel))


def transpose_conv(
    edit: Editor, x: gs.Tensor, weights: Values, strides: Pair, bias: gs.Tensor | None = None
) -> gs.Variable:
    """A ConvTranspose without pads, groups and dilation; the weights take x's element type."""
    kernel = (weights.shape[2], weights.shape[3])
    inputs = [x, edit.constant(weights.astype(view.dtype(x) or weights.dtype), "weights")]
    return edit.op("ConvTranspose", [*inputs, bias] if bias is not None else inputs, attributes(strides, kernel))


def blocks(maps: int, block: Pair, channel_last: bool = False) -> Values:
    """[maps * bh * bw, maps, bh, bw] one-hot weights of a ConvTranspose that lays blocks of channels out in space.

    Channels are (map, row, column) with the last fastest, or (row, column, map) for ``channel_last``.
    """
    rows, columns = block
    found = np.zeros((maps, rows, columns, maps, rows, columns), dtype=np.float32)
    m, r, c = np.ix_(range(maps), range(rows), range(columns))
    found[m, r, c, m, r, c] = 1.0
    if channel_last:
        found = found.transpose(1, 2, 0, 3, 4, 5)
    return found.reshape(maps * rows * columns, maps, rows, columns)


# ---- the same as a Conv ----


@dataclass(frozen=True)
class Turned:
    """The Conv that, run over x with ``stride - 1`` zeros behind each element, gives a ConvTranspose's output."""

    weights: Values
    begin: Pair
    end: Pair
    group: int

    def attributes(self) -> dict[str, Any]:
        kernel = list(self.weights.shape[2:])
        pads = [*self.begin, *self.end]
        return {"kernel_shape": kernel, "strides": [1, 1], "pads": pads, "dilations": [1, 1], "group": self.group}


def turned(deconv: Deconv) -> Turned:
    """The turned kernel of an undilated ``deconv`` with its pads; a pad below 0 becomes zeros at the kernel's end."""
    inputs, maps, group = deconv.weights.shape[0] // deconv.group, deconv.weights.shape[1], deconv.group
    flipped = deconv.weights[:, :, ::-1, ::-1].reshape(group, inputs, maps, *deconv.kernel)
    weights = flipped.transpose(0, 2, 1, 3, 4).reshape(group * maps, inputs, *deconv.kernel)
    begin = [k - 1 - b for k, b in zip(deconv.kernel, deconv.begin, strict=True)]
    end = [k - s - e for k, s, e in zip(deconv.kernel, deconv.strides, deconv.end, strict=True)]
    ends = [(max(-b, 0), max(-e, 0)) for b, e in zip(begin, end, strict=True)]
    weights = np.pad(weights, ((0, 0), (0, 0), *ends))
    before, after = (max(begin[0], 0), max(begin[1], 0)), (max(end[0], 0), max(end[1], 0))
    return Turned(np.ascontiguousarray(weights), before, after, group)


def takes_turned(context: Context, x: gs.Tensor, conv: Turned, strides: Pair) -> bool:
    """Whether the target takes the Conv over x spread by ``strides``."""
    dims = view.shape(x)
    if dims is None or len(dims) != 4:
        return False
    wide = spatial.like(x, (dims[0], dims[1], dims[2] * strides[0], dims[3] * strides[1]))
    nothing = np.broadcast_to(np.zeros((), dtype=view.dtype(x) or np.float32), conv.weights.shape)
    return context.allows("Conv", [wide, gs.Constant("w", nothing)], conv.attributes())


def turned_conv(edit: Editor, x: gs.Tensor, conv: Turned, bias: gs.Tensor | None) -> gs.Variable:
    """Emit the Conv."""
    weights = edit.constant(conv.weights.astype(view.dtype(x) or conv.weights.dtype), "weights")
    return edit.op("Conv", [x, weights, bias] if bias is not None else [x, weights], conv.attributes())


# ---- forms without groups ----


@dataclass(frozen=True)
class Plan:
    """How a ConvTranspose is written: ``form`` "dense", "split" or "spread", in ``parts``; and how it is cropped.

    ``why`` says what it costs and what the other forms would.
    """

    deconv: Deconv
    form: str
    parts: int
    crop: str
    why: str = ""

    @property
    def name(self) -> str:
        height, width = self.deconv.kernel
        many = f" in {self.parts} parts" if self.parts > 1 else ""
        return f"{self.form} {height}x{width}{many}"

    @property
    def detail(self) -> str:
        return self.why or self.name


def plan(context: Context, x: gs.Tensor, deconv: Deconv, replaced: Sequence[gs.Node] = ()) -> Plan | str:
    """The cheapest form that the target takes for an undilated, widened ``deconv``; or why there is none.

    dense: one ConvTranspose whose kernel has zeros between groups, MACs x groups. split: channels sliced into at most
    8 parts, a dense ConvTranspose each, Concat. spread: zeros put behind the inputs by a nearest Resize and a map,
    then a grouped Conv with the turned kernel; MACs x strides, no crop. ``replaced`` is as in :func:`choose`.
    """
    dims = view.shape(x)
    if dims is None or len(dims) != 4:
        return "its input's shape is not static"
    size, group = (dims[2], dims[3]), deconv.group
    full = spatial.like(x, (dims[0], deconv.maps, *deconv.full(size)))
    crop = spatial.crop_choice(context, full, deconv.begin, deconv.end)
    slices = group > 1 and spatial.crop_form(context, x, (1, 0), (0, 0)) == "slice"
    found: list[Candidate[Plan]] = []
    for parts in (p for p in range(1, min(group, 8) + 1) if group % p == 0):
        part = spatial.like(x, (dims[0], dims[1] // parts, *size))
        fits = parts == 1 or slices
        if crop and fits and takes(context, part, deconv.maps // parts, deconv.kernel, deconv.strides):
            made = Plan(deconv, "dense" if parts == 1 else "split", parts, crop.form)
            found.append(Candidate(made, made.name, _dense_cost(dims, deconv, parts) + crop.cost))
    spreads = group > 1 and spatial.takes_resize(context, x, deconv.strides, "nearest")
    if spreads and takes_turned(context, x, turned(deconv), deconv.strides):
        made = Plan(deconv, "spread", 1, "")
        cost = measure(context, partial(emit_plan, x=x, chosen=made))
        found.extend([Candidate(made, made.name, cost)] if cost is not None else [])
    if not found:
        sizes = f"{deconv.kernel[0]} x {deconv.kernel[1]} kernel, stride {deconv.strides[0]} x {deconv.strides[1]}"
        return f"the target does not take it without pads, groups and dilation either ({sizes})"
    best = choose(context, found, replaced)
    return replace(best.form, why=best.sentence or (crop.sentence if crop else ""))


def _dense_cost(dims: tuple[int, ...], deconv: Deconv, parts: int) -> Cost:
    """Of the ConvTransposes in ``parts``, their Slices and their Concat, without the crop."""
    read, written = math.prod(dims), dims[0] * deconv.maps * math.prod(deconv.full((dims[2], dims[3])))
    work = read * math.prod(deconv.weights.shape[1:]) * deconv.group // parts
    weights = deconv.weights.size * deconv.group // parts + (deconv.maps if deconv.bias is not None else 0)
    cost = Cost(work, read + written, weights, parts)
    return cost if parts == 1 else cost + Cost(0, 2 * read + 2 * written, 0, parts + 1)


def emit_plan(edit: Editor, x: gs.Tensor, chosen: Plan) -> gs.Tensor:
    """The output of a planned ConvTranspose over x."""
    deconv = chosen.deconv
    if chosen.form == "spread":
        wide = spatial.resize(edit, x, deconv.strides)
        if deconv.strides != (1, 1):
            mask = np.zeros([int(d) for d in wide.shape[2:]], dtype=np.float32)
            mask[:: deconv.strides[0], :: deconv.strides[1]] = 1.0
            wide = spatial.times_map(edit, wide, mask)
        return turned_conv(edit, wide, turned(deconv), deconv.bias)
    pieces = deconv.dense(chosen.parts)
    if chosen.form == "dense":
        full: gs.Tensor = transpose_conv(edit, x, pieces[0].weights, deconv.strides, deconv.bias)
        return spatial.crop(edit, full, deconv.begin, deconv.end, chosen.crop)
    per, maps = int(x.shape[1]) // chosen.parts, deconv.maps // chosen.parts
    biases = [_piece_of_bias(edit, deconv.bias, i * maps, maps) for i in range(chosen.parts)]
    inputs = [emit.slice_(edit, x, [i * per], [(i + 1) * per], [1]) for i in range(chosen.parts)]
    outputs = [
        transpose_conv(edit, part, piece.weights, deconv.strides, bias)
        for part, piece, bias in zip(inputs, pieces, biases, strict=True)
    ]
    return spatial.crop(edit, edit.op("Concat", outputs, {"axis": 1}), deconv.begin, deconv.end, chosen.crop)


def _piece_of_bias(edit: Editor, bias: gs.Tensor | None, start: int, count: int) -> gs.Constant | None:
    values = view.constant_value(bias)
    return None if values is None else edit.constant(values[start : start + count], "bias")

"""DepthToSpace becomes a ConvTranspose whose kernel is its stride.

What it does: DepthToSpace(b) in either mode -> ConvTranspose with kernel = stride = b and one-hot weights. A 1x1 Conv
    that is all that makes or reads the tensor is taken into those weights where this costs less; so is any Conv before,
    over the taps of its window, which a depthwise one-hot Conv writes into channels.
Law: with kernel = stride every output belongs to one input position, and weight [channel, c, row, column] is 1 where
    the channel is (c, row, column) in CRD or (row, column, c) in DCR. Before a 1x1 Conv W the weights are W[o, c] in
    its place; behind one they are W[(c, row, column), i], if the bias does not depend on row and column, which a
    ConvTranspose's cannot; where it does, it is the weight of a tap that is 1 everywhere. Cost: b^4 C^2 MACs for each
    input position, because the DLA has no groups in ConvTranspose; parts divide that, and T taps of Cin channels
    before it cost T^2 Cin instead.
Numerics: ROUNDING - a Conv that is taken in sums in another order; the one-hot form is exact.
Scales: taps inherit the scale of what the Conv read.
Fires: on a DepthToSpace of a static [N, C, H, W] in a floating-point type.
Refuses: a block that the target refuses as a ConvTranspose (23 to 32 or more).
Source: ONNX DepthToSpace (opset 1, 11, 13); NODLA, DECONV-KERNEL, DECONV-SQ23, DECONV-CH.
Example: DepthToSpace(x[1,48,32,32]; blocksize 4, CRD) -> ConvTranspose(x, w[48,3,4,4]; strides 4)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from dlarewrite.api import (
    Context,
    Editor,
    Match,
    Node,
    Numerics,
    Pass,
    Refusal,
    Tensor,
    choice,
    convolve,
    deconv,
    gathering,
    spatial,
    view,
)


@dataclass(frozen=True)
class Layout:
    """The ConvTranspose: what it reads, weights [in, out, b, b], bias, and the tensor that it makes; in ``parts``.

    With ``taps`` it reads those of x.
    """

    x: Tensor
    weights: spatial.Values
    bias: spatial.Values | None
    output: Tensor
    parts: int = 1
    taps: gathering.Taps | None = None

    @property
    def dims(self) -> tuple[int, ...]:
        """Of the tensor that the ConvTranspose reads."""
        dims = view.shape(self.x) or ()
        return dims if self.taps is None else self.taps.out(dims)


@dataclass(frozen=True)
class DepthToSpace(Pass[Layout]):
    """DepthToSpace -> ConvTranspose with kernel = stride = blocksize, with a 1x1 Conv beside it taken in."""

    name: ClassVar[str] = "depth-to-space"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("DepthToSpace",)

    def match(self, node: Node, context: Context) -> Match[Layout] | Refusal | None:
        x, block = node.inputs[0], int(view.attr(node, "blocksize", 1))
        dims = view.shape(x)
        if dims is None or len(dims) != 4 or not view.is_float(x) or dims[1] % (block * block):
            return None
        last = view.attr(node, "mode", "DCR") != "CRD"
        weights = deconv.blocks(dims[1] // block**2, (block, block), channel_last=last)
        plain = Layout(x, weights, None, node.outputs[0])
        options: list[tuple[tuple[Node, ...], Layout]] = [((node,), plain)]
        beside = (_with_maker(context, plain), _with_taps(context, plain), _with_reader(context, plain))
        for neighbour, layout in beside:
            if neighbour is not None and layout is not None:
                options.append(((node, neighbour), layout))
        options += [((node,), replace(plain, parts=n)) for n in _parts(context, plain) if not last]
        legal = [(nodes, layout) for nodes, layout in options if _taken(context, layout)]
        if not legal:
            return Refusal(f"the target refuses a ConvTranspose with kernel and stride {block}", (node,))
        costs = {id(n): choice.of_node(n, context) for nodes, _ in legal for n in nodes[1:]}
        found = []
        for nodes, layout in legal:
            name = f"block {block}" + (f" with {view.label(nodes[1])}" if len(nodes) > 1 else " alone")
            name += f" in {layout.parts} parts" if layout.parts > 1 else ""
            name += f" over {layout.taps.per} taps" if layout.taps is not None else ""
            stay = (cost for key, cost in costs.items() if key not in {id(n) for n in nodes})
            found.append(choice.Candidate((nodes, layout), name, sum(stay, _cost(layout))))
        chosen = choice.choose(context, found, {id(n): n for nodes, _ in legal for n in nodes}.values())
        return Match(*chosen.form, chosen.sentence or chosen.name)

    def apply(self, match: Match[Layout], edit: Editor) -> None:
        layout = match.facts
        strides = (layout.weights.shape[2], layout.weights.shape[3])
        if layout.parts > 1:
            blocks = layout.weights.sum(axis=1, keepdims=True)
            plan = deconv.Plan(
                deconv.Deconv(blocks, None, strides, group=layout.weights.shape[1]), "split", layout.parts, ""
            )
            edit.replace_uses(layout.output, deconv.emit_plan(edit, layout.x, plan))
            return
        bias = None if layout.bias is None else edit.constant(layout.bias, "bias")
        x = layout.x if layout.taps is None else gathering.gather(edit, layout.x, layout.taps)
        made = deconv.transpose_conv(edit, x, layout.weights, strides, bias)
        edit.replace_uses(layout.output, made)


def _cost(layout: Layout) -> choice.Cost:
    """Of the ConvTranspose: each element of its input meets one kernel per map; and of what writes the taps."""
    read, taps = math.prod(layout.dims), math.prod(layout.weights.shape[1:])
    written = read // layout.weights.shape[0] * taps
    stored = layout.weights.size + (0 if layout.bias is None else layout.bias.size)
    if layout.parts == 1:
        cost = choice.Cost(read * taps, read + written, stored, 1)
        if layout.taps is None:
            return cost
        window, source = math.prod(layout.taps.kernel), math.prod(view.shape(layout.x) or ())
        return cost + choice.Cost(read * window, source + read, layout.dims[1] * window, 1)
    # Each part is cut out and put back, besides.
    layers = 2 * layout.parts + 1
    return choice.Cost(read * taps // layout.parts, 3 * (read + written), stored // layout.parts, layers)


def _parts(context: Context, plain: Layout) -> tuple[int, ...]:
    """Into how many parts the channels can be sliced."""
    if spatial.crop_form(context, plain.x, (1, 0), (0, 0)) != "slice":
        return ()
    return tuple(n for n in (2, 4, 8) if plain.weights.shape[1] % n == 0)


def _taken(context: Context, layout: Layout) -> bool:
    if layout.taps is not None and not gathering.takes(context, layout.x, layout.taps):
        return False
    n, channels, height, width = layout.dims
    part = spatial.like(layout.x, (n, channels // layout.parts, height, width))
    block = (layout.weights.shape[2], layout.weights.shape[3])
    return deconv.takes(context, part, layout.weights.shape[1] // layout.parts, block, block)


def _pointwise(node: Node | None) -> spatial.Values | None:
    """[out, in] weights of a plain 1x1 Conv, else None."""
    if node is None or not view.is_op(node, "Conv"):
        return None
    window, weights = view.window(node), view.constant_value(view.input_at(node, 1))
    if window is None or weights is None or window.kernel != (1, 1) or window.strides != (1, 1):
        return None
    return weights[:, :, 0, 0] if window.group == 1 and not window.padded else None


def _with_maker(context: Context, plain: Layout) -> tuple[Node | None, Layout | None]:
    """The layout with the 1x1 Conv that makes its input, if nobody else reads that."""
    node = view.producer(plain.x)
    weights = _pointwise(node)
    if node is None or weights is None or len(plain.x.outputs) != 1 or context.model.is_pinned(plain.x):
        return None, None
    bias = view.constant_value(view.input_at(node, 2))
    if bias is None and view.input_at(node, 2) is not None:
        return None, None
    if bias is not None:
        bias = _of_maps(bias, _places(plain), plain.weights.shape[1])
        if bias is None:
            return None, None
    merged = np.einsum("pi,pmrc->imrc", weights.astype(np.float64), plain.weights)
    return node, Layout(node.inputs[0], merged, bias, plain.output)


def _with_taps(context: Context, plain: Layout) -> tuple[Node | None, Layout | None]:
    """The layout with the Conv that makes its input, over that Conv's taps, if nobody else reads that."""
    node = view.producer(plain.x)
    conv = None if node is None else convolve.read(node)
    if node is None or conv is None or len(plain.x.outputs) != 1 or context.model.is_pinned(plain.x):
        return None, None
    window, bias = conv.window, view.constant_value(conv.bias)
    pairs = (window.kernel, window.strides, window.dilations, window.begin, window.end)
    kernel, strides, dilations, begin, end = ((p[0], p[1]) for p in pairs)
    if window.group > 1 or kernel == (1, 1) or (bias is None and conv.bias is not None):
        return None, None
    places, block = _places(plain), (plain.weights.shape[2], plain.weights.shape[3])
    common = None if bias is None else _of_maps(bias, places, plain.weights.shape[1])
    of_taps = bias if common is None else None
    taps = gathering.Taps(kernel, strides, dilations, begin, end, ones=of_taps is not None)
    merged = gathering.products(conv.values(), places, block, of_taps)
    return node, Layout(conv.x, merged, common, plain.output, taps=taps)


def _places(plain: Layout) -> spatial.Values:
    """Where in [maps, b, b], counted through, each channel is laid out."""
    places: spatial.Values = plain.weights.reshape(len(plain.weights), -1).argmax(axis=1)
    return places


def _of_maps(bias: spatial.Values, places: spatial.Values, maps: int) -> spatial.Values | None:
    """The bias of each map, or None where it depends on row and column."""
    laid: spatial.Values = bias[np.argsort(places)].reshape(maps, -1)
    return laid[:, 0] if (laid == laid[:, :1]).all() else None


def _with_reader(context: Context, plain: Layout) -> tuple[Node | None, Layout | None]:
    """The layout with the 1x1 Conv that reads its output, if nobody else does."""
    readers = view.consumers(plain.output)
    if len(readers) != 1 or len(plain.output.outputs) != 1 or context.model.is_pinned(plain.output):
        return None, None
    node = readers[0]
    weights, bias = _pointwise(node), view.constant_value(view.input_at(node, 2))
    if weights is None or node.inputs[0] is not plain.output or (bias is None and view.input_at(node, 2) is not None):
        return None, None
    merged = np.einsum("pmrc,om->porc", plain.weights, weights.astype(np.float64))
    return node, Layout(plain.x, merged, bias, node.outputs[0])

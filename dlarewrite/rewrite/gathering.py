"""A Conv and a depth-to-space behind it as one ConvTranspose with kernel = stride, over x with its taps in channels.

A ConvTranspose whose kernel is its stride is a product at each position, laid out as a block; it sees one position of
its input only. So a depthwise one-hot Conv first writes what a window sees into channels, channel c's taps side by
side. Per position of C channels, a window of T taps and P maps laid out in blocks: C T^2 MACs for the taps and C T P
for the products, where a Conv with a one-hot ConvTranspose has C T P and P^2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir import view
from dlarewrite.ir.editor import Editor
from dlarewrite.rewrite.context import Context
from dlarewrite.rewrite.spatial import Pair, Values
from dlarewrite.target import Precision


@dataclass(frozen=True)
class Taps:
    """[N, C, H, W] -> [N, C * per, H', W']: channel ``c * per + t`` is what tap t of a Conv's window sees of channel c.

    With ``ones`` each channel has a last tap that is 1 everywhere, where a bias of each map finds its factor.
    """

    kernel: Pair
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    begin: Pair = (0, 0)
    end: Pair = (0, 0)
    ones: bool = False

    @property
    def per(self) -> int:
        """Channels made of one."""
        return math.prod(self.kernel) + int(self.ones)

    def out(self, dims: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that is made of ``dims``."""
        sizes = (
            (n + b + e - (k - 1) * d - 1) // s + 1
            for n, b, e, k, d, s in zip(
                dims[2:], self.begin, self.end, self.kernel, self.dilations, self.strides, strict=True
            )
        )
        return (dims[0], dims[1] * self.per, *sizes)

    def attributes(self, channels: int) -> dict[str, Any]:
        return {
            "kernel_shape": list(self.kernel),
            "strides": list(self.strides),
            "pads": [*self.begin, *self.end],
            "dilations": list(self.dilations),
            "group": channels,
        }


def takes(context: Context, x: gs.Tensor, taps: Taps) -> bool:
    """Whether the target takes the depthwise Conv; in an INT8 build not with ``ones``.

    A tensor has one scale, and so have the weights of a map: taps that are 1 among small ones, and a bias among small
    weights, would leave those few of the 8 bits.
    """
    dims = view.shape(x)
    if dims is None or len(dims) != 4 or (taps.ones and context.target.precision is Precision.INT8):
        return False
    nothing = np.broadcast_to(np.zeros((), view.dtype(x) or np.float32), (dims[1] * taps.per, 1, *taps.kernel))
    return context.allows("Conv", [x, gs.Constant("w", nothing)], taps.attributes(dims[1]))


def gather(edit: Editor, x: gs.Tensor, taps: Taps) -> gs.Variable:
    """Emit the depthwise Conv over x."""
    channels, count, kind = int(x.shape[1]), math.prod(taps.kernel), view.dtype(x) or np.dtype(np.float32)
    one = np.zeros((taps.per, count), dtype=kind)
    one[:count] = np.eye(count, dtype=kind)
    weights = np.tile(one, (channels, 1)).reshape(-1, 1, *taps.kernel)
    inputs: list[gs.Tensor | None] = [x, edit.constant(weights, "taps")]
    if taps.ones:
        last = np.zeros((channels, taps.per), dtype=kind)
        last[:, -1] = 1
        inputs.append(edit.constant(last.reshape(-1), "ones"))
    return edit.op("Conv", inputs, taps.attributes(channels))


def products(weights: Values, places: Values, block: Pair, bias: Values | None = None) -> Values:
    """[C * per, maps, bh, bw] weights of the ConvTranspose over the taps.

    ``weights`` are the Conv's [P, C, kh, kw]; ``places`` [P] are where in [maps, bh, bw], counted through, each of its
    maps is laid out; ``bias`` is [P], for taps with ``ones``.
    """
    channels, count = weights.shape[1], math.prod(weights.shape[2:])
    found = np.zeros((channels, count + int(bias is not None), len(places)), dtype=weights.dtype)
    found[:, :count, places] = weights.reshape(len(places), channels, count).transpose(1, 2, 0)
    if bias is not None:
        found[0, count, places] = bias
    return found.reshape(channels * found.shape[1], -1, *block)

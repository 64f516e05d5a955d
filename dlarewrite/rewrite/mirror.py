"""Padding by mirrored or repeated elements, in convolutions, products and sums.

Along one axis with p elements before and q after, element i outside the border is a copy of an element 2 i (reflect)
or i (edge) further inside. A depthwise convolution with two taps fetches that element from either side for every
position at once, and a mask keeps it where it belongs. The mask comes from a tensor of ones and the zeros that
convolutions pad with, so that nothing of the tensor's size has to be stored.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import Array, dtype, shape
from dlarewrite.rewrite import convolve, forms

MODES = {"reflect": 2, "edge": 1}
"""How many elements apart a border element and its source are, per element outside the border."""

WIDEST = {"reflect": 7, "edge": 15}
"""Elements on one side: beyond, the kernel of two taps would have more than 32."""


def mirrored(edit: Editor, x: gs.Tensor, pads: Sequence[int], mode: str) -> gs.Tensor:
    """x with ``pads`` (top, bottom, left, right) elements around it in mode "reflect" or "edge"; exact for finite x."""
    for where, (before, after) in ((2, pads[:2]), (3, pads[2:])):
        if before or after:
            x = _along(edit, x, where, before, after, MODES[mode])
    return x


def _along(edit: Editor, x: gs.Tensor, where: int, before: int, after: int, apart: int) -> gs.Tensor:
    zeros = (before, after, 0, 0) if where == 2 else (0, 0, before, after)
    base = convolve.shifted(edit, x, zeros)
    ones = _ones(edit, base)
    total = base
    for i in range(1, max(before, after) + 1):
        reach = apart * i
        fetched = _filtered(edit, base, where, {-reach: 1, reach: 1})
        mask = _filtered(edit, ones, where, _edge_taps(before - i, after - i))
        total = edit.op("Add", [total, edit.op("Mul", [fetched, mask])])
    return total


def _edge_taps(left: int, right: int) -> dict[int, int]:
    """Taps on a tensor of ones that give one at position ``left`` and at ``right`` from the end, else zero.

    One minus its neighbour further out is one only at the first element; negative positions are outside.
    """
    taps: dict[int, int] = {}
    for offset, sign in ((-left, -1), (right, 1)):
        if abs(offset) != offset * sign and offset:
            continue
        taps[offset] = taps.get(offset, 0) + 1
        taps[offset + sign] = taps.get(offset + sign, 0) - 1
    return taps


def _filtered(edit: Editor, x: gs.Tensor, where: int, taps: dict[int, int]) -> gs.Tensor:
    """The same size, each element the sum of the elements at the offsets, zeros outside."""
    reach = max(abs(offset) for offset in taps)
    kernel: Array = np.zeros(2 * reach + 1)
    for offset, weight in taps.items():
        kernel[reach + offset] = weight
    pads = (reach, 0, reach, 0) if where == 2 else (0, reach, 0, reach)
    return forms.depthwise(edit, x, kernel.reshape(-1, 1) if where == 2 else kernel.reshape(1, -1), pads=pads)


def _ones(edit: Editor, x: gs.Tensor) -> gs.Tensor:
    """Ones of x's shape: a depthwise Conv of zeros with a bias of one."""
    channels = (shape(x) or (1, 1))[1]
    kind = dtype(x) or np.dtype(np.float32)
    bias = edit.constant(np.ones(channels, kind), "ones")
    return convolve.convolve(edit, x, np.zeros((channels, 1, 1, 1), kind), bias, hint="", group=channels, name="zeros")

"""The windows of a pool node: how many, where they start, and what an average counts in each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir import view
from dlarewrite.rewrite.pooling import Axis


def axes(node: gs.Node) -> tuple[Axis, ...] | None:
    """The windows of a MaxPool or AveragePool per spatial axis, pads and ceil_mode resolved; None without shapes.

    The end of an axis is what its windows need, which is more than the node's pads where ceil_mode hangs one over.
    None as well where the node's output has another shape: before opset 22, ONNX's inference counts in ceil_mode a
    window that starts behind the data, which no runtime has.
    """
    window, dims = view.window(node), view.shape(view.input_at(node, 0))
    if window is None or dims is None or len(dims) != len(window.kernel) + 2 or 0 in dims:
        return None
    found = []
    for i, size in enumerate(dims[2:]):
        reach = (window.kernel[i] - 1) * window.dilations[i] + 1
        begin, end = window.begin[i], window.end[i]
        count = _count(size, reach, window.strides[i], begin, end, window.ceil_mode)
        if count < 1 or min(begin, end) < 0:
            return None
        found.append(Axis(size, window.kernel[i], window.strides[i], begin, count))
    out = view.shape(view.output_at(node, 0))
    return tuple(found) if out is None or out[2:] == tuple(a.count for a in found) else None


def _count(size: int, reach: int, stride: int, begin: int, end: int, ceil_mode: bool) -> int:
    """How many windows fit; in ceil_mode one may hang over, unless it would start behind the data."""
    span = size + begin + end - reach
    if not ceil_mode:
        return span // stride + 1
    count = -(-span // stride) + 1
    return count - 1 if (count - 1) * stride >= size + begin else count


def is_dilated(node: gs.Node) -> bool:
    """Whether the node's window has holes."""
    return any(d != 1 for d in view.ints(node, "dilations"))


def correction(node: gs.Node, found: Sequence[Axis]) -> view.Array | None:
    """What turns averages that count every zero into those of ``node``, one factor a window; None where all are 1.

    ``node`` is an AveragePool: it counts its pads only with count_include_pad, and never what ceil_mode hangs over.
    """
    window = view.window(node)
    if window is None:
        return None
    inclusive = bool(view.attr(node, "count_include_pad", 0))
    factor = np.ones((), dtype=np.float64)
    for axis, end in zip(found, window.end, strict=True):
        starts = np.arange(axis.count) * axis.stride - axis.begin
        stops = np.minimum(starts + axis.kernel, axis.size + (end if inclusive else 0))
        counted = stops - (starts if inclusive else np.maximum(starts, 0))
        factor = np.multiply.outer(factor, axis.kernel / counted)
    return None if np.all(factor == 1.0) else factor

"""The tail of a YOLO export that decodes in the graph: raw maps to boxes in pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.builder import Net

__all__ = ["ANCHORS", "decode"]

ANCHORS = (((12, 14), (18, 32), (34, 24)), ((32, 60), (60, 48), (58, 118)), ((116, 92), (156, 200), (370, 326)))
"""Width and height in pixels of three anchors per level, for strides 8, 16 and 32."""


def decode(net: Net, maps: Sequence[str], size: tuple[int, int], classes: int) -> str:
    """Maps [1, 3 * (5 + classes), H, W] to [1, boxes, 5 + classes]: centre x, y, width, height, objectness, classes."""
    rows = [
        _level(net, x, anchors, size[0] // net.shape(x)[2], classes) for x, anchors in zip(maps, ANCHORS, strict=True)
    ]
    return net.concat(*rows, axis=1)


def _level(net: Net, x: str, anchors: Sequence[tuple[int, int]], stride: int, classes: int) -> str:
    batch, _, height, width = net.shape(x)
    fields = 5 + classes
    x = net.reshape(x, batch, len(anchors), fields, height, width)
    y = net.op("Sigmoid", net.transpose(x, 0, 1, 3, 4, 2))
    centre, extent, scores = (
        net.op("Slice", y, net.ints(first), net.ints(last), net.ints(4), net.ints(1))
        for first, last in ((0, 2), (2, 4), (4, fields))
    )
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    # Half a cell is taken off here, where PyTorch folds it into the grid.
    grid = (np.stack((columns, rows), axis=-1)[None, None] - 0.5).astype(np.float32)
    centre = net.op("Add", net.op("Mul", centre, net.scalar(2.0)), net.constant(grid))
    centre = net.op("Mul", centre, net.scalar(float(stride)))
    extent = net.op("Pow", net.op("Mul", extent, net.scalar(2.0)), net.scalar(2.0))
    sides = np.asarray(anchors, dtype=np.float32).reshape(1, len(anchors), 1, 1, 2)
    extent = net.op("Mul", extent, net.constant(sides))
    return net.reshape(net.concat(centre, extent, scores, axis=-1), batch, -1, fields)

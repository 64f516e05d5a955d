"""A long synthetic graph of tiny tensors, of exactly N nodes, for measuring how the compiler scales.

Cells of Conv, BatchNormalization, Relu, Add, MaxPool 13x13, HardSwish, Resize by sizes and Identity follow one another
in a seeded order. Each cell adds the graph's input again, so that the last node still depends on it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import onnx

from models.builder import Net, start
from models.entry import common_options, write

__all__ = ["CHANNELS", "build"]

CHANNELS = 4
GAIN = 0.6
"""Below 1: every cell contracts what came before, so that no depth makes activations explode."""


def build(nodes: int = 20_000, size: tuple[int, int] = (8, 8), seed: int = 0, opset: int = 17) -> onnx.ModelProto:
    """Input ``input`` [1, 4, H, W] and ``output`` of the same shape, exactly ``nodes`` nodes.

    Raises ValueError when ``nodes`` is not positive or opset 13 or older is asked for (no HardSwish).
    """
    if nodes < 1:
        raise ValueError(f"nodes must be positive, got {nodes}")
    if opset < 14:
        raise ValueError(f"HardSwish needs opset 14 or newer, got {opset}")
    net, (source,) = start(opset, seed, input=(1, CHANNELS, *size))
    x, index = source, 0
    while True:
        cell, length = CELLS[net.graph.weights.choice(len(CELLS))]
        if len(net.graph.nodes) + length > nodes:
            break
        place = net.at(f"cells.{index}")
        x = place.op("Add", cell(place, x), source)
        index += 1
    while len(net.graph.nodes) < nodes:
        x = net.at("tail").op("Identity", x)
    net.output(x, "output")
    return net.graph.model()


def _normalised(net: Net, x: str) -> str:
    x = net.at("conv").conv(x, CHANNELS, bias=False, gain=GAIN)
    return net.at("act").relu(net.at("norm").batch_norm(x))


def _context(net: Net, x: str) -> str:
    pooled = net.at("pool").max_pool(net.op("Identity", x), 13, 1, 6)
    return net.at("act").hard_swish(net.at("conv").conv(pooled, CHANNELS, 1, gain=GAIN))


def _resampled(net: Net, x: str) -> str:
    """Twice the size and back by a strided convolution; the sizes are an initializer."""
    height, width = net.shape(x)[2:]
    sizes = net.parameter("sizes", np.asarray((1, CHANNELS, 2 * height, 2 * width), dtype=np.int64))
    up = net.at("up").resize(x, sizes=sizes, coordinates="asymmetric")
    return net.op("Identity", net.at("down").conv(up, CHANNELS, 2, 2, 0, gain=GAIN))


def _residual(net: Net, x: str) -> str:
    y = net.at("conv2").conv(net.at("act").relu(net.at("conv1").conv(x, CHANNELS)), CHANNELS, 1, gain=GAIN / 2)
    return net.op("Add", y, net.at("scale").batch_norm(net.at("shrink").conv(x, CHANNELS, 1, gain=GAIN / 2)))


CELLS: tuple[tuple[Callable[[Net, str], str], int], ...] = (
    (_normalised, 4),
    (_context, 5),
    (_resampled, 4),
    (_residual, 7),
)
"""Cells and the nodes that each adds, with the Add behind it."""


@click.command(help=__doc__)
@common_options(size="8")
@click.option("--nodes", type=click.IntRange(1), default=20_000, show_default=True)
def main(out: Path, **options: object) -> None:
    write(out, build, **options)


if __name__ == "__main__":
    main()

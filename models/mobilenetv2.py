"""MobileNetV2 (Sandler et al., 2018): inverted residuals, Relu6 as Clip(0, 6), GlobalAveragePool, Gemm."""

from __future__ import annotations

from pathlib import Path

import click
import onnx

from models.builder import Net, start
from models.entry import common_options, write

__all__ = ["build"]

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks, stride: table 2 of the paper."""


def scaled(channels: int, width: float) -> int:
    """``channels * width``, rounded to a multiple of 8 and never below 8."""
    return max(8, int(channels * width + 4) // 8 * 8)


def build(
    size: tuple[int, int] = (224, 224), width: float = 0.5, classes: int = 1000, seed: int = 0, opset: int = 17
) -> onnx.ModelProto:
    """Input ``input`` [1, 3, H, W], output ``logits`` [1, classes].

    ``width`` multiplies the channels: 1 in the paper.
    """
    net, (x,) = start(opset, seed, input=(1, 3, *size))
    features = net.at("features")
    x = _conv_relu6(features.child(0), x, scaled(32, width), 3, 2)
    index = 1
    for expansion, channels, blocks, stride in STAGES:
        for block in range(blocks):
            place = features.child(index).at("conv")
            x = _inverted_residual(place, x, scaled(channels, width), expansion, 1 if block else stride)
            index += 1
    x = _conv_relu6(features.child(index), x, scaled(1280, max(width, 1.0)), 1, 1)
    x = net.op("GlobalAveragePool", x)
    net.output(net.at("classifier").child(1).linear(net.flatten(x), classes), "logits")
    return net.graph.model()


def _conv_relu6(net: Net, x: str, maps: int, kernel: int, stride: int, groups: int = 1) -> str:
    return net.child(2).clip(net.child(0).conv(x, maps, kernel, stride, groups=groups, fused=True), 0.0, 6.0)


def _inverted_residual(net: Net, x: str, maps: int, expansion: int, stride: int) -> str:
    channels = net.shape(x)[1]
    hidden = channels * expansion
    y = x if expansion == 1 else _conv_relu6(net.child(0), x, hidden, 1, 1)
    first = 0 if expansion == 1 else 1
    y = _conv_relu6(net.child(first), y, hidden, 3, stride, groups=hidden)
    residual = stride == 1 and channels == maps
    y = net.child(first + 1).conv(y, maps, 1, fused=True, gain=0.7 if residual else 1.4)
    return Net(net.graph, net.path[:-1]).op("Add", x, y) if residual else y


@click.command(help=__doc__)
@common_options(size="224")
@click.option("--width", type=float, default=0.5, show_default=True, help="Multiplier of the channels.")
@click.option("--classes", type=click.IntRange(1), default=1000, show_default=True)
def main(out: Path, **options: object) -> None:
    write(out, build, **options)


if __name__ == "__main__":
    main()

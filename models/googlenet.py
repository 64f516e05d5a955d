"""GoogLeNet (Szegedy et al., 2014) as its Caffe release has it: LRN, nine inception blocks, one classifier."""

from __future__ import annotations

from pathlib import Path

import click
import onnx

from models.builder import Net, start
from models.entry import common_options, write

__all__ = ["build"]

INCEPTIONS = (
    ("3a", 64, 96, 128, 16, 32, 32),
    ("3b", 128, 128, 192, 32, 96, 64),
    ("4a", 192, 96, 208, 16, 48, 64),
    ("4b", 160, 112, 224, 24, 64, 64),
    ("4c", 128, 128, 256, 24, 64, 64),
    ("4d", 112, 144, 288, 32, 64, 64),
    ("4e", 256, 160, 320, 32, 128, 128),
    ("5a", 256, 160, 320, 32, 128, 128),
    ("5b", 384, 192, 384, 48, 128, 128),
)
"""Name; 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; pool projection: table 1 of the paper."""

POOLED = ("3b", "4e")


def build(
    size: tuple[int, int] = (224, 224),
    width: float = 0.25,
    classes: int = 1000,
    seed: int | None = 0,
    opset: int = 17,
) -> onnx.ModelProto:
    """Input ``data`` [1, 3, H, W], output ``prob`` [1, classes]; ``width`` multiplies the channels, 1 in the paper."""
    net, (x,) = start(opset, seed, data=(1, 3, *size))
    x = _conv(net.at("conv1"), x, width, 64, 7, 2)
    x = _norm(net.at("norm1"), net.at("pool1").max_pool(x, 3, 2, 1))
    x = _conv(net.at("conv2_3x3"), _conv(net.at("conv2_reduce"), x, width, 64, 1), width, 192, 3)
    x = net.at("pool2").max_pool(_norm(net.at("norm2"), x), 3, 2, 1)
    for name, *maps in INCEPTIONS:
        x = _inception(net.at(f"inception_{name}"), x, width, maps)
        if name in POOLED:
            x = net.at(f"pool_{name}").max_pool(x, 3, 2, 1)
    kernel = list(net.shape(x)[2:])
    x = net.at("pool5").op("AveragePool", x, kernel_shape=kernel, pads=[0] * 4, strides=[1, 1])
    x = net.at("classifier").linear(net.flatten(x), classes)
    net.output(net.op("Softmax", x, axis=1), "prob")
    return net.graph.model()


def _conv(net: Net, x: str, width: float, maps: int, kernel: int, stride: int = 1) -> str:
    return net.relu(net.conv(x, max(4, int(maps * width)), kernel, stride))


def _norm(net: Net, x: str) -> str:
    return net.op("LRN", x, size=5, alpha=1e-4, beta=0.75, bias=1.0)


def _inception(net: Net, x: str, width: float, maps: list[int]) -> str:
    one, reduce3, three, reduce5, five, projected = maps
    return net.concat(
        _conv(net.at("1x1"), x, width, one, 1),
        _conv(net.at("3x3"), _conv(net.at("3x3_reduce"), x, width, reduce3, 1), width, three, 3),
        _conv(net.at("5x5"), _conv(net.at("5x5_reduce"), x, width, reduce5, 1), width, five, 5),
        _conv(net.at("pool_proj"), net.at("pool").max_pool(x, 3, 1, 1), width, projected, 1),
    )


@click.command(help=__doc__)
@common_options(size="224")
@click.option("--width", type=float, default=0.25, show_default=True, help="Multiplier of the channels.")
@click.option("--classes", type=click.IntRange(2), default=1000, show_default=True)
def main(out: Path, **options: object) -> None:
    write(out, build, **options)


if __name__ == "__main__":
    main()

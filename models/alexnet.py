"""AlexNet (Krizhevsky et al., 2012) as its Caffe release has it: two groups, LRN, three fully connected layers."""

from __future__ import annotations

from pathlib import Path

import click
import onnx

from models.builder import Net, start
from models.entry import common_options, write

__all__ = ["build"]


def build(
    size: tuple[int, int] = (227, 227),
    width: float = 0.25,
    classes: int = 1000,
    seed: int | None = 0,
    opset: int = 17,
) -> onnx.ModelProto:
    """Input ``data`` [1, 3, H, W], output ``prob`` [1, classes]; ``width`` multiplies the channels, 1 in the paper."""
    net, (x,) = start(opset, seed, data=(1, 3, *size))

    def maps(channels: int) -> int:
        return max(4, int(channels * width) // 2 * 2)

    x = net.relu(net.at("conv1").conv(x, maps(96), 11, 4, 0))
    x = net.at("pool1").max_pool(_norm(net.at("norm1"), x), 3, 2)
    x = net.relu(net.at("conv2").conv(x, maps(256), 5, groups=2))
    x = net.at("pool2").max_pool(_norm(net.at("norm2"), x), 3, 2)
    x = net.relu(net.at("conv3").conv(x, maps(384), 3))
    x = net.relu(net.at("conv4").conv(x, maps(384), 3, groups=2))
    x = net.relu(net.at("conv5").conv(x, maps(256), 3, groups=2))
    x = net.flatten(net.at("pool5").max_pool(x, 3, 2))
    x = net.relu(net.at("fc6").linear(x, maps(4096), 1.4))
    x = net.relu(net.at("fc7").linear(x, maps(4096), 1.4))
    net.output(net.op("Softmax", net.at("fc8").linear(x, classes), axis=1), "prob")
    return net.graph.model()


def _norm(net: Net, x: str) -> str:
    return net.op("LRN", x, size=5, alpha=1e-4, beta=0.75, bias=1.0)


@click.command(help=__doc__)
@common_options(size="227")
@click.option("--width", type=float, default=0.25, show_default=True, help="Multiplier of the channels.")
@click.option("--classes", type=click.IntRange(2), default=1000, show_default=True)
def main(out: Path, **options: object) -> None:
    write(out, build, **options)


if __name__ == "__main__":
    main()

"""ResNet-50 v1.5 (He et al., 2015): bottleneck blocks, GlobalAveragePool, Flatten, Gemm."""

from __future__ import annotations

from pathlib import Path

import click
import onnx

from models.builder import Net, start
from models.entry import common_options, write

__all__ = ["build"]

LAYERS = (3, 4, 6, 3)
EXPANSION = 4


def build(
    size: tuple[int, int] = (224, 224), width: int = 16, classes: int = 1000, seed: int | None = 0, opset: int = 17
) -> onnx.ModelProto:
    """Input ``input`` [1, 3, H, W], output ``logits`` [1, classes].

    ``width`` is the stem's channels: 64 in the paper.
    """
    net, (x,) = start(opset, seed, input=(1, 3, *size))
    x = net.at("relu").relu(net.at("conv1").conv(x, width, 7, 2, fused=True))
    x = net.at("maxpool").max_pool(x, 3, 2, 1)
    for stage, blocks in enumerate(LAYERS):
        layer = net.at(f"layer{stage + 1}")
        for index in range(blocks):
            stride = 2 if stage and not index else 1
            x = _bottleneck(layer.child(index), x, width * 2**stage, stride)
    x = net.at("avgpool").op("GlobalAveragePool", x)
    net.output(net.at("fc").linear(net.flatten(x), classes), "logits")
    return net.graph.model()


def _bottleneck(net: Net, x: str, maps: int, stride: int) -> str:
    """1x1, 3x3 (strided), 1x1 and a shortcut; one Relu module is used three times, as its names tell."""
    relu = net.at("relu")
    y = relu.relu(net.at("conv1").conv(x, maps, 1, fused=True))
    y = relu.relu(net.at("conv2").conv(y, maps, 3, stride, fused=True))
    # A branch of half the scale keeps the sum of many blocks from growing.
    y = net.at("conv3").conv(y, maps * EXPANSION, 1, fused=True, gain=0.5)
    if stride != 1 or net.shape(x)[1] != maps * EXPANSION:
        x = net.at("downsample").child(0).conv(x, maps * EXPANSION, 1, stride, fused=True, gain=1.0)
    return relu.relu(net.op("Add", y, x))


@click.command(help=__doc__)
@common_options(size="224")
@click.option(
    "--width", type=click.IntRange(1), default=16, show_default=True, help="Channels of the stem; 64 is ResNet-50."
)
@click.option("--classes", type=click.IntRange(1), default=1000, show_default=True)
def main(out: Path, **options: object) -> None:
    write(out, build, **options)


if __name__ == "__main__":
    main()

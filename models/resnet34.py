"""ResNet-34 (He et al., 2015) without its classifier: basic blocks, as detectors use it for a trunk."""

from __future__ import annotations

from pathlib import Path

import click
import onnx

from models.builder import Net, start
from models.entry import common_options, write

__all__ = ["build", "stem", "trunk"]

BLOCKS = (3, 4, 6, 3)


def stem(net: Net, x: str, width: int) -> str:
    """7x7 convolution and max pool, both of stride 2."""
    x = net.at("relu").relu(net.at("conv1").conv(x, width, 7, 2, fused=True))
    return net.at("maxpool").max_pool(x, 3, 2, 1)


def trunk(net: Net, x: str, width: int, strides: tuple[int, ...] = (1, 2, 2, 2)) -> tuple[str, ...]:
    """The features behind each of the ``len(strides)`` stages, from the image ``x``."""
    x = stem(net, x, width)
    features = []
    for stage, stride in enumerate(strides):
        layer = net.at(f"layer{stage + 1}")
        for index in range(BLOCKS[stage]):
            x = _basic(layer.child(index), x, width * 2**stage, 1 if index else stride)
        features.append(x)
    return tuple(features)


def _basic(net: Net, x: str, maps: int, stride: int) -> str:
    """Two 3x3 convolutions, the first strided, and a shortcut."""
    relu = net.at("relu")
    y = relu.relu(net.at("conv1").conv(x, maps, 3, stride, fused=True))
    # A branch of half the scale keeps the sum of many blocks from growing.
    y = net.at("conv2").conv(y, maps, 3, fused=True, gain=0.5)
    if stride != 1 or net.shape(x)[1] != maps:
        x = net.at("downsample").child(0).conv(x, maps, 1, stride, fused=True, gain=1.0)
    return relu.relu(net.op("Add", y, x))


def build(
    size: tuple[int, int] = (224, 224), width: int = 16, seed: int | None = 0, opset: int = 17
) -> onnx.ModelProto:
    """Input ``input`` [1, 3, H, W], output ``features`` [1, 8 * width, H/32, W/32]; ``width`` is 64 in the paper."""
    net, (x,) = start(opset, seed, input=(1, 3, *size))
    net.output(trunk(net, x, width)[-1], "features")
    return net.graph.model()


@click.command(help=__doc__)
@common_options(size="224")
@click.option(
    "--width", type=click.IntRange(1), default=16, show_default=True, help="Channels of the stem; 64 is ResNet-34."
)
def main(out: Path, **options: object) -> None:
    write(out, build, **options)


if __name__ == "__main__":
    main()

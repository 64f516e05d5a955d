"""RetinaNet (Lin et al., 2017): a residual trunk, a feature pyramid over five levels, two heads of four convolutions.

Every level has heads of its own weights; theirs are shared in the paper, which takes the same time. Heads are
raw maps: scores [1, anchors * classes, H, W] and boxes
[1, anchors * 4, H, W] at strides 8 to 128.
"""

from __future__ import annotations

from pathlib import Path

import click
import onnx

from models.builder import Net, start
from models.entry import common_options, write
from models.resnet34 import stem
from models.resnet34 import trunk as resnet34

__all__ = ["TRUNKS", "build"]

TRUNKS = ("resnet34", "resnext50")
GROUPS = 32
RESNEXT_BLOCKS = (3, 4, 6, 3)


def build(
    size: tuple[int, int] = (256, 256),
    trunk: str = "resnet34",
    width: int = 16,
    classes: int = 80,
    anchors: int = 9,
    seed: int | None = 0,
    opset: int = 17,
) -> onnx.ModelProto:
    """Input ``images`` [1, 3, H, W]; outputs ``scores_3`` … ``scores_7`` and ``boxes_3`` … ``boxes_7``.

    ``width`` is the stem's channels, a quarter of the pyramid's: 64 in the paper. The trunk ``resnext50`` is the 32x4d
    one, whose width must be a multiple of 16. Raises ValueError for an unknown trunk or a width or size that does not
    divide.
    """
    if trunk not in TRUNKS:
        raise ValueError(f"trunk must be one of {', '.join(TRUNKS)}, got {trunk}")
    if trunk == "resnext50" and width % 16:
        raise ValueError(f"the width of resnext50 must be a multiple of 16, got {width}")
    if size[0] % 32 or size[1] % 32:
        raise ValueError(f"height and width must be multiples of 32, got {size[0]}x{size[1]}")
    net, (x,) = start(opset, seed, images=(1, 3, *size))
    make = resnet34 if trunk == "resnet34" else _resnext50
    levels = _pyramid(net.at("fpn"), make(net.at("backbone"), x, width)[1:], width * 4)
    for name, maps in (("scores", anchors * classes), ("boxes", anchors * 4)):
        for level, x in enumerate(levels, start=3):
            net.output(_head(net.at(name), x, width * 4, maps), f"{name}_{level}")
    return net.graph.model()


def _resnext50(net: Net, x: str, width: int) -> tuple[str, ...]:
    """Bottlenecks whose 3x3 has 32 groups of ``width / 16`` channels in the first stage."""
    x = stem(net, x, width)
    features = []
    for stage, blocks in enumerate(RESNEXT_BLOCKS):
        layer = net.at(f"layer{stage + 1}")
        for index in range(blocks):
            x = _grouped(layer.child(index), x, width * 2 ** (stage + 1), 2 if stage and not index else 1)
        features.append(x)
    return tuple(features)


def _grouped(net: Net, x: str, maps: int, stride: int) -> str:
    relu = net.at("relu")
    y = relu.relu(net.at("conv1").conv(x, maps, 1, fused=True))
    y = relu.relu(net.at("conv2").conv(y, maps, 3, stride, groups=GROUPS, fused=True))
    y = net.at("conv3").conv(y, maps * 2, 1, fused=True, gain=0.5)
    if stride != 1 or net.shape(x)[1] != maps * 2:
        x = net.at("downsample").child(0).conv(x, maps * 2, 1, stride, fused=True, gain=1.0)
    return relu.relu(net.op("Add", y, x))


def _pyramid(net: Net, features: tuple[str, ...], maps: int) -> list[str]:
    """Lateral 1x1, nearest Resize downwards, a 3x3 per level, and two more levels of stride 2."""
    lateral = [net.at("inner_blocks").child(i).conv(x, maps, 1, gain=1.0) for i, x in enumerate(features)]
    for i in (1, 0):
        above, here = net.shape(lateral[i + 1])[2:], net.shape(lateral[i])[2:]
        if (above[0] * 2, above[1] * 2) != here:
            raise ValueError(f"height and width must be multiples of 32: level {i + 3} is {here} below {above}")
        up = net.resize(lateral[i + 1], scale=2, coordinates="asymmetric")
        lateral[i] = net.op("Add", lateral[i], up)
    levels = [net.at("layer_blocks").child(i).conv(x, maps, 3, gain=1.0) for i, x in enumerate(lateral)]
    p6 = net.at("p6").conv(levels[-1], maps, 3, 2, gain=1.0)
    return [*levels, p6, net.at("p7").conv(net.relu(p6), maps, 3, 2)]


def _head(net: Net, x: str, hidden: int, maps: int) -> str:
    for index in range(4):
        x = net.at("conv").child(index).conv(x, hidden, 3)
        x = net.relu(x)
    return net.at("predictor").conv(x, maps, 3, gain=1.0)


@click.command(help=__doc__)
@common_options(size="256")
@click.option("--trunk", type=click.Choice(TRUNKS), default="resnet34", show_default=True)
@click.option(
    "--width", type=click.IntRange(1), default=16, show_default=True, help="Channels of the stem; 64 in the paper."
)
@click.option("--classes", type=click.IntRange(1), default=80, show_default=True)
@click.option("--anchors", type=click.IntRange(1), default=9, show_default=True, help="Boxes per position.")
def main(out: Path, **options: object) -> None:
    write(out, build, **options)


if __name__ == "__main__":
    main()

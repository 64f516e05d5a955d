"""U-Net (Ronneberger et al., 2015) with padded convolutions and a Sigmoid mask.

\b
Forms: how the decoder goes up by two.
  padded-deconv  3x3 stride-2 deconvolution with pads 1 and output_padding 1
  stride-kernel  2x2 stride-2 deconvolution
  bilinear       linear Resize, half_pixel, to the sizes of the skipped map by a Shape chain
  align-corners  linear Resize by 2, align_corners
"""

from __future__ import annotations

from pathlib import Path

import click
import onnx

from models.builder import Net, start
from models.entry import common_options, write
from models.legacy import interpolate_like

__all__ = ["FORMS", "build"]

FORMS = ("padded-deconv", "stride-kernel", "bilinear", "align-corners")


def build(
    form: str = "padded-deconv",
    size: tuple[int, int] = (256, 256),
    width: int = 16,
    depth: int = 4,
    classes: int = 1,
    seed: int = 0,
    opset: int = 17,
) -> onnx.ModelProto:
    """Input ``input`` [1, 3, H, W], output ``mask`` [1, classes, H, W] in (0, 1).

    ``width`` is the first level's channels (64 in the paper). Raises ValueError for an unknown form and for a size that
    2**depth does not divide.
    """
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, got {form}")
    if size[0] % 2**depth or size[1] % 2**depth:
        raise ValueError(f"height and width must be multiples of {2**depth}, got {size[0]}x{size[1]}")
    net, (x,) = start(opset, seed, input=(1, 3, *size))
    x = _double_conv(net.at("inc"), x, width)
    skips = []
    for level in range(depth):
        skips.append(x)
        down = net.at(f"down{level + 1}", "maxpool_conv")
        x = _double_conv(down.child(1), down.child(0).max_pool(x, 2, 2), width * 2 ** (level + 1))
    for level in reversed(range(depth)):
        place, maps = net.at(f"up{depth - level}"), width * 2**level
        x = _upsample(place.at("up"), x, skips[level], maps, form)
        x = _double_conv(place.at("conv"), place.concat(skips[level], x), maps)
    x = net.at("outc", "conv").conv(x, classes, 1, gain=1.0)
    net.output(net.op("Sigmoid", x), "mask")
    return net.graph.model()


def _double_conv(net: Net, x: str, maps: int) -> str:
    place = net.at("double_conv")
    x = place.child(2).relu(place.child(0).conv(x, maps, fused=True))
    return place.child(5).relu(place.child(3).conv(x, maps, fused=True))


def _upsample(net: Net, x: str, skip: str, maps: int, form: str) -> str:
    """Twice the height and width, ``maps`` channels."""
    if form == "padded-deconv":
        return net.deconv(x, maps, 3, 2, 1, 1, bias=True, gain=1.0)
    if form == "stride-kernel":
        return net.deconv(x, maps, 2, 2, bias=True, gain=1.0)
    x = net.child(0).conv(x, maps, 1, gain=1.0)
    if form == "bilinear":
        return interpolate_like(net.child(1), x, skip, mode="linear", coordinates="half_pixel")
    return net.child(1).resize(x, scale=2, mode="linear", coordinates="align_corners")


@click.command(help=__doc__)
@common_options(size="256")
@click.option("--form", type=click.Choice(FORMS), default="padded-deconv", show_default=True)
@click.option("--width", type=click.IntRange(1), default=16, show_default=True, help="Channels of the first level.")
@click.option("--depth", type=click.IntRange(1, 6), default=4, show_default=True, help="Times the size is halved.")
@click.option("--classes", type=click.IntRange(1), default=1, show_default=True)
def main(out: Path, **options: object) -> None:
    write(out, build, **options)


if __name__ == "__main__":
    main()

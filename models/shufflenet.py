"""ShuffleNetV2 (Ma et al., 2018): channel split, depthwise convolutions, channel shuffle, mean over H and W, Gemm.

\b
Forms: how the exporter wrote x.chunk(2, dim=1).
  split  one Split node
  slice  two Slices whose bounds are computed from the shape
"""

from __future__ import annotations

from pathlib import Path

import click
import onnx

from models.builder import Net, start
from models.entry import common_options, write
from models.legacy import chunk, reduce_axes

__all__ = ["FORMS", "WIDTHS", "build"]

FORMS = ("split", "slice")
WIDTHS = {"0.5": (48, 96, 192, 1024), "1.0": (116, 232, 464, 1024), "1.5": (176, 352, 704, 1024)}
"""Channels of the three stages and of the last convolution: table 5 of the paper."""
REPEATS = (4, 8, 4)


def build(
    form: str = "split",
    size: tuple[int, int] = (224, 224),
    width: str = "0.5",
    classes: int = 1000,
    seed: int = 0,
    opset: int = 17,
) -> onnx.ModelProto:
    """Input ``input`` [1, 3, H, W], output ``logits`` [1, classes]. Raises ValueError for an unknown form or width."""
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, got {form}")
    if width not in WIDTHS:
        raise ValueError(f"width must be one of {', '.join(WIDTHS)}, got {width}")
    net, (x,) = start(opset, seed, input=(1, 3, *size))
    x = net.at("maxpool").max_pool(_conv_relu(net.at("conv1"), x, 24, 3, 2), 3, 2, 1)
    *stages, last = WIDTHS[width]
    for number, (maps, repeats) in enumerate(zip(stages, REPEATS, strict=True), start=2):
        for index in range(repeats):
            x = _unit(net.at(f"stage{number}").child(index), x, maps, form, downsample=index == 0)
    x = _conv_relu(net.at("conv5"), x, last, 1, 1)
    net.output(net.at("fc").linear(reduce_axes(net, "ReduceMean", x, 2, 3, keepdims=False), classes), "logits")
    return net.graph.model()


def _conv_relu(net: Net, x: str, maps: int, kernel: int, stride: int) -> str:
    return net.child(2).relu(net.child(0).conv(x, maps, kernel, stride, fused=True))


def _depthwise(net: Net, x: str, stride: int) -> str:
    maps = net.shape(x)[1]
    return net.conv(x, maps, 3, stride, groups=maps, fused=True, gain=1.0)


def _unit(net: Net, x: str, maps: int, form: str, downsample: bool) -> str:
    """Half of the channels pass (or are halved in size), half are convolved, then both are interleaved."""
    half = maps // 2
    if downsample:
        place = net.at("branch1")
        left = _depthwise(place.child(0), x, 2)
        left = place.child(4).relu(place.child(2).conv(left, half, 1, fused=True))
        right = x
    else:
        left, right = _halves(net, x, form)
    place = net.at("branch2")
    right = place.child(2).relu(place.child(0).conv(right, half, 1, fused=True))
    right = _depthwise(place.child(3), right, 2 if downsample else 1)
    right = place.child(7).relu(place.child(5).conv(right, half, 1, fused=True))
    return _shuffle(net, net.concat(left, right))


def _halves(net: Net, x: str, form: str) -> tuple[str, str]:
    if form == "slice":
        return chunk(net, x)
    half = net.shape(x)[1] // 2
    if net.graph.opset < 13:
        left, right = net.ops("Split", x, outputs=2, axis=1, split=[half, half])
    else:
        left, right = net.ops("Split", x, net.ints(half, half), outputs=2, axis=1)
    return left, right


def _shuffle(net: Net, x: str) -> str:
    """Reshape, Transpose, Reshape through rank 5."""
    batch, channels, height, width = net.shape(x)
    x = net.transpose(net.reshape(x, batch, 2, channels // 2, height, width), 0, 2, 1, 3, 4)
    return net.reshape(x, batch, channels, height, width)


@click.command(help=__doc__)
@common_options(size="224")
@click.option("--form", type=click.Choice(FORMS), default="split", show_default=True)
@click.option(
    "--width", type=click.Choice(tuple(WIDTHS)), default="0.5", show_default=True, help="Complexity of the paper."
)
@click.option("--classes", type=click.IntRange(1), default=1000, show_default=True)
def main(out: Path, **options: object) -> None:
    write(out, build, **options)


if __name__ == "__main__":
    main()

"""SSD (Liu et al., 2016) with two trunks of MLPerf Inference: ResNet-34 (1200x1200) and MobileNetV1 (300x300).

Heads are raw maps of six levels: scores [1, boxes * classes, H, W] and boxes [1, boxes * 4, H, W].
"""

from __future__ import annotations

from pathlib import Path

import click
import onnx

from models.builder import Net, start
from models.entry import common_options, write
from models.resnet34 import trunk as resnet34

__all__ = ["TRUNKS", "build"]

TRUNKS = ("resnet34", "mobilenetv1")
SEPARABLE = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
"""Channels and stride of MobileNetV1's thirteen blocks."""

EXTRAS = {
    "resnet34": ((256, 512, 2, 1), (256, 512, 2, 1), (128, 256, 2, 1), (128, 256, 2, 0), (128, 256, 1, 0)),
    "mobilenetv1": ((256, 512, 2, 1), (128, 256, 2, 1), (128, 256, 2, 1), (64, 128, 2, 1)),
}
"""Channels of the 1x1 and of the 3x3, stride and padding of the levels behind the trunk."""

BOXES = {"resnet34": (4, 6, 6, 6, 4, 4), "mobilenetv1": (3, 6, 6, 6, 6, 6)}
HEADS = {"resnet34": (3, (3, 3, 2, 2, 2, 2)), "mobilenetv1": (1, (1,) * 6)}
"""Kernel and strides of the heads: MLPerf thins ResNet-34's large maps in the heads themselves."""

LEAST = {"resnet34": 400, "mobilenetv1": 224}


def build(
    size: tuple[int, int] = (300, 300),
    trunk: str = "mobilenetv1",
    width: float = 0.25,
    classes: int = 81,
    seed: int | None = 0,
    opset: int = 17,
) -> onnx.ModelProto:
    """Input ``images`` [1, 3, H, W]; outputs ``scores_0`` … ``scores_5`` and ``boxes_0`` … ``boxes_5``.

    ``width`` multiplies the channels: 1 is the original. Raises ValueError for an unknown trunk or too small
    a size.
    """
    if trunk not in TRUNKS:
        raise ValueError(f"trunk must be one of {', '.join(TRUNKS)}, got {trunk}")
    if min(size) < LEAST[trunk]:
        least = f"{LEAST[trunk]}x{LEAST[trunk]}"
        raise ValueError(f"six levels on {trunk} need at least {least}, got {size[0]}x{size[1]}")
    net, (x,) = start(opset, seed, images=(1, 3, *size))
    if trunk == "resnet34":
        levels = [resnet34(net.at("backbone"), x, _scaled(64, width), (1, 2, 1))[-1]]
    else:
        levels = _mobilenetv1(net.at("backbone"), x, width)
    for index, (squeeze, maps, stride, pad) in enumerate(EXTRAS[trunk]):
        place = net.at("extras").child(index)
        y = place.relu(place.at("squeeze").conv(levels[-1], _scaled(squeeze, width), 1))
        levels.append(place.relu(place.at("expand").conv(y, _scaled(maps, width), 3, stride, pad)))
    kernel, strides = HEADS[trunk]
    for name, fields in (("scores", classes), ("boxes", 4)):
        for index, (x, boxes, stride) in enumerate(zip(levels, BOXES[trunk], strides, strict=True)):
            place = net.at(name).child(index)
            net.output(place.conv(x, boxes * fields, kernel, stride, gain=1.0), f"{name}_{index}")
    return net.graph.model()


def _scaled(channels: int, width: float) -> int:
    return max(8, int(channels * width))


def _mobilenetv1(net: Net, x: str, width: float) -> list[str]:
    """Depthwise and pointwise convolutions with Relu6; the maps of stride 16 and 32."""
    x = net.clip(net.at("conv0").conv(x, _scaled(32, width), 3, 2, fused=True), 0.0, 6.0)
    shallow = x
    for index, (maps, stride) in enumerate(SEPARABLE):
        place, channels = net.at("blocks").child(index), net.shape(x)[1]
        shallow = shallow if index > 11 else x
        x = place.at("depthwise").conv(x, channels, 3, stride, groups=channels, fused=True)
        x = place.at("pointwise").conv(place.clip(x, 0.0, 6.0), _scaled(maps, width), 1, fused=True)
        x = place.clip(x, 0.0, 6.0)
    return [shallow, x]


@click.command(help=__doc__)
@common_options(size="300")
@click.option("--trunk", type=click.Choice(TRUNKS), default="mobilenetv1", show_default=True)
@click.option("--width", type=float, default=0.25, show_default=True, help="Multiplier of the channels.")
@click.option("--classes", type=click.IntRange(1), default=81, show_default=True)
def main(out: Path, **options: object) -> None:
    write(out, build, **options)


if __name__ == "__main__":
    main()

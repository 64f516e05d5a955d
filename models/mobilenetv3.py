"""MobileNetV3-Small (Howard et al., 2019): HardSwish, squeeze-and-excite with HardSigmoid, two-layer head.

``--legacy`` writes both activations as the Add, Clip, Div and Mul chains of exporters without these operators.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import onnx

from models.builder import RELU_GAIN, SWISH_GAIN, Net, start
from models.entry import common_options, write
from models.mobilenetv2 import scaled

__all__ = ["build"]


@dataclass(frozen=True)
class Row:
    """One line of the paper's table 2."""

    kernel: int
    hidden: int
    maps: int
    squeeze: bool
    swish: bool
    stride: int


ROWS = (
    Row(3, 16, 16, True, False, 2),
    Row(3, 72, 24, False, False, 2),
    Row(3, 88, 24, False, False, 1),
    Row(5, 96, 40, True, True, 2),
    Row(5, 240, 40, True, True, 1),
    Row(5, 240, 40, True, True, 1),
    Row(5, 120, 48, True, True, 1),
    Row(5, 144, 48, True, True, 1),
    Row(5, 288, 96, True, True, 2),
    Row(5, 576, 96, True, True, 1),
    Row(5, 576, 96, True, True, 1),
)


def build(
    size: tuple[int, int] = (224, 224),
    width: float = 0.5,
    classes: int = 1000,
    legacy: bool = False,
    seed: int = 0,
    opset: int = 17,
) -> onnx.ModelProto:
    """Input ``input`` [1, 3, H, W], output ``logits`` [1, classes].

    ``width`` multiplies the channels: 1 in the paper.
    """
    net, (x,) = start(opset, seed, input=(1, 3, *size))
    features = net.at("features")
    x = _conv(features.child(0), x, scaled(16, width), 3, 2, _swish(legacy))
    for index, row in enumerate(ROWS, start=1):
        x = _block(features.child(index), x, row, width, legacy)
    x = _conv(features.child(len(ROWS) + 1), x, scaled(576, width), 1, 1, _swish(legacy))
    x = net.flatten(net.at("avgpool").op("GlobalAveragePool", x))
    classifier = net.at("classifier")
    x = _swish(legacy)(classifier.child(1), classifier.child(0).linear(x, scaled(1024, width), gain=SWISH_GAIN))
    net.output(classifier.child(3).linear(x, classes), "logits")
    return net.graph.model()


def _relu6_shifted(net: Net, x: str) -> str:
    return net.clip(net.op("Add", x, net.scalar(3.0)), 0.0, 6.0)


def _swish(legacy: bool) -> Callable[[Net, str], str]:
    def chain(net: Net, x: str) -> str:
        return net.op("Div", net.op("Mul", x, _relu6_shifted(net, x)), net.scalar(6.0))

    return chain if legacy else Net.hard_swish


def _gate(net: Net, x: str, legacy: bool) -> str:
    return net.op("Div", _relu6_shifted(net, x), net.scalar(6.0)) if legacy else net.hard_sigmoid(x)


def _conv(
    net: Net,
    x: str,
    maps: int,
    kernel: int,
    stride: int,
    activation: Callable[[Net, str], str] | None,
    groups: int = 1,
    gain: float = SWISH_GAIN,
) -> str:
    y = net.child(0).conv(x, maps, kernel, stride, groups=groups, fused=True, gain=gain)
    return y if activation is None else activation(net.child(2), y)


def _block(net: Net, x: str, row: Row, width: float, legacy: bool) -> str:
    """Expand 1x1, depthwise, squeeze-and-excite, project 1x1, shortcut."""
    activation, gain = (_swish(legacy), SWISH_GAIN) if row.swish else (Net.relu, RELU_GAIN)
    place = net.at("block")
    channels, hidden, maps = net.shape(x)[1], scaled(row.hidden, width), scaled(row.maps, width)
    y, step = x, 0
    if hidden != channels:
        y, step = _conv(place.child(0), y, hidden, 1, 1, activation, gain=gain), 1
    y = _conv(place.child(step), y, hidden, row.kernel, row.stride, activation, groups=hidden, gain=gain)
    if row.squeeze:
        step += 1
        y = _squeeze_excite(place.child(step), y, legacy)
    residual = row.stride == 1 and channels == maps
    # The gate takes a third to a half of what passes; the projection gives it back.
    gain = (0.6 if residual else 1.2) * (1.5 if row.squeeze else 1.0)
    y = _conv(place.child(step + 1), y, maps, 1, 1, None, gain=gain)
    return net.op("Add", y, x) if residual else y


def _squeeze_excite(net: Net, x: str, legacy: bool) -> str:
    """[N, C, 1, 1] gate multiplied into [N, C, H, W]."""
    channels = net.shape(x)[1]
    y = net.at("avgpool").op("GlobalAveragePool", x)
    y = net.at("activation").relu(net.at("fc1").conv(y, scaled(channels // 4, 1.0), 1))
    gate = _gate(net.at("scale_activation"), net.at("fc2").conv(y, channels, 1, gain=0.7), legacy)
    return net.op("Mul", gate, x)


@click.command(help=__doc__)
@common_options(size="224")
@click.option("--width", type=float, default=0.5, show_default=True, help="Multiplier of the channels.")
@click.option("--classes", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--legacy", is_flag=True, help="Activations as Add, Clip, Div and Mul.")
def main(out: Path, **options: object) -> None:
    write(out, build, **options)


if __name__ == "__main__":
    main()

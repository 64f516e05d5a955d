"""The parts that the YOLO family shares: convolution with SiLU, cross-stage partial block, two-way pyramid."""

from __future__ import annotations

from models.builder import SWISH_GAIN, Net

__all__ = ["conv", "csp", "pyramid", "separable"]


def conv(
    net: Net, x: str, maps: int, kernel: int = 1, stride: int = 1, pad: int | None = None, gain: float = SWISH_GAIN
) -> str:
    """Convolution with folded BatchNorm, and SiLU as Sigmoid and Mul."""
    return net.at("act").silu(net.at("conv").conv(x, maps, kernel, stride, pad, fused=True, gain=gain))


def separable(net: Net, x: str, maps: int, kernel: int, stride: int = 1, gain: float = SWISH_GAIN) -> str:
    """Depthwise and pointwise convolution, each with SiLU."""
    place = net.at("dconv")
    channels = net.shape(x)[1]
    y = place.at("conv").conv(x, channels, kernel, stride, groups=channels, fused=True, gain=SWISH_GAIN)
    return conv(net.at("pconv"), place.at("act").silu(y), maps, gain=gain)


def csp(net: Net, x: str, maps: int, repeats: int, shortcut: bool = True, depthwise: bool = False) -> str:
    """Cross-stage partial block: half of the channels go through ``repeats`` bottlenecks."""
    hidden = maps // 2
    y = conv(net.at("cv1"), x, hidden)
    large = separable if depthwise else conv
    for index in range(repeats):
        place = net.at("m", f"m.{index}")
        gain = 1.0 if shortcut else SWISH_GAIN
        inner = large(place.at("cv2"), conv(place.at("cv1"), y, hidden), hidden, 3, gain=gain)
        y = place.op("Add", y, inner) if shortcut else inner
    return conv(net.at("cv3"), net.concat(y, conv(net.at("cv2"), x, hidden)), maps)


def pyramid(net: Net, features: tuple[str, str, str], depthwise: bool = False) -> tuple[str, str, str]:
    """Nearest Resize by 2 downwards, strided convolutions back up; three levels with the channels they came with."""
    p3, p4, p5 = features
    low, middle, high = (net.shape(x)[1] for x in features)
    large = separable if depthwise else conv

    def block(name: str, parts: tuple[str, str], maps: int) -> str:
        return csp(net.at(name), net.concat(*parts), maps, 1, False, depthwise)

    top = conv(net.at("lateral5"), p5, middle)
    mixed = block("down4", (net.at("up5").resize(top, scale=2, coordinates="asymmetric"), p4), middle)
    lateral = conv(net.at("lateral4"), mixed, low)
    small = block("down3", (net.at("up4").resize(lateral, scale=2, coordinates="asymmetric"), p3), low)
    medium = block("up_4", (large(net.at("stride3"), small, low, 3, 2), lateral), middle)
    return small, medium, block("up_5", (large(net.at("stride4"), medium, middle, 3, 2), top), high)

"""The necks of PointPillars: three block outputs at strides 2, 4, 8 brought to stride 2 and concatenated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from models.builder import Net
from models.legacy import interpolate_like

__all__ = ["NECKS"]

EPSILON = 1e-3
Neck = Callable[[Net, Sequence[str], int], str]


def _normalised(net: Net, x: str, first: int) -> str:
    """BatchNorm and Relu as children ``first`` and ``first + 1``; exporters do not fold it into a deconvolution."""
    return net.child(first + 1).relu(net.child(first).batch_norm(x, EPSILON))


def stride_kernel(net: Net, features: Sequence[str], channels: int) -> str:
    """OpenPCDet: ConvTranspose with kernel == stride of 1, 2 and 4."""
    ups = []
    for index, x in enumerate(features):
        place = net.at(f"deblocks.{index}")
        factor = 2**index
        ups.append(_normalised(place, place.child(0).deconv(x, channels, factor, factor), 1))
    return net.concat(*ups)


def padded_deconv(net: Net, features: Sequence[str], channels: int) -> str:
    """3x3 deconvolutions with "same" padding: one of stride 1, one of stride 2, two of stride 2 in a row."""
    ups = []
    for index, x in enumerate(features):
        place = net.at(f"deblocks.{index}")
        strides = (1,) if index == 0 else (2,) * index
        for step, stride in enumerate(strides):
            x = place.child(3 * step).deconv(x, channels, 3, stride, 1, stride - 1)
            x = _normalised(place, x, 3 * step + 1)
        ups.append(x)
    return net.concat(*ups)


def _resized(mode: str) -> Neck:
    def neck(net: Net, features: Sequence[str], channels: int) -> str:
        """A lateral 1x1 convolution, then Resize by ``sizes`` to the finest map."""
        height, width = net.shape(features[0])[2:]
        ups = []
        for index, x in enumerate(features):
            place = net.at(f"deblocks.{index}")
            x = place.child(2).relu(place.child(0).conv(x, channels, 1, fused=True))
            if index:
                upsample = place.child(3)
                sizes = upsample.ints(1, channels, height, width)
                x = upsample.resize(x, sizes=sizes, mode=mode, coordinates="half_pixel")
            ups.append(x)
        return net.concat(*ups)

    return neck


def _context(net: Net, x: str, channels: int) -> str:
    """Spatial pyramid pooling (5, 9, 13) and a gate per pixel on the coarsest map."""
    x = net.at("reduce").conv(x, channels // 2, 1)
    pooled = [net.at("pool", f"pool.{index}").max_pool(x, size, 1, size // 2) for index, size in enumerate((5, 9, 13))]
    mixed = net.at("mix").conv(net.concat(x, *pooled), channels, 1, bias=False)
    mixed = net.at("act").clip(net.at("norm").batch_norm(mixed, EPSILON), -1.0, 6.0)
    gate = net.at("gate_act").hard_sigmoid(net.at("gate").conv(mixed, channels, 1, gain=1.0))
    return net.op("Mul", mixed, gate)


def mixed(net: Net, features: Sequence[str], channels: int) -> str:
    """Three ways of reaching stride 2 that grew side by side, with the left-overs of training."""
    fine, middle, coarse = features
    lateral = net.at("deblocks.0")
    first = _normalised(lateral, lateral.child(0).conv(fine, channels, 1, bias=False), 1)
    first = lateral.child(3).op("Dropout", first)

    up = net.at("deblocks.1")
    second = _normalised(up, up.child(0).deconv(middle, channels, 3, 2, 1, 1), 1)

    context = _context(net.at("context"), coarse, channels)
    place = net.at("deblocks.2")
    third = interpolate_like(place, context, fine)
    third = place.at("smooth").conv(third, channels, 3, bias=False)
    third = place.at("norm").batch_norm(third, EPSILON)
    third = place.at("act").clip(third, 0.0, None)
    return net.op("Identity", net.concat(first, second, third))


NECKS: Mapping[str, Neck] = {
    "mixed": mixed,
    "stride-kernel": stride_kernel,
    "padded-deconv": padded_deconv,
    "bilinear": _resized("linear"),
    "lossy-resize": _resized("cubic"),
}
"""Form -> function of (backbone, block outputs, channels per branch) giving the concatenated map."""

"""YOLOX-nano (Ge et al., 2021): Focus stem, depthwise CSP blocks, SPP, two-way neck, decoupled heads.

Heads are raw maps [1, 5 + classes, H, W] at strides 8, 16, 32: boxes, then objectness and scores through Sigmoid.
"""

from __future__ import annotations

from pathlib import Path

import click
import onnx

from models.builder import Net, start
from models.csp import conv, csp, pyramid, separable
from models.entry import common_options, write

__all__ = ["build"]

REPEATS = (1, 3, 3, 1)


def build(
    size: tuple[int, int] = (416, 416), width: int = 16, classes: int = 80, seed: int | None = 0, opset: int = 17
) -> onnx.ModelProto:
    """Input ``images`` [1, 3, H, W]; outputs ``p3``, ``p4``, ``p5``. ``width`` is the stem's channels, 16 in the nano.

    Raises ValueError for a size that is no multiple of 32.
    """
    if size[0] % 32 or size[1] % 32:
        raise ValueError(f"height and width must be multiples of 32, got {size[0]}x{size[1]}")
    net, (x,) = start(opset, seed, images=(1, 3, *size))
    trunk = net.at("backbone")
    x = conv(trunk.at("stem"), _space_to_depth(trunk, x), width, 3)
    features = []
    for stage, repeats in enumerate(REPEATS):
        place, maps = trunk.at(f"dark{stage + 2}"), width * 2 ** (stage + 1)
        x = separable(place.child(0), x, maps, 3, 2)
        x = _spp(place.child(1), x) if stage == 3 else x
        x = csp(place.child(2), x, maps, repeats, stage != 3, True)
        features.append(x)
    _, p3, p4, p5 = features
    for index, x in enumerate(pyramid(net.at("neck"), (p3, p4, p5), True)):
        net.output(_head(net.at("head").child(index), x, width * 4, classes), f"p{index + 3}")
    return net.graph.model()


def _space_to_depth(net: Net, x: str) -> str:
    end = 2**63 - 1
    corners = ((0, 0), (1, 0), (0, 1), (1, 1))
    return net.concat(
        *(net.op("Slice", x, net.ints(*at), net.ints(end, end), net.ints(2, 3), net.ints(2, 2)) for at in corners)
    )


def _spp(net: Net, x: str) -> str:
    """Max pools of 5, 9 and 13 around every position."""
    maps = net.shape(x)[1]
    x = conv(net.at("conv1"), x, maps // 2)
    pools = [net.at("m", f"m.{i}").max_pool(x, size, 1, size // 2) for i, size in enumerate((5, 9, 13))]
    return conv(net.at("conv2"), net.concat(x, *pools), maps)


def _head(net: Net, x: str, hidden: int, classes: int) -> str:
    """A 1x1 stem, then two separable convolutions for the classes and two for the boxes."""
    x = conv(net.at("stem"), x, hidden)
    scored, boxed = x, x
    for index in range(2):
        scored = separable(net.at("cls_convs").child(index), scored, hidden, 3)
        boxed = separable(net.at("reg_convs").child(index), boxed, hidden, 3)
    scores = net.op("Sigmoid", net.at("cls_pred").conv(scored, classes, 1, gain=1.0))
    objectness = net.op("Sigmoid", net.at("obj_pred").conv(boxed, 1, 1, gain=1.0))
    return net.concat(net.at("reg_pred").conv(boxed, 4, 1, gain=1.0), objectness, scores)


@click.command(help=__doc__)
@common_options(size="416")
@click.option("--width", type=click.IntRange(2), default=16, show_default=True, help="Channels of the stem.")
@click.option("--classes", type=click.IntRange(1), default=80, show_default=True)
def main(out: Path, **options: object) -> None:
    write(out, build, **options)


if __name__ == "__main__":
    main()

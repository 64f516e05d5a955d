"""YOLOv5, release 6: 6x6 stem, CSP blocks, SPPF, two-way neck; ``width`` 32 is the small model of the family.

Heads are raw maps [1, 3 * (5 + classes), H, W] at strides 8, 16, 32.
"""

from __future__ import annotations

from pathlib import Path

import click
import onnx

from models.builder import Net, start
from models.csp import conv, csp, pyramid
from models.entry import common_options, write

__all__ = ["build"]

REPEATS = (1, 2, 3, 1)


def build(
    size: tuple[int, int] = (320, 320), width: int = 16, classes: int = 80, seed: int | None = 0, opset: int = 17
) -> onnx.ModelProto:
    """Input ``images`` [1, 3, H, W]; outputs ``p3``, ``p4``, ``p5``. Raises ValueError for a size not of 32s."""
    if size[0] % 32 or size[1] % 32:
        raise ValueError(f"height and width must be multiples of 32, got {size[0]}x{size[1]}")
    net, (x,) = start(opset, seed, images=(1, 3, *size))
    x = conv(net.at("model.0"), x, width, 6, 2, 2)
    features = []
    for stage, repeats in enumerate(REPEATS):
        maps = width * 2 ** (stage + 1)
        x = conv(net.at(f"model.{2 * stage + 1}"), x, maps, 3, 2)
        x = csp(net.at(f"model.{2 * stage + 2}"), x, maps, repeats)
        features.append(x)
    _, p3, p4, p5 = features
    levels = pyramid(net.at("neck"), (p3, p4, _sppf(net.at("model.9"), p5)))
    for index, x in enumerate(levels):
        net.output(net.at("model.24", f"m.{index}").conv(x, 3 * (5 + classes), 1, gain=1.0), f"p{index + 3}")
    return net.graph.model()


def _sppf(net: Net, x: str) -> str:
    """Three max pools of 5 behind each other, all of them joined."""
    maps = net.shape(x)[1]
    parts = [conv(net.at("cv1"), x, maps // 2)]
    for _ in range(3):
        parts.append(net.at("m").max_pool(parts[-1], 5, 1, 2))
    return conv(net.at("cv2"), net.concat(*parts), maps)


@click.command(help=__doc__)
@common_options(size="320")
@click.option("--width", type=click.IntRange(2), default=16, show_default=True, help="Channels of the stem.")
@click.option("--classes", type=click.IntRange(1), default=80, show_default=True)
def main(out: Path, **options: object) -> None:
    write(out, build, **options)


if __name__ == "__main__":
    main()

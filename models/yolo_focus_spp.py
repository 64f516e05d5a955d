"""A one-stage detector of the first YOLOv5 generation: Focus stem, CSP blocks, SPP 5/9/13, top-down and bottom-up neck.

Heads are raw maps [1, 3 * (5 + classes), H, W] at strides 8, 16, 32; ``--decode`` appends the box arithmetic.
"""

from __future__ import annotations

from pathlib import Path

import click
import onnx

from models.builder import Net, start
from models.csp import conv, csp
from models.entry import common_options, write
from models.yolo_decode import ANCHORS, decode

__all__ = ["FOCUS_FORMS", "build"]

FOCUS_FORMS = ("merged", "chained")
LEVELS = ("p3", "p4", "p5")


def build(
    size: tuple[int, int] = (320, 320),
    width: int = 16,
    classes: int = 80,
    focus: str = "merged",
    decode_boxes: bool = False,
    seed: int = 0,
    opset: int = 17,
) -> onnx.ModelProto:
    """Input ``images`` [1, 3, H, W]; outputs ``p3``, ``p4``, ``p5``, or ``detections`` [1, boxes, 5 + classes].

    ``width`` is the stem's channels (32 in the small model of the family, 64 in the large one). ``focus`` writes the
    stem's space-to-depth as four Slices over both axes, or as the six single-axis ones that PyTorch exports.
    Raises ValueError for a size that is no multiple of 32 and for an unknown focus form.
    """
    if focus not in FOCUS_FORMS:
        raise ValueError(f"focus must be one of {', '.join(FOCUS_FORMS)}, got {focus}")
    if size[0] % 32 or size[1] % 32:
        raise ValueError(f"height and width must be multiples of 32, got {size[0]}x{size[1]}")
    net, (x,) = start(opset, seed, images=(1, 3, *size))
    levels = _neck(net, _backbone(net, x, width, focus), width)
    head = net.at("model.24")
    fields = len(ANCHORS[0]) * (5 + classes)
    maps = [head.at(f"m.{index}").conv(x, fields, 1, gain=1.0) for index, x in enumerate(levels)]
    if decode_boxes:
        net.output(decode(head, maps, size, classes), "detections")
    else:
        for name, x in zip(LEVELS, maps, strict=True):
            net.output(x, name)
    return net.graph.model()


def _focus(net: Net, x: str, maps: int, form: str) -> str:
    """Every second row and column, four times, as channels."""
    end = 2**63 - 1
    corners = ((0, 0), (1, 0), (0, 1), (1, 1))
    if form == "merged":
        parts = [
            net.op("Slice", x, net.ints(*corner), net.ints(end, end), net.ints(2, 3), net.ints(2, 2))
            for corner in corners
        ]
    else:
        rows = [net.op("Slice", x, net.ints(at), net.ints(end), net.ints(2), net.ints(2)) for at in (0, 1)]
        parts = [
            net.op("Slice", rows[row], net.ints(column), net.ints(end), net.ints(3), net.ints(2))
            for row, column in corners
        ]
    return conv(net.at("conv"), net.concat(*parts), maps, 3)


def _spp(net: Net, x: str, maps: int) -> str:
    """Max pools of 5, 9 and 13 around every position."""
    x = conv(net.at("cv1"), x, maps // 2)
    pools = [net.at("m", f"m.{index}").max_pool(x, size, 1, size // 2) for index, size in enumerate((5, 9, 13))]
    return conv(net.at("cv2"), net.concat(x, *pools), maps)


def _backbone(net: Net, x: str, width: int, focus: str) -> tuple[str, str, str]:
    x = _focus(net.at("model.0"), x, width, focus)
    x = csp(net.at("model.2"), conv(net.at("model.1"), x, width * 2, 3, 2), width * 2, 1)
    p3 = csp(net.at("model.4"), conv(net.at("model.3"), x, width * 4, 3, 2), width * 4, 3)
    p4 = csp(net.at("model.6"), conv(net.at("model.5"), p3, width * 8, 3, 2), width * 8, 3)
    p5 = _spp(net.at("model.8"), conv(net.at("model.7"), p4, width * 16, 3, 2), width * 16)
    return p3, p4, csp(net.at("model.9"), p5, width * 16, 1, shortcut=False)


def _neck(net: Net, features: tuple[str, str, str], width: int) -> tuple[str, str, str]:
    """Nearest Resize by 2 downwards, strided convolutions back up."""
    p3, p4, p5 = features
    top = conv(net.at("model.10"), p5, width * 8)
    up = net.at("model.11").resize(top, scale=2, coordinates="asymmetric")
    middle = csp(net.at("model.13"), net.at("model.12").concat(up, p4), width * 8, 1, shortcut=False)
    lateral = conv(net.at("model.14"), middle, width * 4)
    up = net.at("model.15").resize(lateral, scale=2, coordinates="asymmetric")
    small = csp(net.at("model.17"), net.at("model.16").concat(up, p3), width * 4, 1, shortcut=False)
    down = conv(net.at("model.18"), small, width * 4, 3, 2)
    medium = csp(net.at("model.20"), net.at("model.19").concat(down, lateral), width * 8, 1, shortcut=False)
    down = conv(net.at("model.21"), medium, width * 8, 3, 2)
    return small, medium, csp(net.at("model.23"), net.at("model.22").concat(down, top), width * 16, 1, shortcut=False)


@click.command(help=__doc__)
@common_options(size="320")
@click.option("--width", type=click.IntRange(2), default=16, show_default=True, help="Channels of the stem.")
@click.option("--classes", type=click.IntRange(1), default=80, show_default=True)
@click.option(
    "--focus", type=click.Choice(FOCUS_FORMS), default="merged", show_default=True, help="Form of the stem's Slices."
)
@click.option("--decode", "decode_boxes", is_flag=True, help="Append the decoding of the boxes.")
def main(out: Path, **options: object) -> None:
    write(out, build, **options)


if __name__ == "__main__":
    main()

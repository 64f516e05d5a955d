"""PointPillars (Lang et al., 2019): lidar pillars as a pseudo-image through three blocks, a neck and three 1x1 heads.

\b
Forms: how the upsampling neck and the layers around it were written.
  mixed            README's: unfused BatchNorm, Pad chains, HardSwish, SPP, a padded deconvolution, computed sizes
  stride-kernel    OpenPCDet: ZeroPad2d as Pad, deconvolutions with kernel == stride 1, 2, 4
  padded-deconv    Keras habit: 3x3 stride-2 deconvolutions with pads 1 and output_padding 1
  bilinear         linear Resize by sizes, half_pixel
  pillar-features  stride-kernel behind the pillar feature net and its scatter
  lossy-resize     cubic Resize: only approximately a nearest one
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
import onnx

from models.builder import Net, start
from models.entry import common_options, write
from models.legacy import zero_pad
from models.pointpillars_neck import NECKS
from models.pointpillars_pillars import pillar_features

__all__ = ["FORMS", "WIDTHS", "build"]

FORMS = ("mixed", "stride-kernel", "padded-deconv", "bilinear", "pillar-features", "lossy-resize")
EPSILON = 1e-3
"""OpenPCDet's BatchNorm epsilon."""


@dataclass(frozen=True)
class Width:
    """Channels and depth of the three blocks, and channels of each neck branch."""

    filters: tuple[int, int, int]
    layers: tuple[int, int, int]
    neck: int


WIDTHS = {"small": Width((32, 64, 96), (2, 3, 3), 64), "full": Width((64, 128, 256), (3, 5, 5), 128)}
IMAGE_CHANNELS = 64
ANCHORS, CLASSES, BOX, DIRECTIONS = 6, 3, 7, 2


def build(
    form: str = "mixed",
    size: tuple[int, int] = (248, 216),
    width: str = "small",
    seed: int = 0,
    opset: int = 17,
    permuted_heads: bool = False,
    pillars: int = 1024,
) -> onnx.ModelProto:
    """Build one form.

    ``size`` is the pseudo-image's H and W, multiples of 8; the input is ``spatial_features`` [1, 64, H, W], or
    ``voxels`` [P, 32, 10] and ``voxel_coords`` [P, 4] int64 (batch, z, y, x) for ``pillar-features``. Outputs are
    ``cls_preds`` [1, 18, H/2, W/2], ``box_preds`` [1, 42, …] and ``dir_cls_preds`` [1, 12, …], NHWC when
    ``permuted_heads``. Raises ValueError for an unknown form or width and for a size that is no multiple of 8.
    """
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, got {form}")
    if width not in WIDTHS:
        raise ValueError(f"width must be one of {', '.join(WIDTHS)}, got {width}")
    if size[0] % 8 or size[1] % 8:
        raise ValueError(f"height and width must be multiples of 8, got {size[0]}x{size[1]}")
    if form == "pillar-features":
        net, _ = start(opset, seed)
        x = pillar_features(net, pillars, IMAGE_CHANNELS, size)
    else:
        net, (x,) = start(opset, seed, spatial_features=(1, IMAGE_CHANNELS, *size))
    backbone = net.at("backbone_2d")
    plan = WIDTHS[width]
    features: list[str] = []
    for index, (filters, layers) in enumerate(zip(plan.filters, plan.layers, strict=True)):
        x = _block(backbone.at(f"blocks.{index}"), x, filters, layers, form, hard_swish=index == 1)
        features.append(x)
    neck_form = "stride-kernel" if form == "pillar-features" else form
    _heads(net.at("dense_head"), NECKS[neck_form](backbone, features, plan.neck), permuted_heads)
    return net.graph.model()


def _block(net: Net, x: str, filters: int, layers: int, form: str, hard_swish: bool) -> str:
    """One strided convolution behind a zero pad, then ``layers`` more: the children of OpenPCDet's Sequential."""
    mixed = form == "mixed"
    for layer in range(layers + 1):
        first = layer == 0
        if first and mixed:
            x = zero_pad(net.child(0), x, 1)
        elif first:
            place = net.child(0)
            x = place.op("Pad", x, place.ints(0, 0, 1, 1, 0, 0, 1, 1), mode="constant")
        base = 1 + 3 * layer
        x = net.child(base).conv(x, filters, 3, 2 if first else 1, 0 if first else 1, bias=False, fused=not mixed)
        if mixed:
            x = net.child(base + 1).batch_norm(x, EPSILON)
        place = net.child(base + 2)
        x = place.hard_swish(x) if mixed and hard_swish else place.relu(x)
    return x


def _heads(net: Net, x: str, permuted: bool) -> None:
    heads = (
        ("conv_cls", "cls_preds", CLASSES),
        ("conv_box", "box_preds", BOX),
        ("conv_dir_cls", "dir_cls_preds", DIRECTIONS),
    )
    for module, output, per_anchor in heads:
        y = net.at(module).conv(x, ANCHORS * per_anchor, 1, gain=1.0)
        net.output(net.transpose(y, 0, 2, 3, 1) if permuted else y, output)


@click.command(help=__doc__)
@common_options(size="248x216")
@click.option("--form", type=click.Choice(FORMS), default="mixed", show_default=True)
@click.option("--width", type=click.Choice(tuple(WIDTHS)), default="small", show_default=True)
@click.option("--permuted-heads", is_flag=True, help="End in Transposes to NHWC, as OpenPCDet does.")
@click.option("--pillars", type=click.IntRange(1), default=1024, show_default=True, help="Pillars of pillar-features.")
def main(out: Path, **options: object) -> None:
    write(out, build, **options)


if __name__ == "__main__":
    main()

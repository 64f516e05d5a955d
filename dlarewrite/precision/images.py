"""Pictures as a network sees them: resized, cropped, scaled, normalised and laid out.

Reading pictures needs Pillow (the extra ``images``), which is imported when the first one is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dlarewrite.errors import EnvironmentMissing, ModelError, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif"))
FITS = ("crop", "letterbox", "stretch")
LAYOUTS = ("nchw", "nhwc")
ORDERS = ("rgb", "bgr", "gray")

_Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes one sample: ``(pixel * scale - mean) / std``, pixels 0 … 255, per channel in ``order``.

    ``size`` is (height, width). ``fit`` says how any picture gets there: "crop" scales the shorter side to ``resize``
    pixels (default: as much as covers ``size``) and cuts the middle out; "letterbox" fits all of it in and fills up
    with ``fill``; "stretch" ignores the aspect. Scaling is bilinear with antialiasing, as torchvision does.
    """

    size: tuple[int, int]
    layout: str = "nchw"
    order: str = "rgb"
    fit: str = "crop"
    resize: int | None = None
    fill: int = 114
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if any(not s for s in self.std):
            raise UsageError("a standard deviation of 0 cannot be divided by")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                raise UsageError(f"--{name} has {len(values)} values, the pictures have {self.channels} channels")
        if self.resize is not None and (self.fit != "crop" or self.resize < min(self.size)):
            raise UsageError(f"--resize {self.resize} goes with --fit crop, and is at least the crop's shorter side")

    @property
    def channels(self) -> int:
        return 1 if self.order == "gray" else 3

    def __str__(self) -> str:
        mean, std = (",".join(f"{v:g}" for v in values) for values in (self.mean, self.std))
        cut = f" from {self.resize}" if self.resize is not None else ""
        return (
            f"{self.size[0]}x{self.size[1]} {self.order} {self.layout}, {self.fit}{cut}, "
            f"(pixel * {self.scale:g} - {mean}) / {std}"
        )

    def read(self, path: Path) -> npt.NDArray[np.float32]:
        """One picture as float32 of rank 3, in ``layout`` without its N; raises ModelError for one that is broken."""
        library = pillow()
        try:
            with library.open(path) as opened:
                picture = self._fitted(_upright(opened).convert("L" if self.order == "gray" else "RGB"))
        except (OSError, ValueError, SyntaxError, library.DecompressionBombError) as error:
            raise ModelError(f"cannot read picture {str(path)!r}: {error}", hint="remove it, or mend it") from error
        pixels = np.asarray(picture, dtype=np.float32).reshape(*self.size, self.channels)
        pixels = pixels[..., ::-1] if self.order == "bgr" else pixels
        mean, std = (np.asarray(values, dtype=np.float32) for values in (self.mean, self.std))
        values = (pixels * np.float32(self.scale) - mean) / std
        return np.ascontiguousarray(values.transpose(2, 0, 1) if self.layout == "nchw" else values)

    def pixels(self, values: _Array) -> npt.NDArray[np.uint8]:
        """The way back: one sample as RGB (or gray) pixels [height, width, channels], clipped to 0 … 255."""
        plain = np.asarray(values, dtype=np.float32)
        plain = plain.transpose(1, 2, 0) if self.layout == "nchw" else plain
        mean, std = (np.asarray(given, dtype=np.float32) for given in (self.mean, self.std))
        plain = np.clip(np.round((plain * std + mean) / np.float32(self.scale)), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(plain[..., ::-1] if self.order == "bgr" else plain)

    def _fitted(self, picture: Image) -> Image:
        library = pillow()
        height, width = self.size
        smooth = library.Resampling.BILINEAR
        if self.fit == "stretch":
            return picture.resize((width, height), smooth)
        ratios = (width / picture.width, height / picture.height)
        if self.fit == "letterbox":
            ratio = min(ratios)
            inner = picture.resize(_scaled(picture, ratio), smooth)
            made: Image = library.new(
                picture.mode, (width, height), self.fill if self.order == "gray" else (self.fill,) * 3
            )
            made.paste(inner, ((width - inner.width) // 2, (height - inner.height) // 2))
            return made
        ratio = max(*ratios, (self.resize or 0) / min(picture.size))
        inner = picture.resize(_scaled(picture, ratio, (width, height)), smooth)
        left, top = (inner.width - width) // 2, (inner.height - height) // 2
        return inner.crop((left, top, left + width, top + height))


def _scaled(picture: Image, ratio: float, least: tuple[int, int] = (1, 1)) -> tuple[int, int]:
    return max(round(picture.width * ratio), least[0]), max(round(picture.height * ratio), least[1])


def _upright(picture: Image) -> Image:
    """Turned as the camera's note (EXIF) says."""
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(picture)
    return turned if turned is not None else picture


def pillow() -> Any:
    """Pillow's Image module; raises EnvironmentMissing where it is not installed."""
    try:
        from PIL import Image
    except ImportError as error:
        raise EnvironmentMissing(
            "reading pictures needs Pillow, which is not installed", hint="pip install 'dlarewrite[images]'"
        ) from error
    return Image


def geometry(dims: tuple[int, ...], layout: str | None) -> tuple[str, int, tuple[int, int]] | None:
    """Layout, channels and (height, width) of an input of these dims; None where it takes no pictures."""
    if len(dims) != 4:
        return None
    for name, channels, size in (("nchw", dims[1], dims[2:]), ("nhwc", dims[3], dims[1:3])):
        if channels in (1, 3) and layout in (None, name):
            return name, channels, (size[0], size[1])
    return None


def parse_scale(text: str) -> float:
    """``1/255`` or ``0.0039``; raises ValueError."""
    found = re.fullmatch(r"\s*([^/]+?)\s*(?:/\s*([^/]+?)\s*)?", text)
    if found is None:
        raise ValueError(text)
    value = float(found[1]) / float(found[2] or 1)
    if not 0 < abs(value) < float("inf"):
        raise ValueError(text)
    return value

"""A picture of what the network will see: samples brought back from their numbers, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dlarewrite.ir.exporter import atomic
from dlarewrite.precision.images import Preprocess, pillow

MOST = 9
_GAP = 4


def write_preview(samples: Sequence[npt.NDArray[Any]], how: Preprocess, path: Path) -> None:
    """Write at most nine samples (rank 3, as the network gets them) as one PNG, in rows, white between them."""
    tiles = [how.pixels(sample) for sample in samples[:MOST]]
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    height, width = how.size
    sheet = np.full((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, how.channels), 255, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = (place // columns) * (height + _GAP), (place % columns) * (width + _GAP)
        sheet[top : top + height, left : left + width] = tile
    picture = pillow().fromarray(sheet[..., 0] if how.channels == 1 else sheet)
    with atomic(path) as file:
        picture.save(file, format="PNG")

"""The scales of an INT8 build: read in either format, and written as the cache that a calibrator hands to TensorRT."""

from __future__ import annotations

from pathlib import Path

from dlarewrite.errors import UsageError
from dlarewrite.precision.scales import ScaleTable

_METHOD = "EntropyCalibration2"


def load_scales(path: Path) -> ScaleTable:
    """Read a calibration cache or a JSON table; raises :class:`UsageError` where the DLA cannot use it."""
    table = ScaleTable.load(path)
    if table.header and table.method != _METHOD:
        raise UsageError(
            f"{str(path)!r} was made by {table.method!r}; the DLA takes scales of the entropy-2 calibrator alone",
            hint="if the numbers are right: `dlarewrite scales export MODEL --scales FILE --trt-version 8600 -o NEW`",
        )
    if not table.scales:
        raise UsageError(f"{str(path)!r} has no scales")
    return table


def cache_for(path: Path, table: ScaleTable, beside: Path) -> Path:
    """The cache file for TensorRT: ``path`` itself where it is one and lies in the engine's folder, else ``beside``.

    The folder is what gets copied to a board, so a cache elsewhere would be missing there.
    """
    near = path.resolve().parent == beside.resolve().parent
    return path if table.header and near else beside

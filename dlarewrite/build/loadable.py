"""The header of a DLA standalone loadable, which is no TensorRT engine: bytes 4 to 7 read ``NVDA``."""

from __future__ import annotations

from dlarewrite.errors import DlarewriteError

MARK = b"NVDA"


def is_loadable(data: bytes) -> bool:
    """Whether ``data`` begins as a DLA loadable does."""
    return data[4:8] == MARK


def check_loadable(data: bytes) -> None:
    """Raise :class:`DlarewriteError` where what TensorRT built is not the loadable that was asked for."""
    if is_loadable(data):
        return
    raise DlarewriteError(
        f"TensorRT built {len(data):,} bytes that are no DLA loadable (bytes 4 to 7 are {data[4:8]!r}, not {MARK!r})",
        hint="see the builder's own messages with --verbose",
    )

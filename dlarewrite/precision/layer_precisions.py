"""Layer precisions as trtexec takes them: ``--layerPrecisions=name:fp16,name2:fp16`` (up to TensorRT 10.16).

trtexec splits at commas, and an entry at its last colon; a star stands for all other layers.
"""

from __future__ import annotations

from collections.abc import Mapping

from dlarewrite.errors import UsageError
from dlarewrite.precision.scales import PRECISIONS

UNREADABLE = ",'*\r\n"
"""Characters that a layer's name cannot have in trtexec's lists, or in a shell's quotation of one."""


def render(precisions: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """The text (no line break; "" for none), and the names that it cannot hold, which have :data:`UNREADABLE`."""
    fits = {name: p for name, p in precisions.items() if name and not set(name) & set(UNREADABLE)}
    return ",".join(f"{name}:{p}" for name, p in fits.items()), tuple(n for n in precisions if n not in fits)


def parse(text: str) -> dict[str, str]:
    """What :func:`render` wrote; names may hold colons. Raises :class:`UsageError` with the entry at fault."""
    found: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, _, precision = entry.rpartition(":")
        if not name or precision not in PRECISIONS:
            raise UsageError(f"{entry!r} is not NAME:PRECISION", hint=f"precisions are {', '.join(PRECISIONS)}")
        found[name] = precision
    return found

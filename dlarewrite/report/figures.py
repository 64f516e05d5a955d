"""Numbers and lists as people read them."""

from __future__ import annotations

from collections.abc import Sequence


def size(count: int) -> str:
    """Bytes in binary units: ``1.2 MiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def percent(share: float) -> str:
    """A share of 1; never rounded up to 100 % or down to 0 %."""
    text = f"{100 * share:.1f}"
    if text == "100.0" and share < 1:
        text = ">99.9"
    if text == "0.0" and share > 0:
        text = "<0.1"
    return f"{text.removesuffix('.0')} %"


def number(value: float | None) -> str:
    """Three significant digits; 0 stays 0."""
    return "-" if value is None else f"{value:.3g}"


def plural(count: int, noun: str) -> str:
    """``1 node``, ``2 nodes``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def some(names: Sequence[str], most: int = 3) -> str:
    """The first few, and how many more there are."""
    shown = ", ".join(names[:most])
    return f"{shown}, and {len(names) - most} more" if len(names) > most else shown

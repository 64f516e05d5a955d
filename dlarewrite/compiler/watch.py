"""Who listens while the compiler works."""

from __future__ import annotations

from collections.abc import Callable

Watch = Callable[[str], None]
"""Is told each step as it begins."""


def tell(watch: Watch | None, step: str) -> None:
    """Say which step begins, where anybody listens."""
    if watch is not None:
        watch(step)

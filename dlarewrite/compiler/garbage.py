"""Python's garbage collector while a graph is rewritten: most of what it would walk is the graph, which lives on."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

_OBJECTS = 200_000
"""Allocations between two collections; Python's own number of some thousand costs a tenth of a run's time."""


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Collect more rarely in the block; a threshold that is higher already, or 0 for never, stays."""
    before = gc.get_threshold()
    if 0 < before[0] < _OBJECTS:
        gc.set_threshold(_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)

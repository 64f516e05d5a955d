"""Plugins as a command meets them: broken ones are said, unknown pass names stop it before the work starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dlarewrite.cli.console import Console

if TYPE_CHECKING:
    from dlarewrite.catalogue import Registry


def find_plugins(console: Console, files: Sequence[Path] = ()) -> Registry:
    """Everything installed and the local ``files``; a plugin that fails to load is a warning that names it."""
    from dlarewrite.catalogue import discover

    registry = discover(files)
    for failure in registry.failures:
        console.warn(f"plugin {failure.provider!r} is left out: {failure.reason}")
    return registry

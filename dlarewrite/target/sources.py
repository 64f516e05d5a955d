"""Source keys and their addresses."""

from __future__ import annotations

import functools
import importlib.resources
from typing import Any

import yaml


def load_yaml(name: str) -> Any:
    """A data file of this package."""
    # libyaml's loader, where PyYAML was built with it, is several times faster; every run of the program reads these.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(importlib.resources.files("dlarewrite.target").joinpath(name).read_text(encoding="utf-8"), loader)


@functools.cache
def _addresses() -> dict[str, str]:
    return {str(key): str(text) for key, text in load_yaml("sources.yaml").items()}


@functools.cache
def cite(key: str) -> str:
    """The key with its address, as in "HDR@8.6.1 (TensorRT public headers ..., https://...)".

    Raises :class:`KeyError` for a key that the table lacks.
    """
    return f"{key} ({_addresses()[key.partition('@')[0]]})"

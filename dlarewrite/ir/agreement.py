"""Whether two descriptions of a tensor agree, and what they say together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_graphsurgeon as gs

from dlarewrite.errors import EditError


def check_same_type(old: gs.Tensor, new: gs.Tensor) -> None:
    """Raise :class:`EditError` where ``new`` in ``old``'s place would change its dtype or a static size."""
    if old.dtype is not None and new.dtype is not None and old.dtype != new.dtype:
        raise EditError(f"replacing {old.name!r} would change its type from {old.dtype} to {new.dtype}")
    if not compatible(old.shape, new.shape):
        raise EditError(f"replacing {old.name!r} would change its shape from {old.shape} to {new.shape}")


def sharper(dims: Sequence[Any] | None, others: Sequence[Any] | None) -> list[Any] | None:
    """``dims`` with the static sizes that only ``others`` know."""
    if dims is None:
        return None if others is None else list(others)
    if others is None:
        return list(dims)
    return [b if isinstance(b, int) and not isinstance(a, int) else a for a, b in zip(dims, others, strict=True)]


def compatible(old: Sequence[Any] | None, new: Sequence[Any] | None) -> bool:
    """Whether two shapes have one rank and contradict each other in no static size."""
    if old is None or new is None:
        return True
    if len(old) != len(new):
        return False
    return all(a == b for a, b in zip(old, new, strict=True) if isinstance(a, int) and isinstance(b, int))

"""How faithful a rewrite is: declared by each pass, and the only thing that sets the tolerance of a proof."""

from __future__ import annotations

import enum


class Numerics(enum.IntEnum):
    """The three tiers, from strictest to loosest."""

    EXACT = 0
    """The same real function and the same floating-point operations, or pure data movement: at most 1 ulp."""

    ROUNDING = 1
    """The same real function in another order, or with constants folded: 1e-5 of max|reference| in fp32."""

    LOSSY = 2
    """Another function, with a stated error bound over a stated input range. Never runs unless asked for."""

    def __str__(self) -> str:
        return self.name

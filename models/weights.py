"""Seeded weights that depend on no machine and no numpy release.

Only the raw stream of the PCG64 bit generator is used, which numpy keeps stable (NEP 19); the step to float32 is
integer arithmetic and single IEEE multiplications and additions, so no maths library has a say in the bytes of a model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Shapes", "Weights"]

Float32 = npt.NDArray[np.float32]


class Weights:
    """A stream of float32 arrays drawn from one seed; the order of calls decides the values."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def uniform(self, shape: Sequence[int], low: float, high: float) -> Float32:
        """Values of ``shape`` in ``[low, high)``, on a grid of 2**24 steps."""
        raw = self._bits.random_raw(math.prod(shape)).reshape(tuple(shape))
        unit = (raw >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
        return np.asarray(unit * np.float32(high - low) + np.float32(low), dtype=np.float32)

    def he(self, shape: Sequence[int], fan_in: float, gain: float = math.sqrt(2.0)) -> Float32:
        """He initialisation: variance ``gain**2 / fan_in``; the default gain keeps the scale through a Relu."""
        bound = gain * math.sqrt(3.0 / fan_in)
        return self.uniform(shape, -bound, bound)

    def choice(self, count: int) -> int:
        """One integer in ``[0, count)``."""
        return int(self._bits.random_raw() >> np.uint64(32)) % count


class Shapes(Weights):
    """Weights that have shapes and no values: zeros that share one element, for studies of cost alone."""

    def __init__(self) -> None:
        super().__init__(0)

    def uniform(self, shape: Sequence[int], low: float, high: float) -> Float32:
        """Zeros of ``shape``; the range is not used."""
        return np.broadcast_to(np.float32(0), tuple(shape))

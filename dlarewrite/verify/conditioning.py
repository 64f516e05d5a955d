"""How far the original itself moves when its weights and inputs move by one unit in the last place.

A deep network may amplify a difference of one ulp in an early layer to more than any tolerance at its outputs. What a
faithful rewrite may then differ cannot be declared, it has to be measured, on the original and on the same inputs.
Instance normalisations are summed in another order at the same time; see :mod:`~dlarewrite.verify.resummed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from dlarewrite.errors import ModelError
from dlarewrite.verify.jitter import jittered_feed, jittered_model, weight_bytes
from dlarewrite.verify.numerics import EPSILON
from dlarewrite.verify.outputs import parts
from dlarewrite.verify.reference import Sample
from dlarewrite.verify.resummed import resum
from dlarewrite.verify.runner import Session
from dlarewrite.verify.weights import MAX_BYTES

DRAWS = 3
"""How often the original is moved; the largest movement counts."""

Movement = Mapping[str, float]
"""Per part of an output: the largest absolute movement of a float, or how many integers or booleans changed."""


class Conditioning:
    """The original `model` and its movement on each sample, measured when it is first asked for.

    `computed_in` names a shorter float dtype that the rewritten model is declared to compute in; its ulp is then used
    for longer dtypes too. Models whose weights may exceed `max_bytes` are not measured. `note` says why nothing could
    be measured, and is empty otherwise. `resummed` tells whether sums ran in another order as well.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        base_dir: Path | None = None,
        *,
        threads: int = 1,
        computed_in: str | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._model, self._base_dir, self._threads = model, base_dir, threads
        self._finest = EPSILON[computed_in] if computed_in is not None else 0.0
        self._found: dict[str, dict[str, float]] = {}
        self.resummed = False
        large = weight_bytes(model) > max_bytes
        self.note = "conditioning not measured: the weights are too large to be moved in memory" if large else ""

    def measure(self, samples: Iterable[Sample]) -> Mapping[str, Movement]:
        """Per sample label, how far each part moved; a part that no draw could measure is missing.

        A draw in which an output changes its shape or where it is NaN or infinite says nothing about its conditioning.
        """
        fresh = [sample for sample in samples if sample.label not in self._found]
        for draw in range(DRAWS if fresh and not self.note else 0):
            self._draw(draw, fresh)
        return self._found

    def _draw(self, draw: int, samples: Sequence[Sample]) -> None:
        try:
            moved = jittered_model(self._model, self._base_dir, draw, self._finest)
            self.resummed = resum(moved, samples[0].feed)
            session = Session(moved, threads=self._threads)
        except (ModelError, OSError, ValueError, RuntimeError, MemoryError, onnx.checker.ValidationError) as error:
            self.note = f"conditioning not measured: {error}"
            return
        for sample in samples:
            found = self._found.setdefault(sample.label, {})
            try:
                outputs = session.run(jittered_feed(sample.feed, draw, self._finest))
            except ModelError:  # one ulp took an index or a size out of bounds: no output to compare
                continue
            old, new = (dict(p for n, v in o.items() for p in parts(n, v)) for o in (sample.outputs, outputs))
            for name in old.keys() & new.keys():
                distance = movement(old[name], new[name])
                if distance is not None:
                    found[name] = max(found.get(name, 0.0), distance)


def movement(old: NDArray[Any], new: NDArray[Any]) -> float | None:
    """Largest |new - old| of floats, or the number of differing integers or booleans; None where neither is defined."""
    if old.shape != new.shape or old.dtype != new.dtype:
        return None
    if old.dtype.kind in "iub":
        return float(np.count_nonzero(old != new))
    if old.dtype.name not in EPSILON:
        return None
    wide_old, wide_new = old.astype(np.float64), new.astype(np.float64)
    finite = np.isfinite(wide_old)
    if not np.array_equal(wide_old[~finite], wide_new[~finite], equal_nan=True):
        return None
    distance = np.abs(wide_new[finite] - wide_old[finite])
    return float(distance.max(initial=0.0)) if np.isfinite(distance).all() else None

"""Histograms of |x| that grow, and the four ways to choose an amax from one.

A histogram has 8192 bins over [0, width). ``width`` is the smallest power of two above everything seen; it doubles by
adding neighbouring bins in pairs. Bin borders are therefore exact, and the counts depend on neither the order nor the
grouping of the data: an interrupted calibration that goes on gives what an uninterrupted one gives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dlarewrite.precision.scales import LEVELS

BINS = 8192
"""Bins kept; the occupied ones are at least half of them."""

COARSE = 2048
"""Most bins that the entropy search works on."""

MAGNITUDES = 128
"""Magnitudes that INT8 tells apart, 0 … 127."""

METHODS = ("minmax", "percentile", "entropy", "mse")

_CHUNK = 1 << 18

Counts = npt.NDArray[np.int64]
Real = npt.NDArray[np.float64]


@dataclass
class Histogram:
    """What was seen of one tensor: its range, how many values, and (if ``counted``) the counts of magnitudes."""

    counted: bool = True
    low: float = math.inf
    high: float = -math.inf
    total: int = 0
    width: float = 0.0
    counts: Counts = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))

    @property
    def peak(self) -> float:
        """The largest magnitude seen; 0 before anything was."""
        return max(abs(self.low), abs(self.high)) if self.total else 0.0

    def add(self, values: npt.NDArray[np.floating]) -> None:
        """Count an array of finite numbers of any shape; raises ValueError where one is not finite."""
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError("not finite")
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.total += values.size
        if self.counted:
            self._cover(max(abs(low), abs(high)))
            self._count(values.reshape(-1))

    def _cover(self, peak: float) -> None:
        if peak < self.width or not peak:
            return
        wanted = math.ldexp(1.0, math.frexp(peak)[1])
        if not self.width:
            self.width = wanted
            # Zeros were all that was seen so far, and those are in the first bin of any width.
            return
        while self.width < wanted:
            merged = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.concatenate([merged, np.zeros(BINS - len(merged), dtype=np.int64)])
            self.width *= 2

    def _count(self, flat: npt.NDArray[np.floating]) -> None:
        if not self.width:
            self.counts[0] += flat.size
            return
        # In double precision a scaling by a power of two is exact for every float32, the smallest included.
        factor = BINS / self.width
        for start in range(0, flat.size, _CHUNK):
            piece = np.abs(flat[start : start + _CHUNK]).astype(np.float64)
            piece *= factor
            self.counts += np.bincount(piece.astype(np.int64), minlength=BINS)

    def fine(self) -> tuple[Real, float]:
        """Counts of the bins up to the largest magnitude, and the width of a bin."""
        step = self.width / BINS
        return self.counts[: int(self.peak / step) + 1].astype(np.float64), step

    def coarse(self) -> tuple[Real, float]:
        """The same in at most 2048 bins, each of as many fine ones as that takes (1366 … 2048 come out)."""
        counts, step = self.fine()
        merged = -(-len(counts) // COARSE)
        padded = np.zeros(-(-len(counts) // merged) * merged)
        padded[: len(counts)] = counts
        return padded.reshape(-1, merged).sum(axis=1), step * merged


def choose(seen: Histogram, method: str, percentile: float = 99.99) -> float:
    """The amax by one of :data:`METHODS`: above 0, at most the largest magnitude; 0 where all values were zero.

    - minmax: the largest magnitude.
    - percentile: the upper border of the bin that ``percentile`` % of the magnitudes are in or below (zeros count).
    - entropy: see :func:`entropy`.
    - mse: of 100 evenly spaced amax the one whose INT8 values are nearest to the data in the mean square.
    """
    if not seen.peak or method == "minmax":
        return seen.peak
    if method == "percentile":
        counts, step = seen.fine()
        share = np.cumsum(counts) / counts.sum()
        found = (int(np.searchsorted(share, percentile / 100, side="left")) + 1) * step
    elif method == "entropy":
        counts, step = seen.coarse()
        found = entropy(counts) * step
    else:
        counts, step = seen.fine()
        found = _least_squares(counts, step, seen.peak)
    return min(found, seen.peak)


def entropy(counts: Real) -> int:
    """How many of the bins to keep, so that INT8 loses the least information (Kullback-Leibler, in one go).

    This is the published entropy calibration of TensorRT (its entropy-2 in effect; what TensorRT's own code does
    beyond that is not public): for every number ``i`` of bins from 128 on, P is the first ``i`` bins with everything
    above added to the last of them, Q the same bins without it, in 128 equal levels, each level's sum spread evenly
    over its bins that are not empty. Both are normalised, and the ``i`` with the least KL(P, Q) wins, the largest of
    equals. The first bin is given the second one's count: exact zeros are free at any scale, and after a ReLU they
    would outweigh all the rest.

    One thing is added. Normalising Q hides how much was cut off, which ruins values in a narrow band away from zero, as
    a Sigmoid's may be. For the share ``r`` that is left, ``r - 1 - log(r)`` is charged, as the divergence of measures
    that are not normalised has it: half the square of what is cut off, so that nothing changes where that is little.
    """
    given = np.asarray(counts, dtype=np.float64).copy()
    size = len(given)
    if size <= MAGNITUDES:
        return size
    given[0] = given[1]
    if not given.any():
        return size
    sizes = np.arange(MAGNITUDES, size + 1)
    borders = -(-np.arange(MAGNITUDES + 1)[None, :] * sizes[:, None] // MAGNITUDES)
    logs = np.zeros(size)
    np.log(given, out=logs, where=given > 0)
    sums, filled, own = (np.concatenate([[0.0], np.cumsum(v)]) for v in (given, given > 0, given * logs))
    level_sum, level_filled = np.diff(sums[borders], axis=1), np.diff(filled[borders], axis=1)
    mean_log = np.zeros(level_sum.shape)
    np.log(np.divide(level_sum, level_filled, out=np.ones(level_sum.shape), where=level_sum > 0), out=mean_log)
    # sum p log p and sum p log q, first without what lies above, then corrected in the last bin that takes it.
    whole, inside = sums[-1], sums[sizes]
    above, last = whole - inside, given[sizes - 1]
    p_log_p = own[sizes] - last * logs[sizes - 1] + _x_log_x(last + above)
    p_log_q = (level_sum * mean_log).sum(axis=1) + above * mean_log[:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = p_log_p / whole - np.log(whole) - p_log_q / whole + np.log(inside)
        left = inside / whole
        divergence += left - 1 - np.log(left)
    # An empty last bin that everything above is put into has probability in P and none in Q.
    divergence[(last == 0) & (above > 0) | (inside == 0)] = np.inf
    return int(sizes[len(sizes) - 1 - int(np.argmin(divergence[::-1]))])


def _x_log_x(x: Real) -> Real:
    logs = np.zeros(x.shape)
    np.log(x, out=logs, where=x > 0)
    return np.asarray(x * logs)


def _least_squares(counts: Real, step: float, peak: float, trials: int = 100) -> float:
    centres = (np.arange(len(counts)) + 0.5) * step
    centres[0] = 0.0  # mostly exact zeros, which cost nothing at any scale
    best, least = peak, math.inf
    for part in range(trials, 0, -1):
        amax = peak * part / trials
        scale = amax / LEVELS
        kept = np.minimum(np.floor(centres / scale + 0.5), LEVELS) * scale
        error = float((counts * np.square(centres - kept)).sum())
        if error < least:
            best, least = amax, error
    return best

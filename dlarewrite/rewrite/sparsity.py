"""2:4 structured sparsity along the input channels: what Orin's DLA demands of a convolution's weights (rule SP-24).

Weights are KCRS: axis 0 output channels, axis 1 input channels. In every four consecutive input channels, for each
output channel and tap, at least two are zero. A last group of fewer than four is filled up with zeros, so one of one
or two channels is sparse as it is, and one of three has to lose one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlarewrite.ir.view import Array

GROUP = 4
KEPT = 2

Mask = npt.NDArray[np.bool_]


def mask_2_4(weight: Array, axis: int = 1) -> Mask:
    """True where a weight stays: the two of largest magnitude in every group of four along ``axis``.

    Same shape as ``weight``. Of equal magnitudes the earlier channel stays, so that the mask is the same on every
    machine. NaN counts as larger than any number.
    """
    magnitude = np.abs(np.moveaxis(np.asarray(weight), axis, -1)).astype(np.float64)
    channels = magnitude.shape[-1]
    # -1 marks the filling: smaller than any magnitude, so it is never kept before a weight.
    filled = np.full((*magnitude.shape[:-1], -(-channels // GROUP) * GROUP), -1.0)
    filled[..., :channels] = np.where(np.isnan(magnitude), np.inf, magnitude)
    groups = filled.reshape(*filled.shape[:-1], -1, GROUP)
    order = np.argsort(-groups, axis=-1, kind="stable")
    kept = np.zeros(groups.shape, dtype=np.bool_)
    np.put_along_axis(kept, order[..., :KEPT], True, axis=-1)
    return np.ascontiguousarray(np.moveaxis(kept.reshape(filled.shape)[..., :channels], -1, axis))


def is_2_4(weight: Array, axis: int = 1) -> bool:
    """Whether the weights are 2:4 sparse along ``axis`` already."""
    moved = np.moveaxis(np.asarray(weight), axis, -1) != 0
    channels = moved.shape[-1]
    filled = np.zeros((*moved.shape[:-1], -(-channels // GROUP) * GROUP), dtype=np.bool_)
    filled[..., :channels] = moved
    return bool((filled.reshape(*filled.shape[:-1], -1, GROUP).sum(axis=-1) <= KEPT).all())


def prune_2_4(weight: Array, axis: int = 1) -> Array:
    """The weights with all others set to zero, in the same dtype; see :func:`mask_2_4`. LOSSY."""
    given = np.asarray(weight)
    return np.where(mask_2_4(given, axis), given, np.zeros((), given.dtype))


def energy_lost(weight: Array, axis: int = 1) -> float:
    """Share of the sum of squared weights that pruning removes, 0 … 1 (0 for weights that are all zero)."""
    square = np.square(np.asarray(weight, dtype=np.float64))
    whole = float(square.sum())
    return float(square[~mask_2_4(weight, axis)].sum()) / whole if whole else 0.0

"""Seeded arrays: one drawn from a domain for a dtype and a shape."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from dlarewrite.errors import ModelError
from dlarewrite.verify.domain import Domain
from dlarewrite.verify.failures import NO_PROOF_HINT

WIDE = 8.0
"""Magnitude of a float input's wide part: past the ends of Relu6, HardSwish, and where Sigmoid and Tanh are flat."""

BASE_SCALES = (1.0, 2.5, 0.4)
"""Standard deviations of a float input's normal part, taken in turn as the seed counts up."""

MOST_ELEMENTS = 2**31
"""Of one input: 8 GiB of float32. A shape beyond it is a mistake, or nothing that a proof can be run on."""

_WORDS = ("", "a", "dla", "Orin", "two words", "UPPER", "lower")


@dataclass(frozen=True)
class Spread:
    """How far unbounded floats reach: normal numbers of standard deviation `base` among others up to +-8, all times
    `scale`, and without their sign if `positive`."""

    base: float = 1.0
    scale: float = 1.0
    positive: bool = False


def draw(
    elem_type: int, shape: tuple[int, ...], domain: Domain, rng: np.random.Generator, spread: Spread
) -> NDArray[Any]:
    """An array of onnx.TensorProto.DataType `elem_type`: never NaN or infinite, inside `domain`.

    Raises ModelError for a shape of more than `MOST_ELEMENTS`.
    """
    size = prod(shape)
    if size > MOST_ELEMENTS:
        dims = "x".join(map(str, shape))
        raise ModelError(f"an input of {dims} is too large to draw samples of it", hint=NO_PROOF_HINT)
    if elem_type == TensorProto.STRING:
        return _strings(size, domain, rng).reshape(shape)
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(elem_type))
    if dtype.kind == "c":
        parts = rng.standard_normal((2, *shape)) * spread.scale
        return np.asarray(parts[0] + 1j * parts[1]).astype(dtype)
    if domain.values is not None and len(domain.values) == size:
        return np.array(domain.values).reshape(shape).astype(dtype)
    if domain.last_axis is not None and shape and shape[-1] == len(domain.last_axis):
        return _rows(shape, domain, rng).astype(dtype)
    if domain.distinct_axis is not None and -len(shape) <= domain.distinct_axis < len(shape):
        return rng.random(shape).argsort(axis=domain.distinct_axis).astype(dtype)
    if dtype.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if _is_integer(dtype):
        return _integers(dtype, size, domain, rng).reshape(shape)
    return _floats(dtype, size, domain, rng, spread).reshape(shape)


def _is_integer(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "iu" or dtype.name in ("int4", "uint4", "int2", "uint2")


def _limits(dtype: np.dtype[Any]) -> Any:
    """numpy's description of a dtype, or ml_dtypes' for those that onnx takes from there."""
    if dtype.kind in "iu":
        return np.iinfo(dtype)
    if dtype.kind == "f" and dtype.type.__module__ == "numpy":
        return np.finfo(dtype)
    import ml_dtypes

    return ml_dtypes.iinfo(dtype) if _is_integer(dtype) else ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]


def _integers(dtype: np.dtype[Any], size: int, domain: Domain, rng: np.random.Generator) -> NDArray[Any]:
    info = _limits(dtype)
    # A byte is a pixel or a quantised value and uses its whole range; a wider integer counts something.
    low, high = (int(info.min), int(info.max)) if info.bits <= 8 else (0, 3)
    low = low if domain.low is None else max(int(np.ceil(domain.low)), int(info.min))
    high = high if domain.high is None else min(int(np.floor(domain.high)), int(info.max))
    return rng.integers(low, max(low, high), size=size, endpoint=True).astype(dtype)


def _floats(dtype: np.dtype[Any], size: int, domain: Domain, rng: np.random.Generator, spread: Spread) -> NDArray[Any]:
    if domain.low is None and domain.high is None:
        values = _mixture(size, rng, spread.base) * spread.scale
        values = np.abs(values) if spread.positive else values
    else:
        low = domain.low if domain.low is not None else min(-WIDE, domain.high or 0.0)
        high = domain.high if domain.high is not None else max(WIDE, low)
        values = rng.uniform(low, high, size)
    values = np.round(values) if domain.whole else values
    info = _limits(dtype)
    smallest = float(info.min)  # an unsigned exponent-only dtype has no zero either
    return np.clip(np.abs(values) + smallest if smallest > 0 else values, smallest, float(info.max)).astype(dtype)


def _mixture(size: int, rng: np.random.Generator, base: float) -> NDArray[np.float64]:
    """Normal numbers, a tenth of them spread to +-8, some exactly zero; both ends and zero are always among eight."""
    values = rng.standard_normal(size) * base
    kind = rng.random(size)
    values = np.where(kind < 0.10, rng.uniform(-WIDE, WIDE, size), values)
    values = np.where(kind > 0.97, 0.0, values)
    if size >= 8:
        values[rng.choice(size, 3, replace=False)] = (WIDE, -WIDE, 0.0)
    return values


def _rows(shape: tuple[int, ...], domain: Domain, rng: np.random.Generator) -> NDArray[np.int64]:
    limits = [limit + 1 for limit in domain.last_axis or ()]
    rows, choices = prod(shape[:-1]), prod(limits)
    repeat = not domain.distinct or rows > choices
    flat = rng.integers(0, choices, rows) if repeat else rng.choice(choices, rows, replace=False)
    return np.stack(np.unravel_index(flat, limits), axis=-1).reshape(shape)


def _strings(size: int, domain: Domain, rng: np.random.Generator) -> NDArray[Any]:
    if domain.numeric:
        return np.array([f"{number:.3f}" for number in rng.uniform(-WIDE, WIDE, size)], dtype=object)
    return np.array([_WORDS[index] for index in rng.integers(0, len(_WORDS), size)], dtype=object)

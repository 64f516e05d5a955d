"""Compare two sets of outputs, element by element."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlarewrite.verify.numerics import EPSILON, Tolerance

Tolerances = Tolerance | Callable[[str, str], Tolerance]
"""One tolerance for all outputs, or one by output name and numpy dtype name."""


@dataclass(frozen=True)
class OutputError:
    """How one output of the candidate differs from the reference.

    `max_abs` is the largest |candidate - reference| over elements that are finite in both, `max_rel_of_max` the same as
    a share of max|reference|, `max_ulp` the largest distance in units in the last place (0 for integers, strings and
    where nothing could be compared). `where` indexes the worst element, `reason` says why `ok` is false. `nonfinite`
    counts NaN and infinity in the reference, `sample` names the inputs, `constant` that no inputs changed the output.
    `conditioning` is how far one ulp on weights and inputs moves the original, as a share of max|reference| (integers
    and booleans: of the elements); None where it was not measured. `tolerance` then says what was judged against.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    tolerance: str
    max_abs: float = 0.0
    max_rel_of_max: float = 0.0
    max_ulp: int = 0
    where: tuple[int, ...] | None = None
    ok: bool = True
    reason: str = ""
    nonfinite: int = 0
    sample: str = ""
    constant: bool = False
    conditioning: float | None = None


def compare(reference: Mapping[str, Any], candidate: Mapping[str, Any], tolerances: Tolerances) -> list[OutputError]:
    """One OutputError per output of the reference, in its order, then one for each output that only the candidate has.

    Values are arrays, or lists and dicts of arrays (sequences and maps), whose parts are named `output[index]`.
    """
    found: list[OutputError] = []
    for name in [*reference, *(name for name in candidate if name not in reference)]:
        old, new = (dict(parts(name, values[name])) if name in values else {} for values in (reference, candidate))
        for part in [*old, *(part for part in new if part not in old)]:
            found.append(_part(part, name, old.get(part), new.get(part), tolerances))
    return found


def parts(name: str, value: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays that an output consists of, with their names; an absent optional has none."""
    if value is None:
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from parts(f"{name}[{key!r}]", item)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from parts(f"{name}[{index}]", item)
    else:
        yield name, np.asarray(value)


def _part(
    part: str, output: str, old: NDArray[Any] | None, new: NDArray[Any] | None, tolerances: Tolerances
) -> OutputError:
    array = old if old is not None else new
    dtype = _dtype(array) if array is not None else ""
    tolerance = tolerances if isinstance(tolerances, Tolerance) else tolerances(output, dtype)
    error = OutputError(part, dtype, array.shape if array is not None else (), str(tolerance))
    if old is None or new is None:
        return replace(error, ok=False, reason="missing from the candidate" if new is None else "not in the reference")
    if _dtype(new) != dtype:
        return replace(error, ok=False, reason=f"dtype {_dtype(new)} instead of {dtype}")
    if new.shape != old.shape:
        return replace(error, ok=False, reason=f"shape {list(new.shape)} instead of {list(old.shape)}")
    return compare_arrays(error, old, new, tolerance)


def _dtype(array: NDArray[Any]) -> str:
    return "str" if array.dtype.kind in "OU" else array.dtype.name


def compare_arrays(error: OutputError, old: NDArray[Any], new: NDArray[Any], tolerance: Tolerance) -> OutputError:
    """Fill `error` in for two arrays of one dtype and shape."""
    if error.dtype in EPSILON:
        return _floats(error, old, new, tolerance)
    different = np.asarray(old != new)
    if not different.any():
        return error
    first = _index(different)
    count = f"{int(different.sum())} of {different.size} elements differ, first"
    detail = f"{count} {list(first)}: {new[first]} instead of {old[first]}"
    if error.dtype == "str" or old.dtype.kind == "c":
        return replace(error, ok=not tolerance.bounded, reason=detail if tolerance.bounded else "", where=first)
    distance, largest = np.abs(_wide(new) - _wide(old)), float(np.abs(_wide(old)).max())
    worst = float(distance.max())
    ok = worst <= tolerance.limit(largest)
    where = np.unravel_index(int(distance.argmax()), distance.shape)
    return replace(
        error,
        max_abs=worst,
        max_rel_of_max=_share(worst, largest),
        where=tuple(int(i) for i in where),
        ok=ok,
        reason="" if ok else detail,
    )


def _floats(error: OutputError, old: NDArray[Any], new: NDArray[Any], tolerance: Tolerance) -> OutputError:
    wide_old, wide_new = _wide(old), _wide(new)
    finite_old = np.isfinite(wide_old)
    error = replace(error, nonfinite=int(finite_old.size - finite_old.sum()))
    same = (wide_old == wide_new) | (np.isnan(wide_old) & np.isnan(wide_new))
    if same.all():
        return error
    finite = finite_old & np.isfinite(wide_new)
    largest = float(np.abs(wide_old[finite_old]).max(initial=0.0))
    distance = np.zeros(old.shape, np.float64)
    with np.errstate(over="ignore"):
        np.subtract(wide_new, wide_old, out=distance, where=finite)
    np.abs(distance, out=distance)
    ulps = np.zeros(old.shape, np.uint64)
    moved = finite & ~same
    ulps[moved] = ulp_distance(old[moved], new[moved])
    passes = same | (finite & ((ulps <= tolerance.ulps) | (distance <= tolerance.limit(largest))))
    failing = ~passes
    split = failing & ~finite  # a NaN or an infinity on one side only, or infinities of unlike sign
    worst = float(distance.max())
    where = _index(split) if split.any() else _worst(distance, failing)
    reason = ""
    if failing.any():
        count = f"{int(failing.sum())} of {failing.size} elements differ"
        what = "" if split.any() else f" ({tolerance})"
        reason = f"{count}{what}, worst {list(where)}: {wide_new[where]:.9g} instead of {wide_old[where]:.9g}"
    return replace(
        error,
        max_abs=worst,
        max_rel_of_max=_share(worst, largest),
        max_ulp=int(ulps.max()),
        where=where,
        ok=not failing.any(),
        reason=reason,
    )


def ulp_distance(old: NDArray[Any], new: NDArray[Any]) -> NDArray[np.uint64]:
    """Distance of finite floats of one dtype, counted in representable numbers; +0 and -0 are one number."""
    bits = np.dtype(f"u{old.dtype.itemsize}")
    sign = np.uint64(1) << np.uint64(8 * bits.itemsize - 1)
    pair = [np.ascontiguousarray(array).view(bits).astype(np.uint64) for array in (old, new)]
    magnitudes = [values & (sign - np.uint64(1)) for values in pair]
    opposite = ((pair[0] ^ pair[1]) & sign) != 0
    apart = np.maximum(*magnitudes) - np.minimum(*magnitudes)
    distance: NDArray[np.uint64] = np.where(opposite, magnitudes[0] + magnitudes[1], apart)
    return distance


def _wide(array: NDArray[Any]) -> NDArray[np.float64]:
    return array.astype(np.float64)


def _share(worst: float, largest: float) -> float:
    return worst / largest if largest else float("inf") if worst else 0.0


def _index(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(mask.argmax()), mask.shape))


def _worst(distance: NDArray[np.float64], failing: NDArray[np.bool_]) -> tuple[int, ...]:
    among = np.where(failing, distance, -1.0) if failing.any() else distance
    return tuple(int(i) for i in np.unravel_index(int(among.argmax()), among.shape))

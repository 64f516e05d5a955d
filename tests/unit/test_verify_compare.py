from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from dlarewrite.numerics import Numerics
from dlarewrite.verify.numerics import Tolerance, tolerance
from dlarewrite.verify.outputs import OutputError, compare, ulp_distance

EXACT = Tolerance(ulps=1)


def one(old: Any, new: Any, allowed: Tolerance = EXACT) -> OutputError:
    (error,) = compare({"y": old}, {"y": new}, allowed)
    return error


def up(array: NDArray[Any], steps: int) -> NDArray[Any]:
    bits = array.view(f"i{array.dtype.itemsize}")
    return (bits + bits.dtype.type(steps)).view(array.dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_one_ulp_passes_exact_and_two_do_not(dtype: Any) -> None:
    old = np.array([1.0, 3.0, 1e-3], dtype)
    assert one(old, up(old, 1)).ok
    found = one(old, up(old, 2))
    assert not found.ok
    assert found.max_ulp == 2
    assert "within 1 ulp" in found.reason


def test_ulps_are_counted_across_zero_and_between_far_numbers() -> None:
    tiny = np.array([5e-324, -0.0, -1e308, 1.0])
    other = np.array([-5e-324, 0.0, 1e308, 1.0])
    assert list(ulp_distance(tiny, other)[[0, 1, 3]]) == [2, 0, 0]
    assert ulp_distance(tiny, other)[2] > 2**62


def test_signed_zeros_and_equal_nan_and_infinity_are_equal() -> None:
    old = np.array([0.0, np.nan, np.inf, -np.inf], np.float32)
    found = one(old, np.array([-0.0, np.nan, np.inf, -np.inf], np.float32))
    assert found.ok
    assert found.nonfinite == 3


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("allowed", [EXACT, Tolerance(rtol_of_max=1.0), Tolerance(bounded=False)])
def test_a_nonfinite_number_in_the_candidate_alone_never_passes(wrong: float, allowed: Tolerance) -> None:
    old = np.ones((2, 3), np.float32)
    new = old.copy()
    new[1, 2] = wrong
    found = one(old, new, allowed)
    assert not found.ok
    assert found.where == (1, 2)
    assert "instead of 1" in found.reason


def test_infinity_is_not_one_ulp_beyond_the_largest_number() -> None:
    largest = np.array([np.finfo(np.float32).max])
    assert not one(np.float32(largest), np.array([np.inf], np.float32)).ok


def test_rounding_is_measured_against_the_largest_reference() -> None:
    old = np.array([100.0, 1e-6], np.float32)
    allowed = tolerance(Numerics.ROUNDING, "float32")
    assert one(old, old + np.float32([0, 9e-4]), allowed).ok
    found = one(old, old + np.float32([0, 2e-3]), allowed)
    assert not found.ok
    assert found.where == (1,)
    assert found.max_rel_of_max == pytest.approx(2e-5, rel=1e-3)


def test_lossy_error_is_measured_without_a_bound() -> None:
    found = one(np.zeros(2, np.float32), np.array([0, 5], np.float32), Tolerance(bounded=False))
    assert found.ok
    assert found.max_abs == 5
    assert found.max_rel_of_max == float("inf")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (np.array([1, 2]), np.array([1, 3])),
        (np.array([True, False]), np.array([True, True])),
        (np.array(["a", "b"], object), np.array(["a", "c"], object)),
        (np.array([1, 2], np.uint8), np.array([1, 255], np.uint8)),
    ],
)
def test_what_has_no_rounding_must_be_equal(old: NDArray[Any], new: NDArray[Any]) -> None:
    assert one(old, old.copy()).ok
    found = one(old, new, Tolerance())
    assert not found.ok
    assert found.reason.startswith("1 of 2 elements differ, first [1]")


def test_unsigned_differences_do_not_wrap() -> None:
    assert one(np.array([1], np.uint8), np.array([255], np.uint8), Tolerance(atol=3)).max_abs == 254


def test_dtype_shape_missing_and_added_outputs_are_reported() -> None:
    old = {"a": np.ones(2, np.float32), "b": np.ones(2, np.float32), "c": np.ones(2, np.float32)}
    new = {"a": np.ones(2, np.float64), "b": np.ones((2, 1), np.float32), "d": np.ones(1, np.float32)}
    reasons = {error.name: (error.ok, error.reason) for error in compare(old, new, EXACT)}
    assert reasons == {
        "a": (False, "dtype float64 instead of float32"),
        "b": (False, "shape [2, 1] instead of [2]"),
        "c": (False, "missing from the candidate"),
        "d": (False, "not in the reference"),
    }


def test_sequences_and_maps_are_compared_part_by_part() -> None:
    old = {"s": [np.ones(2), np.zeros(2)], "m": [{"cat": np.float32(0.5)}]}
    new = {"s": [np.ones(2)], "m": [{"cat": np.float32(0.75)}]}
    found = {error.name: error.ok for error in compare(old, new, EXACT)}
    assert found == {"s[0]": True, "s[1]": False, "m[0]['cat']": False}


def test_empty_and_scalar_outputs_compare() -> None:
    assert one(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32)).ok
    assert one(np.float32(1), np.float32(2)).where == ()

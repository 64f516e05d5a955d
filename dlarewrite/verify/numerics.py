"""What a rewrite's numerics allow an output to differ.

A pass declares its `Numerics`; the tolerance follows from it and from nothing else, unless the user overrides it.
This module imports neither numpy nor onnx.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dlarewrite.numerics import Numerics

__all__ = ["EPSILON", "LARGEST_ROUNDING", "ROUNDING_OF_MAX", "Numerics", "Tolerance", "rounding_of_max", "tolerance"]


ROUNDING_OF_MAX = 1e-5
"""ROUNDING's error in fp32, as a share of max|reference|."""

EPSILON: Mapping[str, float] = MappingProxyType(
    {
        "float64": 2.0**-52,
        "float32": 2.0**-23,
        "float16": 2.0**-10,
        "bfloat16": 2.0**-7,
        "float8_e4m3fn": 2.0**-3,
        "float8_e4m3fnuz": 2.0**-3,
        "float8_e5m2": 2.0**-2,
        "float8_e5m2fnuz": 2.0**-2,
        "float8_e8m0fnu": 1.0,
        "float4_e2m1fn": 2.0**-1,
    }
)
"""Distance from 1.0 to the next number, by numpy dtype name; a dtype that is not here has no rounding."""

LARGEST_ROUNDING = 1e-2
"""Share of max|reference| that no rounding error of fp16 and longer dtypes may exceed in a proof."""

_CAP_ULPS = 4
_HALVES = frozenset({"float16", "bfloat16"})
_HALF_ULPS = 4
"""onnxruntime computes halves in fp32 and rounds where its own Casts happen to stand, which moves a few ulp about."""


@dataclass(frozen=True)
class Tolerance:
    """What one output may differ from its reference.

    An element passes when it is within `ulps` units in the last place of its own dtype, or when
    |candidate - reference| <= atol + rtol_of_max * max|reference|, the maximum taken over the whole output. With
    `bounded` false every finite difference passes. NaN and infinity must stand at equal positions in any case.
    """

    atol: float = 0.0
    rtol_of_max: float = 0.0
    ulps: int = 0
    bounded: bool = True

    def limit(self, max_reference: float) -> float:
        """Largest absolute difference that passes where max|reference| is `max_reference`."""
        return self.atol + self.rtol_of_max * max_reference if self.bounded else float("inf")

    def __str__(self) -> str:
        if not self.bounded:
            return "no bound, error measured only"
        terms = [f"{self.atol:g}"] if self.atol else []
        terms += [f"{self.rtol_of_max:g} * max|reference|"] if self.rtol_of_max else []
        absolute = f"|difference| <= {' + '.join(terms)}" if terms else ""
        if not absolute:
            return f"within {self.ulps} ulp" if self.ulps else "equal"
        return absolute


def rounding_of_max(dtype: str) -> float:
    """ROUNDING's error for a float dtype, as a share of max|reference|.

    1e-5 in fp32 is 84 ulp of the largest value. The same 84 ulp are allowed in a shorter dtype, up to 1e-2 (fp16) or
    4 ulp where that is more (bf16 and shorter): 84 ulp of bf16 would be 66 % and prove nothing. fp64 scales down to
    1.9e-14.
    """
    epsilon = EPSILON[dtype]
    scaled = ROUNDING_OF_MAX * epsilon / EPSILON["float32"]
    return min(scaled, max(LARGEST_ROUNDING, _CAP_ULPS * epsilon))


def tolerance(
    numerics: Numerics, dtype: str, *, bound: float | None = None, computed_in: str | None = None
) -> Tolerance:
    """The tolerance that `numerics` sets for an output of numpy dtype name `dtype`.

    EXACT allows fp16 and bf16 four ulp of max|reference|, since onnxruntime itself rounds halves here or there; a
    longer float that was computed in halves gets four of theirs.
    Integers, booleans and strings must be equal unless the rewrite is LOSSY. `bound` is the absolute error that a LOSSY
    rewrite states; without one its error is measured and not judged. `computed_in` names a shorter float dtype in which
    a float output is computed (fp64 narrowed to fp32 by the rewrite): ROUNDING then follows that dtype.
    """
    if numerics is Numerics.LOSSY:
        return Tolerance(atol=bound, ulps=1) if bound is not None else Tolerance(bounded=False)
    if dtype not in EPSILON:
        return Tolerance()
    if numerics is Numerics.EXACT:
        halves = [EPSILON[name] for name in (dtype, computed_in) if name in _HALVES]
        return Tolerance(ulps=1, rtol_of_max=_HALF_ULPS * max(halves, default=0.0))
    return Tolerance(rtol_of_max=max(rounding_of_max(name) for name in (dtype, computed_in or dtype)), ulps=1)

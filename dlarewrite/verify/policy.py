"""Which tolerance each output gets: the rewrite's own, or the user's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dlarewrite.errors import UsageError
from dlarewrite.verify.numerics import EPSILON, Numerics, Tolerance, tolerance

Override = float | Mapping[str, float] | None
"""A tolerance for every float output, or one per output name, or none."""


@dataclass(frozen=True)
class Policy:
    """Tolerances of one proof.

    A plain `atol` or `rtol` replaces the declared tolerance of every float output; one given by output name replaces
    that of the named outputs, whatever their dtype. `rtol` is a share of max|reference|, as everywhere here. `halves`
    names the half type that an output of a longer one comes out of.
    """

    numerics: Numerics
    bound: float | None = None
    atol: Override = None
    rtol: Override = None
    computed_in: str | None = None
    halves: Mapping[str, str] = field(default_factory=dict)

    def tolerance(self, output: str, dtype: str) -> Tolerance:
        """Tolerance of the output named `output`, of numpy dtype name `dtype`."""
        atol, rtol = _override(self.atol, output, dtype), _override(self.rtol, output, dtype)
        if atol is None and rtol is None:
            exact = self.numerics is Numerics.EXACT
            computed_in = self.halves.get(output.partition("[")[0]) if exact else self.computed_in
            return tolerance(self.numerics, dtype, bound=self.bound, computed_in=computed_in)
        return Tolerance(atol=atol or 0.0, rtol_of_max=rtol or 0.0)

    def conditioned(self, output: str) -> bool:
        """Whether the original's measured conditioning may explain a difference in `output`.

        Only ROUNDING changes how values round; and a tolerance that the user gave is the user's to judge by.
        """
        given = (self.atol, self.rtol)
        overridden = any(o is not None and (not isinstance(o, Mapping) or output in o) for o in given)
        return self.numerics is Numerics.ROUNDING and not overridden

    def check_names(self, outputs: Iterable[str]) -> None:
        """Raise UsageError where an override names an output that the model lacks, or is not a positive number."""
        known = list(outputs)
        for option, value in (("atol", self.atol), ("rtol", self.rtol)):
            named = value.items() if isinstance(value, Mapping) else [("", value)]
            for name, number in named:
                if name and name not in known:
                    raise UsageError(
                        f"{option} names {name!r}, which is no output", hint=f"outputs: {', '.join(known)}"
                    )
                if number is not None and not number >= 0:
                    raise UsageError(f"{option} must be 0 or more, got {number}")

    def describe(self, dtypes: Mapping[str, str]) -> str:
        """One line for people: the numerics and the tolerance of each output, equal ones said once."""
        texts = {name: str(self.tolerance(name, dtype)) for name, dtype in dtypes.items()}
        distinct = sorted(set(texts.values()))
        if len(distinct) > 1:
            detail = "; ".join(f"{', '.join(n for n in texts if texts[n] == text)}: {text}" for text in distinct)
        else:
            detail = distinct[0] if distinct else "no outputs"
        given = " (given by the user)" if self.atol is not None or self.rtol is not None else ""
        return f"{self.numerics.name}: {detail}{given}"


def _override(override: Override, output: str, dtype: str) -> float | None:
    if isinstance(override, Mapping):
        return override.get(output)
    return override if dtype in EPSILON else None

"""The set of values that an input may take so that the operators which read it stay inside their domain."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Domain:
    """Bounds on an input's elements; None means the dtype's own.

    `low` and `high` are inclusive. `whole` asks for whole numbers. `values` fixes the elements in order and wins over
    the bounds when it has as many as the input. `last_axis` holds an inclusive upper bound for each position along the
    last axis. `distinct` asks that rows along the last axis (with `last_axis`) or elements along `distinct_axis` do not
    repeat, as scattering needs to be deterministic. `numeric` asks strings to spell numbers.
    """

    low: float | None = None
    high: float | None = None
    whole: bool = False
    values: tuple[float, ...] | None = None
    last_axis: tuple[int, ...] | None = None
    distinct: bool = False
    distinct_axis: int | None = None
    numeric: bool = False

    def meet(self, other: Domain) -> Domain:
        """The values that both domains allow; where they contradict each other, this domain's."""
        lows = [d.low for d in (self, other) if d.low is not None]
        highs = [d.high for d in (self, other) if d.high is not None]
        met = replace(
            self,
            low=max(lows, default=None),
            high=min(highs, default=None),
            whole=self.whole or other.whole,
            values=self.values or other.values,
            last_axis=self.last_axis or other.last_axis,
            distinct=self.distinct or other.distinct,
            distinct_axis=self.distinct_axis if self.distinct_axis is not None else other.distinct_axis,
            numeric=self.numeric or other.numeric,
        )
        empty = met.low is not None and met.high is not None and met.low > met.high
        return replace(met, low=self.low, high=self.high) if empty else met


def between(low: float, high: float) -> Domain:
    """Real numbers from `low` to `high`."""
    return Domain(low=low, high=high)


def whole(low: int, high: int) -> Domain:
    """Whole numbers from `low` to `high`, both included; `low` alone where `high` is below it."""
    return Domain(low=low, high=max(low, high), whole=True)


def fixed(*values: float) -> Domain:
    """Exactly these values, in order."""
    return Domain(values=values, whole=all(float(v).is_integer() for v in values))

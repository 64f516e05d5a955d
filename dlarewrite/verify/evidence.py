"""What a proof found, as a value that a report can print or write."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from dlarewrite.verify.outputs import OutputError, parts


@dataclass(frozen=True)
class InputRange:
    """One input over all samples: numpy dtype name, shape of the first sample, and the least and greatest value fed.

    Strings have no range; `low` and `high` are then None.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Evidence:
    """The outcome of one proof that two models compute the same.

    `ok` says that every output of every sample is within tolerance; `reason` says why not. `outputs` holds, per
    output, the worst sample. `seeds` are those drawn from, empty where `inputs_from` names the user's inputs. `cut`
    names nodes that onnxruntime cannot run (or that are random): their inputs were compared and their outputs fed.
    `constant_output` warns that some output was the same for all samples, `skipped` says why nothing was proven.
    """

    ok: bool
    numerics: str = ""
    tolerance: str = ""
    outputs: tuple[OutputError, ...] = ()
    seeds: tuple[int, ...] = ()
    inputs_from: str = ""
    inputs: tuple[InputRange, ...] = ()
    runtime: str = ""
    cut: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    constant_output: bool = False
    reason: str = ""
    skipped: str = ""

    def __str__(self) -> str:
        if self.skipped:
            return f"not proven: {self.skipped}"
        how = f"{self.tolerance}; {self.runtime}; {self.inputs_from or 'seeds ' + ', '.join(map(str, self.seeds))}"
        cut = f"; cut at: {', '.join(self.cut)}" if self.cut else ""
        return f"{'equal' if self.ok else 'not equal: ' + self.reason} ({how}{cut})"

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for JSON: every field is always there; an infinite or undefined number is None."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def not_proven(reason: str) -> Evidence:
    """The evidence of a proof that was left out on purpose."""
    return Evidence(ok=False, skipped=reason)


def worst(samples: Iterable[Sequence[OutputError]]) -> tuple[OutputError, ...]:
    """Per output, the sample that fails, or else the one with the greatest error."""
    found: dict[str, OutputError] = {}
    for error in (error for sample in samples for error in sample):
        kept = found.get(error.name)
        if kept is None or _badness(error) > _badness(kept):
            found[error.name] = replace(error, nonfinite=max(error.nonfinite, kept.nonfinite if kept else 0))
    return tuple(found.values())


def _badness(error: OutputError) -> tuple[bool, float, int]:
    return not error.ok, error.max_rel_of_max, error.max_ulp


def ranges(feeds: Sequence[Mapping[str, Any]]) -> tuple[InputRange, ...]:
    """The inputs of several samples, described."""
    names = list(feeds[0]) if feeds else []
    return tuple(_range(name, [array for feed in feeds for _, array in parts(name, feed[name])]) for name in names)


def _range(name: str, arrays: Sequence[Any]) -> InputRange:
    if not arrays:
        return InputRange(name, "", (), None, None)
    dtype = "str" if arrays[0].dtype.kind in "OU" else arrays[0].dtype.name
    ordered = dtype != "str" and arrays[0].dtype.kind != "c"
    filled = [array.astype(np.float64) for array in arrays if array.size] if ordered else []
    low = min((float(array.min()) for array in filled), default=None)
    high = max((float(array.max()) for array in filled), default=None)
    return InputRange(name, dtype, tuple(arrays[0].shape), low, high)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

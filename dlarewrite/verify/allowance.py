"""What a measured conditioning allows an output to differ where the declared tolerance of ROUNDING does not suffice.

An output passes when it differs by no more than CONDITIONING_FACTOR times what one ulp moves the original. A sample on
which that is a large part of the output proves nothing by itself: another has to show that the output is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlarewrite.verify.conditioning import Conditioning
from dlarewrite.verify.numerics import EPSILON, LARGEST_ROUNDING, Tolerance
from dlarewrite.verify.outputs import OutputError, compare_arrays, parts
from dlarewrite.verify.policy import Policy
from dlarewrite.verify.reference import Sample

CONDITIONING_FACTOR = 2.0
"""Allowed difference as a multiple of the original's movement.

Rounding in two orders of evaluation leaves each of them about one ulp of every accumulated value from the exact result,
so they may lie two such errors apart; the jitter moves each factor by one ulp and measures one of them.
"""

UNSTEADY = "proves nothing"
"""How the reason of an output begins that was let pass on every sample, and is proven by none."""

LARGEST_FLIPPED = 0.1
"""Share of an integer output's elements that may differ on a sample that still proves something."""

_Row = list[OutputError]


def allow(
    samples: Sequence[Sample],
    candidate: Sequence[Mapping[str, Any]],
    compared: Sequence[_Row],
    policy: Policy,
    conditioning: Conditioning,
) -> tuple[list[_Row], list[str]]:
    """`compared` with the failures that conditioning explains turned into passes, and a note on each of those.

    The original is run again on the samples that fail, and only on those. Missing outputs, other dtypes and shapes, and
    NaN or infinity in other places are never explained.
    """
    chosen = [
        {error.name for error in row if not error.ok and _eligible(error.name, sample, values, policy)}
        for sample, values, row in zip(samples, candidate, compared, strict=True)
    ]
    if not any(chosen):
        return [list(row) for row in compared], []
    moved = conditioning.measure([s for s, names in zip(samples, chosen, strict=True) if names])
    rows, notes = [], [conditioning.note] if conditioning.note else []
    if conditioning.resummed:
        notes.append("where one ulp is said to move the original, its instance norms were also summed in another order")
    for sample, values, row, names in zip(samples, candidate, compared, chosen, strict=True):
        of = moved.get(sample.label, {})
        old, new = _arrays(sample.outputs), _arrays(values)
        pairs = {name: (old[name], new[name]) for name in names if name in of}
        rows.append([_one(e, *pairs[e.name], of[e.name]) if e.name in pairs else e for e in row])
        notes += [_note(b, a, sample.label) for a, b in zip(row, rows[-1], strict=True) if b.ok and not a.ok]
    return _proving(samples, rows), notes


def _eligible(name: str, sample: Sample, values: Mapping[str, Any], policy: Policy) -> bool:
    output = next((o for o, v in sample.outputs.items() if any(name == part for part, _ in parts(o, v))), None)
    return output is not None and name in _arrays(values) and policy.conditioned(output)


def _arrays(outputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    return dict(part for name, value in outputs.items() for part in parts(name, value))


def _one(error: OutputError, old: NDArray[Any], new: NDArray[Any], moved: float) -> OutputError:
    if old.shape != new.shape or old.dtype != new.dtype:
        return error
    if error.dtype not in EPSILON:
        return _whole(error, old, new, moved)
    wide = old.astype(np.float64)
    largest = float(np.abs(wide[np.isfinite(wide)]).max(initial=0.0))
    if not largest:
        return error
    share = moved / largest
    allowed = Tolerance(rtol_of_max=CONDITIONING_FACTOR * share, ulps=1)
    again = replace(error, ok=True, reason="", conditioning=share)
    judged = compare_arrays(replace(again, tolerance=str(allowed)), old, new, allowed)
    if judged.ok:
        return judged
    return replace(
        error,
        conditioning=share,
        reason=f"{error.reason}; one ulp on weights and inputs moves the original by {share:.1e} of max|reference|",
    )


def _whole(error: OutputError, old: NDArray[Any], new: NDArray[Any], moved: float) -> OutputError:
    count, share = int(np.count_nonzero(old != new)), moved / old.size
    if count <= CONDITIONING_FACTOR * moved:
        allowed = min(int(CONDITIONING_FACTOR * moved), old.size)
        text = f"{allowed} of {old.size} elements may differ"
        return replace(error, ok=True, reason="", conditioning=share, tolerance=text)
    changed = f"one ulp on weights and inputs changes {int(moved)} in the original"
    return replace(error, conditioning=share, reason=f"{error.reason}; {changed}")


def _note(error: OutputError, old: OutputError, label: str) -> str:
    name, moved = f"output {error.name!r} ({label})", error.conditioning or 0.0
    if error.dtype in EPSILON:
        found = f"{error.max_rel_of_max:.1e} of max|reference| is more than ROUNDING allows"
        cause = f"moves the original by {moved:.1e}: the model is ill-conditioned"
    else:
        found = old.reason.partition(", first")[0]
        cause = f"changes {moved:.1%} of them in the original: nearly equal values tie"
    weak = "; this sample proves nothing by itself" if not _proves(error) else ""
    return f"{name}: {found}, but one ulp on weights and inputs {cause}; judged against that{weak}"


def _proves(error: OutputError) -> bool:
    """Whether a wrong output would have failed on this sample."""
    if error.conditioning is None:
        return error.ok
    largest = LARGEST_ROUNDING if error.dtype in EPSILON else LARGEST_FLIPPED
    return error.ok and CONDITIONING_FACTOR * error.conditioning <= largest


def _proving(samples: Sequence[Sample], rows: Sequence[_Row]) -> list[_Row]:
    """Outputs that no sample proves fail on every sample where they were let pass, unless one fails by itself."""
    settled = {error.name for row in rows for error in row if not error.ok}
    settled |= {
        error.name
        for sample, row in zip(samples, rows, strict=True)
        for error in row
        if _proves(error) and not set(sample.hollow) & {error.name, error.name.partition("[")[0]}
    }
    return [
        [e if not e.ok or e.conditioning is None or e.name in settled else _unproven(e) for e in row] for row in rows
    ]


def is_unsteady(errors: Sequence[OutputError]) -> bool:
    """Whether all that fails is that no sample proves anything: another, steadier one might."""
    failing = [error for error in errors if not error.ok]
    known = all(e.dtype in EPSILON and e.conditioning is not None for e in failing)
    return bool(failing) and known and all(e.reason.startswith(UNSTEADY) for e in failing)


def _unproven(error: OutputError) -> OutputError:
    unit = "max|reference|" if error.dtype in EPSILON else "the elements"
    return replace(
        error,
        ok=False,
        reason=f"{UNSTEADY}: one ulp on weights and inputs moves the original by {error.conditioning:.1e} of {unit}"
        ", and no sample is steadier",
    )

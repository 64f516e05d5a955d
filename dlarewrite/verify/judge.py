"""Weigh the outputs of all samples into one verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dlarewrite.verify.allowance import allow
from dlarewrite.verify.conditioning import Conditioning
from dlarewrite.verify.evidence import Evidence, worst
from dlarewrite.verify.outputs import OutputError, compare, parts
from dlarewrite.verify.policy import Policy
from dlarewrite.verify.reference import Sample, constant_outputs


def judge(
    blank: Evidence,
    samples: Sequence[Sample],
    candidate: Sequence[Mapping[str, Any]],
    policy: Policy,
    conditioning: Conditioning,
) -> Evidence:
    """Complete `blank` from the original's samples and what the candidate made of the same feeds, in the same order.

    `conditioning` measures how the original moves, where an output fails that `policy` lets it explain.
    """
    hollow = set.intersection(*(set(sample.hollow) for sample in samples))
    constant = constant_outputs(samples)
    compared = [
        [replace(error, sample=sample.label) for error in compare(sample.outputs, outputs, policy.tolerance)]
        for sample, outputs in zip(samples, candidate, strict=True)
    ]
    compared, notes = allow(samples, candidate, compared, policy, conditioning)
    errors = [replace(_hollow(e, hollow), constant=e.name in constant) for e in worst(compared)]
    failing = [error for error in errors if not error.ok]
    reason = "; ".join(f"output {error.name!r} ({error.sample}): {error.reason}" for error in failing)
    return replace(
        blank,
        ok=not failing,
        outputs=tuple(errors),
        tolerance=policy.describe(_dtypes(samples[0].outputs)),
        notes=(*(note for sample in samples for note in sample.notes), *notes),
        constant_output=bool(constant),
        reason=reason,
    )


def _hollow(error: OutputError, hollow: set[str]) -> OutputError:
    if not error.ok or hollow.isdisjoint({error.name, error.name.partition("[")[0]}):
        return error
    return replace(error, ok=False, reason="proves nothing: the original yields no finite number on any sample")


def _dtypes(outputs: Mapping[str, Any]) -> dict[str, str]:
    arrays = {name: next(parts(name, value), (name, None))[1] for name, value in outputs.items()}
    return {n: "str" if a.dtype.kind in "OU" else a.dtype.name for n, a in arrays.items() if a is not None}

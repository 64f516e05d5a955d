"""The original model's side of a proof: the inputs that were settled on, and what it makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlarewrite.verify.failures import NO_PROOF_HINT, CannotRun
from dlarewrite.verify.inputs import Feed, Feeder
from dlarewrite.verify.outputs import parts
from dlarewrite.verify.runner import RunFailure, Session

REDRAWS = ((0.25, False), (0.25, True), (0.05, True))
"""What is tried when an output has no finite number: smaller inputs, and positive ones for a logarithm or a root."""


CALM = 0.25
"""Scale of the inputs that are drawn when one ulp moves the original too far on all others."""


@dataclass(frozen=True)
class Sample:
    """One feed with the original's outputs; `hollow` names float outputs that hold no finite number."""

    label: str
    feed: Feed
    outputs: dict[str, Any]
    hollow: tuple[str, ...]
    notes: tuple[str, ...] = ()


def from_seed(session: Session, feeder: Feeder, seed: int) -> Sample:
    """Draw inputs for `seed`; where an output has no finite number, draw smaller ones, up to three times."""
    label = f"seed {seed}"
    sample = from_feed(session, feeder.draw(seed), label)
    notes: list[str] = []
    for scale, positive in REDRAWS if feeder.ports else ():
        if not sample.hollow:
            break
        drawn = f"inputs drawn again at scale {scale:g}{' and positive' if positive else ''}"
        notes.append(f"{label}: {', '.join(sample.hollow)} not finite, {drawn}")
        sample = from_feed(session, feeder.draw(seed, scale, positive=positive), label)
    return Sample(label, sample.feed, sample.outputs, sample.hollow, (*notes, *sample.notes))


def calm(session: Session, feeder: Feeder, seed: int) -> Sample:
    """One more sample, of small inputs, for a model that no other sample says anything about.

    Far from the inputs that a network is made for, its layers may blow each other up until every digit is noise.
    """
    label = f"seed {seed} at scale {CALM:g}"
    sample = from_feed(session, feeder.draw(seed, CALM), label)
    return Sample(label, sample.feed, sample.outputs, sample.hollow, (f"{label}: drawn for a steadier sample",))


def from_feed(session: Session, feed: Mapping[str, Any], label: str) -> Sample:
    """Run the original on one feed.

    Raises CannotRun where onnxruntime stops: nothing can be proven with inputs that the original does not take.
    """
    try:
        outputs = session.run(feed)
    except RunFailure as error:
        raise CannotRun(
            f"the original model does not run on {label}: {error}",
            hint=f"give real inputs with --inputs data.npz; {NO_PROOF_HINT}",
        ) from error
    hollow: list[str] = []
    notes: list[str] = []
    for name, value in outputs.items():
        arrays = [array.astype(np.float64) for _, array in parts(name, value) if _is_float(array) and array.size]
        finite, size = sum(int(np.isfinite(a).sum()) for a in arrays), sum(a.size for a in arrays)
        if size and not finite:
            hollow.append(name)
        elif finite < size:
            notes.append(f"{label}: {name} holds {size - finite} NaN or infinite of {size} elements in the original")
    return Sample(label, dict(feed), outputs, tuple(hollow), tuple(notes))


def constant_outputs(samples: Sequence[Sample]) -> set[str]:
    """Parts of outputs that are the same in every sample; with one sample, those that hold one value throughout."""
    flat = [dict(part for name, value in s.outputs.items() for part in parts(name, value)) for s in samples]
    if len(flat) == 1:
        return {name for name, array in flat[0].items() if array.size > 1 and _equal(array, array.flat[0])}
    return {
        name
        for name, array in flat[0].items()
        if array.size and all(name in other and _equal(array, other[name]) for other in flat[1:])
    }


def _equal(array: Any, other: Any) -> bool:
    if np.shape(other) not in ((), array.shape):
        return False
    nan = np.not_equal(array, array) & np.not_equal(other, other)  # only NaN is unequal to itself
    return bool(np.all((array == other) | nan))


def _is_float(array: Any) -> bool:
    return array.dtype.kind == "f" or "float" in array.dtype.name

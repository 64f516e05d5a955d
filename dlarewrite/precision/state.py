"""A calibration's statistics on disk, so that it can go on after an interrupt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from dlarewrite.errors import UsageError
from dlarewrite.ir.exporter import atomic
from dlarewrite.ir.model import Model
from dlarewrite.precision.histogram import BINS, Histogram

VERSION = 1


@dataclass
class Statistics:
    """Histograms by tensor name after ``done`` samples; ``gaps`` names tensors without, and why."""

    histograms: dict[str, Histogram] = field(default_factory=dict)
    gaps: dict[str, str] = field(default_factory=dict)
    done: int = 0


def content(model: Model) -> str:
    """A digest of everything that a model computes with: nodes, shapes and weights (files of weights by size and time).

    Unlike a fingerprint it tells two trainings of one network apart.
    """
    proto = model.to_proto()
    made = hashlib.sha256()
    folder = model.folder or Path()
    for tensor in proto.graph.initializer:
        made.update(tensor.SerializeToString(deterministic=True))
        for entry in tensor.external_data:
            place = folder / entry.value
            if entry.key == "location" and place.is_file():
                made.update(f"{place.stat().st_size} {place.stat().st_mtime_ns}".encode())
    del proto.graph.initializer[:]
    made.update(proto.SerializeToString(deterministic=True))
    return made.hexdigest()


def save_state(path: Path, seen: Statistics, run: Mapping[str, str]) -> None:
    """Write atomically; ``run`` names everything that the statistics depend on."""
    tensors = list(seen.histograms)
    found = seen.histograms.values()
    about = {"version": VERSION, "run": dict(run), "tensors": tensors, "gaps": seen.gaps, "done": seen.done}
    # Counts are stored per tensor and only where there are any: most bins of a young histogram are empty.
    counts = [h.counts for h in found if h.counted]
    with atomic(path) as file:
        np.savez_compressed(
            file,
            about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8),
            ranges=np.array([(h.low, h.high, h.width) for h in found], dtype=np.float64).reshape(-1, 3),
            totals=np.array([h.total for h in found], dtype=np.int64),
            counts=np.stack(counts) if counts else np.zeros((0, BINS), dtype=np.int64),
        )


def load_state(path: Path, run: Mapping[str, str]) -> Statistics | None:
    """What an earlier run left, or None where there is no such file.

    Raises UsageError for a file that is none, and for one of another run, naming what differs.
    """
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            about = json.loads(archive["about"].tobytes())
            ranges, totals, counts = (archive[name] for name in ("ranges", "totals", "counts"))
        known, tensors, version = dict(about["run"]), list(about["tensors"]), about["version"]
        seen = Statistics(gaps=dict(about["gaps"]), done=int(about["done"]))
        if version == VERSION:
            for number, name in enumerate(tensors):
                low, high, width = map(float, ranges[number])
                held = counts[number].astype(np.int64) if len(counts) else np.zeros(BINS, dtype=np.int64)
                seen.histograms[name] = Histogram(bool(len(counts)), low, high, int(totals[number]), width, held)
    except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, BadZipFile) as error:
        raise UsageError(f"{str(path)!r} is no state of a calibration", hint="delete it, or name another") from error
    differing = [name for name in run if known.get(name) != run[name]]
    if version != VERSION or differing:
        what = ", ".join(differing) or "format"
        raise UsageError(
            f"{str(path)!r} belongs to another calibration (other {what})",
            hint="delete it to begin anew, or name another with --state",
        )
    return seen

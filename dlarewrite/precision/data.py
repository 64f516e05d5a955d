"""Calibration data, one sample at a time: pictures, a Python function, or (in ``arrays``) numpy files.

A sample is a feed of the model: one array per input. Files are taken in the order of their paths, so that the same
folder gives the same samples in the same order everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dlarewrite.errors import UsageError
from dlarewrite.precision.images import SUFFIXES, Preprocess
from dlarewrite.verify.npz import fit
from dlarewrite.verify.ports import Port

Array = npt.NDArray[Any]
Feed = Mapping[str, Array]
Ports = Mapping[str, Port]

_ARRAYS = frozenset((".npz", ".npy"))
_KINDS = "pictures, .npz files or .npy files"


@dataclass(frozen=True)
class Sample:
    """One run of the model: arrays by input name, and what to call them in a message."""

    label: str
    feed: Feed


@dataclass(frozen=True)
class Data:
    """Samples to iterate from any place on. ``count`` is None where only iterating tells; ``key`` names the content.

    ``most`` is how many there are at most: the limit that was set, or ``count``.
    """

    title: str
    key: str
    count: int | None
    begin: Callable[[int], Iterator[Sample]]
    limit: int | None = None

    @property
    def most(self) -> int | None:
        return self.count if self.limit is None else self.limit

    def limited(self, limit: int | None) -> Data:
        """The first ``limit`` samples."""
        if limit is None or (self.count is not None and limit >= self.count):
            return self

        def begin(start: int) -> Iterator[Sample]:
            for number, sample in enumerate(self.begin(start), start):
                if number >= limit:
                    return
                yield sample

        return Data(self.title, self.key, limit if self.count is not None else None, begin, limit)


def files_in(folder: Path) -> tuple[str, list[Path]]:
    """ "images" or "arrays", and the files, at any depth, in the order of their paths.

    Raises UsageError for a folder without any, and for one that holds both kinds.
    """
    found: dict[str, list[Path]] = {"images": [], "arrays": []}
    for path in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).as_posix()):
        suffix = path.suffix.lower()
        if path.name.startswith(".") or suffix not in SUFFIXES | _ARRAYS or not path.is_file():
            continue
        found["arrays" if suffix in _ARRAYS else "images"].append(path)
    kinds = [kind for kind, paths in found.items() if paths]
    if not kinds:
        raise UsageError(f"folder {str(folder)!r} holds no {_KINDS}", hint="name the folder that they are in")
    if len(kinds) == 2:
        raise UsageError(f"folder {str(folder)!r} holds both pictures and arrays", hint="put them into two folders")
    return kinds[0], found[kinds[0]]


def image_data(paths: Sequence[Path], name: str, batch: int, how: Preprocess) -> Data:
    """Pictures as samples of ``batch`` each; a remainder that fills no batch is left out."""

    def begin(start: int) -> Iterator[Sample]:
        for first in range(start * batch, len(paths) - batch + 1, batch):
            taken = paths[first : first + batch]
            label = taken[0].name if batch == 1 else f"{taken[0].name} … {taken[-1].name}"
            yield Sample(label, {name: np.stack([how.read(path) for path in taken])})

    if len(paths) < batch:
        raise UsageError(
            f"the model's batch is {batch}, and there are {len(paths)} pictures",
            hint="export it with a symbolic batch, and give --batch 1",
        )
    return Data(f"{len(paths)} pictures, {how}", key_of(paths, str(how)), len(paths) // batch, begin)


def function_data(spec: str, function: Callable[[], Any], ports: Ports) -> Data:
    """What a function without arguments returns or yields: feeds (dicts), or arrays for a model with one input.

    Raises UsageError where it raises, yields something else, or what it yields does not fit the model.
    """

    def begin(start: int) -> Iterator[Sample]:
        try:
            made: Iterator[Any] = iter(function())
        except Exception as error:
            raise _raised(spec, error) from error
        for number in range(2**62):
            try:
                item = next(made)
            except StopIteration:
                return
            except Exception as error:
                raise _raised(spec, error) from error
            if number >= start:
                yield checked(_as_feed(item, ports, f"{spec!r}, sample {number}"), ports, f"{spec}[{number}]")

    return Data(f"samples of {spec}", spec, None, begin)


def _raised(spec: str, error: Exception) -> UsageError:
    text = (str(error) or type(error).__name__).splitlines()[0]
    return UsageError(f"data function {spec!r} raised {type(error).__name__}: {text}")


def _as_feed(item: Any, ports: Ports, where: str) -> dict[str, Array]:
    if isinstance(item, Mapping):
        return {str(name): np.asarray(value) for name, value in item.items()}
    if len(ports) == 1 and not isinstance(item, (str, bytes)):
        return {next(iter(ports)): np.asarray(item)}
    raise UsageError(
        f"{where}: {type(item).__name__} is no feed",
        hint=f"yield a dict with {', '.join(ports)}, each a numpy array",
    )


def checked(feed: Mapping[str, Array], ports: Ports, label: str) -> Sample:
    """The sample of a feed; raises UsageError where it does not fit the model, or holds NaN or infinity."""
    problems: list[str] = []
    found = fit(feed, ports, problems)
    for name, values in found.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            problems.append(f"{name} holds {'NaN' if np.isnan(values).any() else 'infinity'}")
    if problems:
        raise UsageError(
            f"{label} does not fit the model: {'; '.join(problems)}",
            hint=f"the model's inputs: {', '.join(f'{port.name} ({port})' for port in ports.values())}",
        )
    return Sample(label, found)


def key_of(paths: Iterable[Path], more: str) -> str:
    """Names, sizes and times of the files: enough to see that an interrupted run would go on with other data."""
    made = hashlib.sha256(more.encode())
    for path in paths:
        state = path.stat()
        made.update(f"{path.name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return made.hexdigest()

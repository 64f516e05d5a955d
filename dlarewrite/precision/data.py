"""Calibration data, one sample at a time: pictures, numpy files, or a Python function.

A sample is a feed of the model: one array per input. Files are taken in the order of their paths, so that the same
folder gives the same samples in the same order everywhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from dlarewrite.errors import UsageError
from dlarewrite.precision.images import SUFFIXES, Preprocess
from dlarewrite.verify.npz import fit
from dlarewrite.verify.ports import Port

Array = npt.NDArray[Any]
Feed = Mapping[str, Array]
Ports = Mapping[str, Port]

_NUMBERED = re.compile(r"(\d+)/(.+)", re.DOTALL)
_ARRAYS = frozenset((".npz", ".npy"))
_UNREADABLE = (OSError, ValueError, EOFError, BadZipFile)
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
    return Data(f"{len(paths)} pictures, {how}", _key(paths, str(how)), len(paths) // batch, begin)


def array_data(paths: Sequence[Path], ports: Ports) -> Data:
    """The samples in .npz and .npy files, read as they are needed.

    An .npz has an array per input (``images``), or several samples with numbers (``0/images``, ``1/images`` …); an
    .npy is for a model with one input. An array whose leading dim is a multiple of the input's is cut into samples.
    """
    counts = [_count(path, ports) for path in paths]

    def begin(start: int) -> Iterator[Sample]:
        done = 0
        for path, count in zip(paths, counts, strict=True):
            if done + count > start:
                yield from _samples(path, ports, max(start - done, 0))
            done += count

    total = sum(counts)
    return Data(f"{total} samples from {len(paths)} numpy files", _key(paths, ""), total, begin)


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
                yield _checked(_as_feed(item, ports, f"{spec!r}, sample {number}"), ports, f"{spec}[{number}]")

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


def _checked(feed: Mapping[str, Array], ports: Ports, label: str) -> Sample:
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


def _key(paths: Iterable[Path], more: str) -> str:
    """Names, sizes and times of the files: enough to see that an interrupted run would go on with other data."""
    made = hashlib.sha256(more.encode())
    for path in paths:
        state = path.stat()
        made.update(f"{path.name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return made.hexdigest()


@contextlib.contextmanager
def _open(path: Path, ports: Ports) -> Iterator[Mapping[str, Array]]:
    """The file's arrays by name; an archive's are read when asked for, an .npy's where it is cut."""
    with contextlib.ExitStack() as closing:
        try:
            if path.suffix.lower() == ".npy":
                opened: Any = np.load(path, allow_pickle=False, mmap_mode="r")
            else:
                opened = closing.enter_context(np.load(closing.enter_context(path.open("rb")), allow_pickle=False))
        except _UNREADABLE as error:
            raise _unreadable(path, error) from error
        if not isinstance(opened, np.ndarray):
            yield opened
        elif len(ports) == 1:
            yield {next(iter(ports)): opened}
        else:
            raise UsageError(
                f"{str(path)!r} holds one array, the model has {len(ports)} inputs",
                hint=f"write an .npz with {', '.join(ports)}",
            )


def _numbers(names: Iterable[str], ports: Ports) -> list[int]:
    return sorted({int(m[1]) for m in map(_NUMBERED.fullmatch, (n for n in names if n not in ports)) if m})


def _parts(arrays: Mapping[str, Array], ports: Ports) -> int:
    """Into how many samples the arrays are cut along their leading dim; 1 where they do not agree on more."""
    found = set()
    for name, port in ports.items():
        values = arrays.get(name)
        lead = port.shape[0] if port.shape else None
        if values is None or values.ndim != len(port.shape or ()) or not isinstance(lead, int) or not lead:
            return 1
        if not len(values) or len(values) % lead:
            return 1
        found.add(len(values) // lead)
    return found.pop() if len(found) == 1 else 1


def _count(path: Path, ports: Ports) -> int:
    with _open(path, ports) as arrays:
        return len(_numbers(arrays, ports)) or _parts(_read(path, arrays, {n: n for n in arrays}), ports)


def _samples(path: Path, ports: Ports, start: int) -> Iterator[Sample]:
    with _open(path, ports) as arrays:
        numbers = _numbers(arrays, ports)
        if not numbers:
            yield from _cut(path, _read(path, arrays, {n: n for n in arrays}), ports, start)
            return
        shared = [name for name in arrays if not _NUMBERED.fullmatch(name)]
        for number in numbers[start:]:
            prefix = f"{number}/"
            names = {n: n for n in shared} | {n.removeprefix(prefix): n for n in arrays if n.startswith(prefix)}
            yield _checked(_read(path, arrays, names), ports, f"{path.name}:{number}")


def _cut(path: Path, whole: Mapping[str, Array], ports: Ports, start: int) -> Iterator[Sample]:
    parts = _parts(whole, ports)
    if parts == 1:
        if not start:
            yield _checked(whole, ports, path.name)
        return
    for number in range(start, parts):
        sizes = {name: len(values) // parts for name, values in whole.items()}
        cut = {n: np.asarray(v[number * sizes[n] : (number + 1) * sizes[n]]) for n, v in whole.items()}
        yield _checked(cut, ports, f"{path.name}[{number}]")


def _read(path: Path, arrays: Mapping[str, Array], names: Mapping[str, str]) -> dict[str, Array]:
    """Arrays under other names, read from the file now."""
    try:
        return {name: arrays[key] for name, key in names.items()}
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UsageError:
    return UsageError(f"cannot read {str(path)!r} as a numpy file: {error}")

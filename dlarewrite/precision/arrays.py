"""Calibration data from .npz and .npy files, read a sample at a time."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from dlarewrite.errors import UsageError
from dlarewrite.precision.data import Array, Data, Ports, Sample, checked, key_of

_NUMBERED = re.compile(r"(\d+)/(.+)", re.DOTALL)
_UNREADABLE = (OSError, ValueError, EOFError, BadZipFile)


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
    return Data(f"{total} samples from {len(paths)} numpy files", key_of(paths, ""), total, begin)


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
            yield checked(_read(path, arrays, names), ports, f"{path.name}:{number}")


def _cut(path: Path, whole: Mapping[str, Array], ports: Ports, start: int) -> Iterator[Sample]:
    parts = _parts(whole, ports)
    if parts == 1:
        if not start:
            yield checked(whole, ports, path.name)
        return
    for number in range(start, parts):
        sizes = {name: len(values) // parts for name, values in whole.items()}
        cut = {n: np.asarray(v[number * sizes[n] : (number + 1) * sizes[n]]) for n, v in whole.items()}
        yield checked(cut, ports, f"{path.name}[{number}]")


def _read(path: Path, arrays: Mapping[str, Array], names: Mapping[str, str]) -> dict[str, Array]:
    """Arrays under other names, read from the file now."""
    try:
        return {name: arrays[key] for name, key in names.items()}
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UsageError:
    return UsageError(f"cannot read {str(path)!r} as a numpy file: {error}")

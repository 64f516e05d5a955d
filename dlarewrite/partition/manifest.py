"""The manifest of a split: its files with their checksums, their tensors, and who feeds whom; JSON with a version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dlarewrite.errors import ModelError, UsageError

FORMAT = "dlarewrite-split"
VERSION = 1
FILE = "manifest.json"
RUNNER = "runner.py"
INPUT, OUTPUT = "input", "output"


@dataclass(frozen=True)
class TensorEntry:
    """A tensor at the border of a part: numpy dtype name, and dims (a symbol or None where they are not static, None
    for an unknown rank).

    ``source`` is the part that it comes from ("input": the network's own), ``readers`` are the parts that it goes to
    ("output": the network's own).
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None
    source: str
    readers: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        dims = None if self.shape is None else list(self.shape)
        named = {"name": self.name, "dtype": self.dtype, "shape": dims}
        return {**named, "from": self.source, "to": list(self.readers)}


@dataclass(frozen=True)
class PartEntry:
    """One part: ``file`` and, where its weights are beside it, ``data``, with a SHA-256 each; "dla" or "gpu"; the
    loadables that it takes; nodes and MACs."""

    name: str
    device: str
    file: str
    sha256: str
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]
    nodes: int
    macs: int
    loadables: int = 0
    data: str = ""
    data_sha256: str = ""


@dataclass(frozen=True)
class Manifest:
    """``parts`` in order of execution. ``numerics`` is how faithful the parts are to the file ``source``."""

    kind: str
    source: str
    source_sha256: str
    target: str
    precision: str
    numerics: str
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]
    parts: tuple[PartEntry, ...]
    empty: tuple[str, ...] = ()
    left_out: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    evidence: Mapping[str, Any] | None = field(default=None)
    version: int = VERSION

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; ``order`` repeats the names of the parts as they run."""
        found = {"format": FORMAT, "version": self.version, "order": [part.name for part in self.parts]}
        found |= {key: value for key, value in asdict(self).items() if key != "version"}
        for name in ("inputs", "outputs"):
            found[name] = [tensor.to_dict() for tensor in getattr(self, name)]
        found["parts"] = [
            asdict(part) | {name: [t.to_dict() for t in getattr(part, name)] for name in ("inputs", "outputs")}
            for part in self.parts
        ]
        return found

    def dump(self) -> str:
        """JSON text that :func:`load` reads back."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all files of the split, the manifest and the runner included."""
        own = [name for part in self.parts for name in (part.file, part.data) if name]
        return (*own, FILE, RUNNER)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def load(folder: Path) -> Manifest:
    """Read the manifest of a folder; raises :class:`UsageError` that names what is wrong with it."""
    path = folder / FILE
    if not folder.is_dir():
        raise UsageError(f"{str(folder)!r} is no folder", hint="name the folder that `dlarewrite split -o` wrote")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"cannot read {str(path)!r}: {error.strerror}", hint="name a folder that `dlarewrite split -o` wrote"
        ) from error
    except ValueError as error:
        raise UsageError(f"{str(path)!r} is not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("version") != VERSION:
        raise UsageError(f"{str(path)!r} is not a split's manifest of version {VERSION}", hint="split the model again")
    try:
        return _read(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{str(path)!r} lacks or misspells {error}", hint="split the model again") from error


def _read(data: Mapping[str, Any]) -> Manifest:
    plain = ("kind", "source", "source_sha256", "target", "precision", "numerics")
    words: dict[str, Any] = {name: str(data[name]) for name in plain}
    return Manifest(
        **words,
        inputs=_tensors(data["inputs"]),
        outputs=_tensors(data["outputs"]),
        parts=tuple(_part(part) for part in data["parts"]),
        empty=tuple(map(str, data.get("empty", ()))),
        left_out=tuple(data.get("left_out", ())),
        notes=tuple(map(str, data.get("notes", ()))),
        evidence=data.get("evidence"),
    )


def _part(data: Mapping[str, Any]) -> PartEntry:
    for name in ("file", "data"):
        if Path(data[name]).name != data[name]:
            raise ValueError(f"{name!r}: {data[name]!r} is not a plain file name")
    words: dict[str, Any] = {
        name: str(data[name]) for name in ("name", "device", "file", "sha256", "data", "data_sha256")
    }
    numbers: dict[str, Any] = {name: int(data[name]) for name in ("nodes", "macs", "loadables")}
    return PartEntry(
        **words,
        **numbers,
        inputs=_tensors(data["inputs"]),
        outputs=_tensors(data["outputs"]),
    )


def _tensors(data: Sequence[Mapping[str, Any]]) -> tuple[TensorEntry, ...]:
    return tuple(
        TensorEntry(
            name=str(t["name"]),
            dtype=str(t["dtype"]),
            shape=None if t["shape"] is None else tuple(t["shape"]),
            source=str(t["from"]),
            readers=tuple(map(str, t.get("to", ()))),
        )
        for t in data
    )


def check_files(folder: Path, manifest: Manifest, *, checksums: bool = True) -> None:
    """Raise :class:`ModelError` where a part's file is missing or is not the one that was written."""
    for part in manifest.parts:
        for name, expected in ((part.file, part.sha256), (part.data, part.data_sha256)):
            path = folder / name
            if name and not path.is_file():
                raise ModelError(f"{str(path)!r} is missing", hint="copy the whole folder, or split the model again")
            if name and checksums and digest(path) != expected:
                raise ModelError(
                    f"{str(path)!r} is not the file that was written: its SHA-256 is not the manifest's",
                    hint="split the model again, or give --allow-changed to run it as it is",
                )

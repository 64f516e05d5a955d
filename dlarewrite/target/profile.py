"""The machines a model can be judged for, and the errors for those that have no DLA."""

from __future__ import annotations

import difflib
import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlarewrite.errors import UsageError
from dlarewrite.target.correction import NO_CORRECTIONS, Corrections, load_corrections
from dlarewrite.target.sources import cite, load_yaml
from dlarewrite.target.verdict import Precision


@dataclass(frozen=True)
class Profile:
    """A module with its software release.

    ``tensorrt`` is the version as numbers, ``column`` the support matrix's column, ``max_loadables`` the documented
    cap per core, ``int8`` "implicit" (calibration cache or dynamic ranges) or "unknown" (not documented).
    """

    name: str
    title: str
    modules: tuple[str, ...]
    soc: str
    dla_generation: str
    dla_cores: int
    platform: str
    tensorrt: tuple[int, ...]
    column: str
    max_loadables: int
    int8: str = "implicit"
    strongly_typed: bool = False
    aliases: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def orin(self) -> bool:
        return self.dla_generation == "2.0"

    @property
    def version(self) -> str:
        """TensorRT's version in dots."""
        return ".".join(str(part) for part in self.tensorrt)


@dataclass(frozen=True)
class Target:
    """A profile together with the precision that the engine is built for, and what a board of its own said."""

    profile: Profile
    precision: Precision = Precision.FP16
    corrections: Corrections = NO_CORRECTIONS

    @property
    def name(self) -> str:
        return self.profile.name

    def __str__(self) -> str:
        probed = ", as probed" if self.corrections.entries else ""
        return f"{self.profile.name} (TensorRT {self.profile.version}, {self.precision.value}{probed})"


def _profile(raw: dict[str, Any]) -> Profile:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
    return Profile(**values)


@functools.cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = load_yaml("profiles.yaml")
    return data


@functools.cache
def profiles() -> tuple[Profile, ...]:
    """All profiles, oldest first."""
    return tuple(_profile(raw) for raw in _data()["profiles"])


DEFAULT_TARGET: str = "orin-jp6"


def load_target(name: str, precision: Precision = Precision.FP16) -> Target:
    """The target of a name, an alias or a correction file (YAML, see ``dlarewrite probe``).

    Raises :class:`UsageError` that says why, and names the nearest profile.
    """
    if name.strip().endswith((".yaml", ".yml")):
        return _corrected(Path(name.strip()), Precision(precision))
    wanted = name.strip().lower()
    for profile in profiles():
        if wanted == profile.name or wanted in profile.aliases:
            return Target(profile, Precision(precision))
    for known in _data()["without_dla"]:
        if re.search(known["pattern"], wanted):
            raise UsageError(
                f"target {name!r} cannot be used: {known['reason']} [{cite(known['source'])}]",
                hint=f"the nearest target with a DLA is {known['nearest']}",
            )
    names = [profile.name for profile in profiles()]
    near = difflib.get_close_matches(wanted, names, n=2, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known targets: {', '.join(names)}"
    raise UsageError(f"there is no target named {name!r}", hint=hint)


def _corrected(path: Path, precision: Precision) -> Target:
    found = load_corrections(path)
    target = load_target(found.target, precision)
    if found.precision != precision.value:
        raise UsageError(
            f"{str(path)!r} was probed for {found.precision}, not for {precision.value}",
            hint=f"--precision {found.precision}, or probe again",
        )
    return Target(target.profile, precision, found)

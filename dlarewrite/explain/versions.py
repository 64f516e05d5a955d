"""Which TensorRT wrote a log, and which profile that is."""

from __future__ import annotations

import re

from dlarewrite.explain.pattern import Version
from dlarewrite.target import DEFAULT_TARGET, Profile, profiles

_BANNER = re.compile(r"\[TensorRT v(\d{4,6})\]")
_DOTTED = re.compile(r"\bTensorRT(?: version)?:?\s+v?(\d{1,2}\.\d{1,2}(?:\.\d{1,3}){0,2})\b", re.IGNORECASE)
_DRIVE_PATCH = 10
"""TensorRT's 8.x patches from 10 on are DRIVE OS releases (8.5.10, 8.6.10 ...)."""


def version_in(text: str) -> Version:
    """The TensorRT version that a line names: ``[TensorRT v8502]`` or ``TensorRT version: 8.6.1``; () for none."""
    banner = _BANNER.search(text)
    if banner is not None:
        return _from_number(int(banner[1]))
    dotted = _DOTTED.search(text)
    return tuple(int(part) for part in dotted[1].split(".")) if dotted is not None else ()


def _from_number(number: int) -> Version:
    """NV_TENSORRT_VERSION: 1000 a major release up to 8, 10000 from 10 on."""
    if number < 10000:
        return (number // 1000, number // 100 % 10, number % 100)
    return (number // 10000, number // 100 % 100, number % 100)


def choose(version: Version, device: str, since: Version | None, until: Version | None) -> tuple[Profile, str]:
    """The profile of a log, and what was assumed to get there ("" where nothing was).

    ``device`` is the name of the GPU that the log prints; ``since`` and ``until`` are the releases whose sentences were
    found, used where the log names no version.
    """
    if not version:
        if until is not None and until < (8, 4):
            found = _named("xavier-jp4")
            return found, f"the log names no TensorRT version; its sentences are those of {_dots(until)} or older"
        found = _named(DEFAULT_TARGET)
        if since is not None and since > found.tensorrt[:2]:
            found = next((p for p in profiles() if p.tensorrt[:2] >= since), found)
        return found, "the log names no TensorRT version; --target says which it was"
    fitting = [p for p in profiles() if _device_fits(p, device)] or list(profiles())
    drive = version[0] == 8 and len(version) > 2 and version[2] >= _DRIVE_PATCH
    fitting = [p for p in fitting if p.name.startswith("drive") == drive or version[:2] != p.tensorrt[:2]] or fitting
    best = min(_distance(p, version) for p in fitting)
    near = [p for p in fitting if _distance(p, version) == best]
    found = next((p for p in near if p.orin), near[0])
    said = []
    if best[0]:
        said.append(f"there is no profile of TensorRT {_dots(version)}; {_dots(found.tensorrt)} is the nearest")
    if len({p.dla_generation for p in near}) > 1:
        said.append("Xavier and Orin have this TensorRT; Orin is assumed, --target says otherwise")
    return found, "; ".join(said)


def _device_fits(profile: Profile, device: str) -> bool:
    name = device.lower()
    if "xavier" in name:
        return not profile.orin
    return profile.orin if "orin" in name else True


def _distance(profile: Profile, version: Version) -> tuple[int, int, int]:
    """How far the releases are apart: (major, minor), then the patch, then the older one behind."""
    mine, theirs = _ordinal(profile.tensorrt), _ordinal(version)
    patch = abs((*profile.tensorrt, 0, 0)[2] - (*version, 0, 0)[2])
    return abs(mine - theirs), patch if mine == theirs else 0, int(mine < theirs)


def _ordinal(version: Version) -> int:
    return version[0] * 100 + (version[1] if len(version) > 1 else 0)


def _named(name: str) -> Profile:
    return next(p for p in profiles() if p.name == name)


def _dots(version: Version) -> str:
    return ".".join(map(str, version))

"""Scale tables as files: which of the two formats it is, and dlarewrite's own, which is JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlarewrite.errors import UsageError
from dlarewrite.ir.exporter import atomic
from dlarewrite.precision import cache
from dlarewrite.precision.scales import Certainty, Scale, ScaleTable

SCHEMA_VERSION = 1

_KIND = "dlarewrite scales"
_LIMIT = 1 << 28
"""Bytes; a million tensors take a tenth of it."""
_FIELDS = {"amax", "scale", "certainty", "source", "low", "high", "zero_point"}


def load(path: Path) -> ScaleTable:
    """Read JSON or a calibration cache; raises :class:`UsageError` with file and line."""
    name = str(path)
    try:
        size = path.stat().st_size
        if size > _LIMIT:
            raise UsageError(f"{name!r} has {size:,} bytes; no table of scales is that large")
        text = path.read_text(encoding="utf-8-sig", errors="strict")
    except OSError as error:
        raise UsageError(f"cannot read scales {name!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{name!r} is neither JSON nor a calibration cache: byte {error.start} is no text") from error
    return from_json(text, name) if text.lstrip()[:1] == "{" else cache.parse(text, name)


def save(table: ScaleTable, path: Path) -> None:
    """Write atomically: JSON for ``.json``, else a calibration cache."""
    text = to_json(table) if path.suffix.lower() == ".json" else cache.render(table)
    with atomic(path) as file:
        file.write(text.encode())


def to_json(table: ScaleTable) -> str:
    """Text that :func:`from_json` reads back exactly; ``scale`` is the hex of the float32, as in a cache."""
    entries = {name: _entry(scale) for name, scale in table.scales.items()}
    words = {"method": table.method, "model": table.model, "header": table.header}
    whole = {
        "schema_version": SCHEMA_VERSION,
        "kind": _KIND,
        **{key: value for key, value in words.items() if value},
        "tensors": entries,
        "layer_precisions": dict(table.layer_precisions),
    }
    return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str, name: str = "scales") -> ScaleTable:
    """Read a table; raises :class:`UsageError` with the line at fault."""
    try:
        whole = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise UsageError(f"{name}:{error.lineno}: not JSON: {error.msg}") from error
    except RecursionError as error:
        raise UsageError(f"{name}: nested too deeply for a table of scales") from error
    except (_TwiceError, ValueError) as error:
        raise UsageError(f"{name}:{_line_of(text, str(error))}: {_why(error)}") from error
    if not isinstance(whole, dict) or whole.get("schema_version") != SCHEMA_VERSION:
        found = whole.get("schema_version") if isinstance(whole, dict) else None
        raise UsageError(f"{name}: schema_version is {found!r}, and {SCHEMA_VERSION} is what can be read")
    tensors = _mapping(whole, "tensors", name)
    layers = _mapping(whole, "layer_precisions", name)
    scales = {tensor: _scale(entry, f"{name}:{_line_of(text, tensor)}", tensor) for tensor, entry in tensors.items()}
    return ScaleTable(
        scales,
        {str(k): str(v) for k, v in layers.items()},
        *(str(whole.get(key) or "") for key in ("method", "model", "header")),
    )


class _TwiceError(Exception):
    """A key that an object has twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _TwiceError(key)
        found[key] = value
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(word)


def _why(error: Exception) -> str:
    return f"{str(error)!r} is given twice" if isinstance(error, _TwiceError) else f"{error} is no amax"


def _mapping(whole: Mapping[str, Any], key: str, name: str) -> Mapping[str, Any]:
    found = whole.get(key, {})
    if not isinstance(found, dict):
        raise UsageError(f"{name}: {key!r} is not an object")
    return found


def _scale(entry: Any, place: str, tensor: str) -> Scale:
    what = f"{place}: tensor {tensor!r}"
    if not isinstance(entry, dict) or not {"amax", "scale"} & entry.keys():
        raise UsageError(f"{what}: expected an object with 'amax'")
    unknown = sorted(entry.keys() - _FIELDS)
    if unknown:
        raise UsageError(f"{what}: unknown field {unknown[0]!r}")
    source, certainty = str(entry.get("source", "")), _certainty(entry, what)
    low, high = (_number(entry, key, what) for key in ("low", "high"))
    zero = entry.get("zero_point", 0)
    if type(zero) is not int or not -128 <= zero <= 255:
        raise UsageError(f"{what}: zero_point is {zero!r}, and no integer of 8 bits")
    amax = _number(entry, "amax", what)
    try:
        by_bits = None if "scale" not in entry else Scale.from_bits(int(str(entry["scale"]), 16), source, certainty)
        found = by_bits if amax is None else Scale(amax, source, certainty)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{what}: scale {entry['scale']!r} is not the hex of a float32") from error
    except UsageError as error:
        raise UsageError(f"{what}: {error.message}") from error
    if found is None:
        raise UsageError(f"{what}: 'amax' is missing")
    if by_bits is not None and not by_bits.same_as(found):
        raise UsageError(
            f"{what}: amax {amax!r} and scale {entry['scale']!r} disagree", hint="remove the one that is not meant"
        )
    return Scale(found.amax, source, certainty, low, high, zero)


def _certainty(entry: Mapping[str, Any], what: str) -> Certainty:
    word = entry.get("certainty", Certainty.EXACT.value)
    try:
        return Certainty(word)
    except ValueError as error:
        known = ", ".join(c.value for c in Certainty)
        raise UsageError(f"{what}: certainty {word!r} is none of {known}") from error


def _number(entry: Mapping[str, Any], key: str, what: str) -> float | None:
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UsageError(f"{what}: {key} is {value!r}, and no number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise UsageError(f"{what}: {key} is not finite")
    return number


def _entry(scale: Scale) -> dict[str, Any]:
    found: dict[str, Any] = {"amax": scale.amax, "scale": f"{scale.bits:x}", "certainty": scale.certainty.value}
    found["source"] = scale.source
    found.update({k: v for k, v in (("low", scale.low), ("high", scale.high)) if v is not None})
    return found | ({"zero_point": scale.zero_point} if scale.zero_point else {})


def _line_of(text: str, word: str) -> int:
    """The line where a key (or a bare word) stands; the first one if none is found."""
    for piece in (f"{json.dumps(word, ensure_ascii=False)}:", json.dumps(word), word):
        at = text.find(piece)
        if at >= 0:
            return text.count("\n", 0, at) + 1
    return 1

"""TensorRT's calibration cache: text of one header line and one ``tensor: hex`` line per tensor.

The hex digits are the big-endian bits of the float32 scale (amax / 127), without ``0x`` and without padding. Tensor
names may hold colons and spaces, so that a line is split at its last ``": "``. Consumed by ``trtexec --calib`` and by
calibrators up to TensorRT 10.16; 11 has neither.
"""

from __future__ import annotations

import math
import re
import struct
from pathlib import PurePath

from dlarewrite.errors import UsageError
from dlarewrite.precision.scales import Certainty, Scale, ScaleTable

DEFAULT_HEADER = "TRT-8600-EntropyCalibration2"
"""The header that NVIDIA's translator writes; a builder of another version accepts it with a warning."""

_HEADER = re.compile(r"TRT-\d+-\w+")
_HEX = re.compile(r"(?:0[xX])?([0-9a-fA-F]{1,8})")
_SEPARATOR = ": "
_SHOWN = 60


def parse(text: str, name: str = "calibration cache") -> ScaleTable:
    """Read a cache; ``name`` stands for it in errors.

    A byte order mark and CRLF are accepted. Raises :class:`UsageError` with the number of the line at fault.
    """
    lines = [line.rstrip("\r") for line in text.lstrip("\ufeff").split("\n")]
    header = lines[0].strip()
    if not _HEADER.fullmatch(header):
        raise UsageError(
            f"{name}:1: {_short(header)} is not the header of a calibration cache",
            hint=f"the first line reads {DEFAULT_HEADER}",
        )
    source = PurePath(name).name
    scales: dict[str, Scale] = {}
    places: dict[str, int] = {}
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        tensor, scale = _line(line, f"{name}:{number}", source)
        known = scales.setdefault(tensor, scale)
        if not known.same_as(scale):
            raise UsageError(
                f"{name}:{number}: a second scale for tensor {_short(tensor)}, {scale.bits:x} after {known.bits:x} on "
                f"line {places[tensor]}",
                hint="remove one of the two lines",
            )
        places.setdefault(tensor, number)
    return ScaleTable(scales, method=header.split("-", 2)[2], header=header)


def render(table: ScaleTable) -> str:
    """The cache of a table: what :func:`parse` read comes out byte for byte as TensorRT writes it.

    Raises :class:`UsageError` where the format cannot hold a scale: a zero point, or a line break in a tensor's name.
    """
    header = table.header or DEFAULT_HEADER
    if not _HEADER.fullmatch(header):
        raise UsageError(f"{_short(header)} is not the header of a calibration cache; it reads like {DEFAULT_HEADER}")
    for tensor, scale in table.scales.items():
        if scale.zero_point:
            raise UsageError(
                f"tensor {_short(tensor)} has zero point {scale.zero_point}, and a calibration cache is symmetric",
                hint="save as .json, or make the scale symmetric",
            )
        if tensor.strip() != tensor or not tensor or len(tensor.splitlines()) > 1:
            raise UsageError(f"a calibration cache cannot hold the tensor name {_short(tensor)}")
    lines = [header, *(f"{t}{_SEPARATOR}{s.bits:x}" for t, s in table.scales.items())]
    return "\n".join(lines) + "\n"


def _line(line: str, place: str, source: str) -> tuple[str, Scale]:
    tensor, separator, digits = line.rpartition(_SEPARATOR)
    if not separator or not tensor.strip():
        raise UsageError(f"{place}: {_short(line)} is not 'tensor: hex'")
    found = _HEX.fullmatch(digits.strip())
    if found is None:
        raise UsageError(f"{place}: {_short(digits)} is not the hex of a float32, for tensor {_short(tensor)}")
    bits = int(found[1], 16)
    value = struct.unpack(">f", bits.to_bytes(4, "big"))[0]
    if not (math.isfinite(value) and value > 0):
        raise UsageError(
            f"{place}: the scale of tensor {_short(tensor)} is {value:g}; it has to be finite and above 0",
            hint="remove the line, and the tensor counts as one without a scale",
        )
    return tensor, Scale.from_bits(bits, source, Certainty.EXACT)


def _short(text: str) -> str:
    """A quoted piece of somebody else's file, of bounded length."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")

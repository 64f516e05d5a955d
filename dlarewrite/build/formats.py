"""Types and memory formats of engine inputs and outputs: trtexec's syntax, what the DLA takes, and what suits it best.

A format that is not the DLA's costs a reformat kernel on the GPU before or after every DLA node (IO-REFORMAT).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dlarewrite.errors import UsageError

TYPES: Mapping[str, str] = {
    "fp32": "DataType.FLOAT",
    "fp16": "DataType.HALF",
    "int8": "DataType.INT8",
    "int32": "DataType.INT32",
    "int64": "DataType.INT64",
    "bool": "DataType.BOOL",
    "uint8": "DataType.UINT8",
}
FORMATS: Mapping[str, str] = {
    "chw": "TensorFormat.LINEAR",
    "chw2": "TensorFormat.CHW2",
    "chw4": "TensorFormat.CHW4",
    "hwc8": "TensorFormat.HWC8",
    "chw16": "TensorFormat.CHW16",
    "chw32": "TensorFormat.CHW32",
    "dhwc8": "TensorFormat.DHWC8",
    "hwc": "TensorFormat.HWC",
    "dla_linear": "TensorFormat.DLA_LINEAR",
    "dla_hwc4": "TensorFormat.DLA_HWC4",
}
_STANDALONE_INPUT = {"fp16:dla_linear", "int8:dla_linear", "fp16:dla_hwc4", "int8:dla_hwc4", "fp16:chw16", "int8:chw32"}
_STANDALONE_OUTPUT = _STANDALONE_INPUT - {"fp16:dla_hwc4", "int8:dla_hwc4"}
_BLOCK = {"fp16": 16, "int8": 32}
_SIZE = {"fp16": 2, "int8": 1}
_ROW = 64


@dataclass(frozen=True)
class IoFormat:
    """A type with a memory format: ``fp16:chw16``."""

    dtype: str
    layout: str

    def __str__(self) -> str:
        return f"{self.dtype}:{self.layout}"


@dataclass(frozen=True)
class Border:
    """An engine input or output as the network shows it: who reads or makes it decides what suits it.

    ``image`` says that all readers are convolutions in at most four groups, which alone take HWC4; ``quantizable``
    that a scale is known for it.
    """

    direction: str
    name: str
    dtype: str
    dims: tuple[int, ...]
    on_dla: bool = False
    image: bool = False
    quantizable: bool = False

    @property
    def plain(self) -> IoFormat:
        """What TensorRT gives it by itself."""
        return IoFormat(self.dtype, "chw")


def parse_format(text: str) -> IoFormat:
    """``fp16:chw16``; the first of several formats joined by ``+`` would leave the choice open, so one is demanded."""
    kind, _, layout = text.strip().lower().partition(":")
    if kind not in TYPES or layout not in FORMATS:
        raise UsageError(
            f"{text!r} is no I/O format",
            hint=f"write TYPE:FORMAT, with a type of {', '.join(TYPES)} and a format of {', '.join(FORMATS)}",
        )
    return IoFormat(kind, layout)


def parse_formats(text: str) -> tuple[tuple[str, IoFormat], ...]:
    """``fp16:chw16`` for all, trtexec's list in the order of ports, or ``NAME:fp16:chw16``: names with formats."""
    found = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        head, _, layout = part.rpartition(":")
        name, _, kind = head.rpartition(":")
        found.append((name, parse_format(f"{kind}:{layout}")))
    return tuple(found)


def resolve(given: Sequence[tuple[str, IoFormat]], borders: Sequence[Border], what: str) -> dict[str, IoFormat]:
    """The format of each named port; raises :class:`UsageError` where names or counts do not fit the network."""
    names = [b.name for b in borders]
    named = {name: form for name, form in given if name}
    strange = [name for name in named if name not in names]
    if strange:
        raise UsageError(f"the network has no {what} {strange[0]!r}", hint=f"its {what}s: {', '.join(names)}")
    unnamed = [form for name, form in given if not name]
    if not unnamed:
        return named
    if len(unnamed) == 1:
        return {**dict.fromkeys(names, unnamed[0]), **named}
    if len(unnamed) != len(names):
        raise UsageError(
            f"{len(unnamed)} formats are given for {len(names)} {what}s",
            hint=f"one for all, one for each ({', '.join(names)}), or NAME:TYPE:FORMAT",
        )
    return {**dict(zip(names, unnamed, strict=True)), **named}


def native(border: Border, precision: str) -> IoFormat:
    """The format that spares the reformat: HWC4 for images, else channel blocks, or rows where blocks would be empty.

    A border of the GPU, of another rank than four or without numbers for the DLA stays plain.
    """
    if not border.on_dla or len(border.dims) != 4 or border.dtype not in ("fp32", "fp16"):
        return border.plain
    kind = "int8" if precision == "int8" and border.quantizable else "fp16"
    if border.direction == "input" and border.image and border.dims[1] in (1, 3, 4):
        return IoFormat(kind, "dla_hwc4")
    blocks = IoFormat(kind, "chw16" if kind == "fp16" else "chw32")
    return blocks if _block_bytes(border.dims, kind) <= _row_bytes(border.dims, kind) else IoFormat(kind, "dla_linear")


def _block_bytes(dims: tuple[int, ...], kind: str) -> int:
    n, c, h, w = dims
    block = _BLOCK[kind]
    return n * -(-c // block) * block * h * w * _SIZE[kind]


def _row_bytes(dims: tuple[int, ...], kind: str) -> int:
    n, c, h, w = dims
    return n * c * h * -(-w * _SIZE[kind] // _ROW) * _ROW


def check_standalone(border: Border, form: IoFormat) -> None:
    """Raise :class:`UsageError` for a format that a DLA loadable cannot have (IO-SA)."""
    legal = _STANDALONE_INPUT if border.direction == "input" else _STANDALONE_OUTPUT
    if str(form) in legal:
        return
    raise UsageError(
        f"{border.direction} {border.name!r} of a DLA loadable cannot be {form} (dims {list(border.dims)})",
        hint=f"legal: {', '.join(sorted(legal))}; the DLA's inputs and outputs are 4-D",
    )

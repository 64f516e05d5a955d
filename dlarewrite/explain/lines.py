"""A pasted log as clean lines: any encoding and line ending, without colours, time stamps and severity marks."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from dlarewrite.errors import UsageError

LONGEST = 1 << 20
"""Characters of a line that are read; the rest of a longer line is skipped, so that memory stays bounded."""
_HEAD = 1 << 13

_COLOUR = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_PREFIX = re.compile(
    r"""\s*(?:
        \[?\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\]                             # trtexec's clock; the bracket may be cut off
      | \[\d{4}-\d\d-\d\d[ T][\d:.,]+(?:\s+[A-Z]+)?\]                    # [2022-11-08 06:01:58 WARNING]
      | \d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?Z?
      | \[(?P<mark>[VIWEFXD])\]:?
      | \[(?:TRT|TensorRT)\]:?
      | \[[VIWEF]:onnxruntime:[^\]]{0,200}\]
      | \[[^\[\]]{0,80}Conversion\ Context\](?:\ -)?
      | (?P<word>WARNING|ERROR|INFO|VERBOSE|INTERNAL_ERROR|DEBUG)\s*:
      | TRT\s?:
      | [>\#|]
    )""",
    re.VERBOSE,
)
_CONTROL = frozenset(range(32)) - {8, 9, 10, 11, 12, 13, 27}


class Line(NamedTuple):
    """``number`` counts from 1, ``text`` is the message, ``raw`` whether nothing was taken off it, ``cut`` whether it
    was longer than :data:`LONGEST`."""

    number: int
    text: str
    raw: bool
    cut: bool


def open_log(path: Path) -> BinaryIO:
    """The log for reading; raises :class:`UsageError` where there is none."""
    if path.is_dir():
        raise UsageError(f"{str(path)!r} is a folder; name the log in it")
    try:
        return path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from error


def read_lines(stream: BinaryIO, name: str) -> Iterator[Line]:
    """The lines of a log, one at a time; raises :class:`UsageError` where it is empty or no text."""
    head = stream.read(_HEAD)
    if not head.strip():
        raise UsageError(f"{name} is empty", hint="trtexec ... --useDLACore=0 --verbose > build.log 2>&1 writes a log")
    encoding = _encoding(head, name)
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    text = io.IncrementalNewlineDecoder(decoder, translate=True)
    for number, (line, cut) in enumerate(_split(stream, head, text), start=1):
        yield _clean(number, line, cut)


def _split(stream: BinaryIO, head: bytes, text: io.IncrementalNewlineDecoder) -> Iterator[tuple[str, bool]]:
    """Lines without their ends; of an endless one the beginning."""
    rest, length, chunk = "", 0, head
    while chunk:
        parts = text.decode(chunk).split("\n")
        for part in parts[:-1]:
            room = max(LONGEST - len(rest), 0)
            yield rest + part[:room], length + len(part) > LONGEST
            rest, length = "", 0
        length += len(parts[-1])
        rest += parts[-1][: max(LONGEST - len(rest), 0)]
        chunk = stream.read(1 << 16)
    rest += text.decode(b"", final=True)[: max(LONGEST - len(rest), 0)]
    if rest:
        yield rest.rstrip("\n"), length > LONGEST


def _encoding(head: bytes, name: str) -> str:
    """UTF-8 unless a mark or the zero bytes say UTF-16, as pastes from Windows are."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    odd, even = head[1::2].count(0), head[0::2].count(0)
    if odd > 0.8 * len(head[1::2]) and not even:
        return "utf-16-le"
    if even > 0.8 * len(head[0::2]) and not odd:
        return "utf-16-be"
    if 0 in head or sum(byte in _CONTROL for byte in head) > 0.02 * len(head):
        raise UsageError(
            f"{name} is not text", hint="give the build log; a model is judged by `dlarewrite check model.onnx`"
        )
    return "utf-8"


def _clean(number: int, line: str, cut: bool) -> Line:
    if "\x1b" in line:
        line = _COLOUR.sub("", line)
    start = 0
    while (found := _PREFIX.match(line, start)) is not None:
        start = found.end()
    text = line[start:].strip()
    return Line(number, text, not start, cut)

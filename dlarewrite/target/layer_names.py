"""TensorRT's layer names: fused names, regions and what its parser and optimiser hang on to a name."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator

_FUSED = re.compile(r" \+ | \|\| |, | -> ")
_OPEN, _CLOSE = "{ForeignNode[", "]}"
_ANONYMOUS = re.compile(r"^\(Unnamed Layer\* ?(?P<number>\d+)\)(?: \[(?P<kind>[A-Za-z0-9 ]+)\])?")
_KIND = re.compile(r" \[[A-Z][A-Za-z0-9 ]*\]$")
_MADE = re.compile(r"^ONNXTRT_")
_BEFORE = re.compile(r"^(?:reshape|shuffle|squeeze|unsqueeze|transpose)_(?:before|after)_(?=.)", re.IGNORECASE)
_MORE = re.compile(r"(?: copy(?: output)?(?: \(\d+\))?|_copy(?:_output)?|_clone_\d+|_output|_myl\d+_\d+|:\d+)$")
_SERIAL = re.compile(r"_\d+$")
_LONGEST_RUN = 6
_MOST_STEMS = 6
_MOST_CUTS = 16

Known = Callable[[str], bool]


def anonymous(name: str) -> str:
    """The kind of a layer that the parser made without a name, "" for a named one: "Shuffle"."""
    found = _ANONYMOUS.match(name)
    if found is None:
        return "layer" if _MADE.match(name) else ""
    return found["kind"] or "layer"


def is_reformat(name: str) -> bool:
    """Whether the layer only changes a tensor's format."""
    return name.startswith(("Reformatting CopyNode", "reformat", "Reformat"))


def parts(name: str, known: Known = lambda name: False) -> tuple[str, ...]:
    """The layers that a fused name joins: ``a + b``, ``PWN(a, b)``, ``a || b``; ``known`` tells names of the model.

    A known name is never taken apart, even if it contains separators itself.
    """
    name = name.strip()
    if known(name) or not name:
        return (name,) if name else ()
    if "PWN(" in name:
        name = _without_calls(name)
        if known(name):
            return (name,)
    pieces, ends = _pieces(name)
    found: list[str] = []
    start = 0
    while start < len(pieces):
        stop = start + 1
        for end in range(min(start + _LONGEST_RUN, len(pieces)), start + 1, -1):
            if known(name[pieces[start] : ends[end - 1]].strip()):
                stop = end
                break
        text = name[pieces[start] : ends[stop - 1]].strip()
        if text:
            found.append(text)
        start = stop
    return tuple(dict.fromkeys(found))


def _pieces(name: str) -> tuple[list[int], list[int]]:
    starts, ends = [0], []
    for separator in _FUSED.finditer(name):
        ends.append(separator.start())
        starts.append(separator.end())
    ends.append(len(name))
    return starts, ends


def _without_calls(name: str) -> str:
    """``PWN(PWN(a, b), c)`` -> ``a, b, c``; brackets that belong to names stay."""
    out: list[str] = []
    depth: list[bool] = []
    position = 0
    while position < len(name):
        if name.startswith("PWN(", position):
            depth.append(True)
            position += 4
            continue
        letter = name[position]
        if letter == "(":
            depth.append(False)
        if letter == ")" and depth and depth.pop():
            position += 1
            continue
        out.append(letter)
        position += 1
    return "".join(out)


def foreign(text: str) -> str | None:
    """What stands inside ``{ForeignNode[...]}``, or None."""
    start, stop = text.find(_OPEN), text.rfind(_CLOSE)
    return text[start + len(_OPEN) : stop].strip() if 0 <= start < stop else None


def ends(inside: str, known: Known = lambda name: False) -> tuple[str, str]:
    """First and last layer of a region's name ``first...last``; the same one twice for a region of one layer.

    Names may contain dots themselves: the cut whose both sides are known wins, then the one with a known side.
    """
    if "..." not in inside or known(inside):
        return inside, inside
    cuts = [(inside[:at].strip(), inside[at + 3 :].strip()) for at in itertools.islice(_dots(inside), _MOST_CUTS)]
    cuts = [cut for cut in cuts if all(cut)] or cuts
    scored = [(sum(any(known(p) for p in parts(side, known)) for side in cut), cut) for cut in cuts]
    best = max(score for score, _ in scored)
    return next(cut for score, cut in scored if score == best)


def _dots(inside: str) -> Iterator[int]:
    at = inside.find("...")
    while at >= 0:
        yield at
        at = inside.find("...", at + 1)


def old_regions(text: str) -> tuple[str, ...]:
    """The regions of TensorRT 7's list ``{a,b}, {c}``, without their braces; names with braces are not understood."""
    return tuple(found.strip() for found in re.findall(r"\{([^{}]*)\}", text) if found.strip())


def stems(name: str) -> Iterator[tuple[str, str]]:
    """Names that the layer may have had in the model, likeliest first, each with what it is to that node.

    "name": the node's own layer; "stem": its layer under a longer name; "beside": a layer put before or after it.
    """
    yield name, "name"
    seen = {name}
    current, how = name, "stem"
    for _ in range(_MOST_STEMS):
        for pattern in (_KIND, _BEFORE, _MORE, _SERIAL):
            shorter = pattern.sub("", current, count=1).strip()
            if shorter and shorter != current:
                how = "beside" if pattern is _BEFORE else how
                break
        else:
            return
        current = shorter
        if current in seen:
            return
        seen.add(current)
        yield current, how

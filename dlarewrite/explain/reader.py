"""Reads a build log line by line into a :class:`~dlarewrite.explain.reading.Reading`, in bounded memory."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from dlarewrite.explain.catalogue import PATTERNS
from dlarewrite.explain.circumstances import Circumstances
from dlarewrite.explain.lines import Line
from dlarewrite.explain.pattern import Pattern, Role, Version, group
from dlarewrite.explain.reading import Event, Layer, Reading, Region, Said, Scales
from dlarewrite.explain.strangers import Strangers
from dlarewrite.target.layer_names import foreign, is_reformat, old_regions

MOST = 200_000
"""Layers, regions and tensors of each kind that are kept; more are counted only."""
_LONGEST_NAME = 4096
_NEAR = 3
"""A reason without a name belongs to the refusal that follows within so many lines about the DLA."""

_LITERALS = {pattern.literal for pattern in PATTERNS}
_WORTH = tuple(word for word in _LITERALS if not any(other in word for other in _LITERALS - {word}))
"""A line without any of these matches no pattern; most lines of a verbose log end here."""
_LISTS = re.compile(r"Layers [Rr]unning on (?P<device>DLA|GPU)\b[\s:-]*(?P<rest>.*)")
_ABOUT = re.compile(r"\bDLA\b", re.IGNORECASE)
_FULL = (Role.DLA, Role.GPU, Role.OFFLOADED)
_OPTION = re.compile(r"--\w+")


@dataclass
class _Layer:
    line: int
    device: str = ""
    type: str = ""
    left: bool = False
    capped: bool = False
    listed: bool = False
    count: int = 0
    said: dict[tuple[str, tuple[str, ...]], Said] = field(default_factory=dict)


@dataclass
class _Region:
    line: int
    compiled: bool = False
    layers: tuple[str, ...] = ()


class Reader:
    """Takes lines and gives one reading; feed it once."""

    def __init__(self) -> None:
        self._layers: dict[str, _Layer] = {}
        self._regions: dict[str, _Region] = {}
        self._events: dict[str, tuple[Said, int, str]] = {}
        self._strange = Strangers()
        self._tensors: dict[str, None] = {}
        self._scale: Said | None = None
        self._waiting: tuple[Said, int] | None = None
        self._list = ""
        self._bounds: tuple[Version | None, Version | None] = (None, None)
        self._hits: Counter[str] = Counter()
        self._about = Circumstances()
        self._candidates: tuple[int, int] | None = None
        self._lines = self._dla_lines = self._lost = self._cut = self._reformats = 0
        self._placed = False

    def read(self, lines: Iterable[Line]) -> Reading:
        """Feed all lines and sum up."""
        for line in lines:
            self._feed(line)
        self._strange.hold(None)
        return self._reading()

    def _feed(self, line: Line) -> None:
        self._lines = line.number
        self._cut += line.cut
        text = self._strange.mend(line) if self._strange.held is not None else line.text
        if "TensorRT" in text or "Selected Device" in text or "Precision:" in text:
            self._about.read(text)
        if (self._list or "unning on " in text) and self._listed(line, text):
            return
        if any(word in text for word in _WORTH):
            self._message(line, text)

    def _message(self, line: Line, text: str) -> None:
        head = text[:_LONGEST_NAME]
        for pattern in PATTERNS:
            match = pattern.search(text if pattern.role in _FULL else head)
            if match is not None:
                self._dla_lines += pattern.role is not Role.QUIET
                self._hits[pattern.id] += 1
                self._take(pattern, match, line.number, head)
                return
        if _ABOUT.search(_OPTION.sub("", head)) and not text.startswith("&&&&"):
            self._strange.hold(Line(line.number, head, line.raw, line.cut))

    def _take(self, pattern: Pattern, match: re.Match[str], number: int, message: str) -> None:
        self._narrow(pattern)
        said = Said(pattern, pattern.points_to(match), message[:300], number)
        name = group(match, "layer")[:_LONGEST_NAME]
        role = pattern.role
        if role is Role.REASON:
            self._reason(said, name)
        elif role in (Role.FALLBACK, Role.CAP):
            self._left(said, name, group(match, "type"))
        elif role is Role.DLA:
            self._region(group(match, "region").rstrip(", "), number, compiled=False)
        elif role is Role.OFFLOADED:
            self._region(group(match, "region"), number, compiled=True)
        elif role is Role.GPU:
            self._on_gpu(name, group(match, "type"), number)
        elif role is Role.SCALE:
            self._scale = self._scale or said
            self._keep(self._tensors, group(match, "tensor")[:_LONGEST_NAME])
        elif role in (Role.FAILURE, Role.CONTEXT):
            before = self._events.get(pattern.id, (said, 0, ""))
            self._events[pattern.id] = (before[0], before[1] + 1, before[2] or group(match, "region")[:_LONGEST_NAME])
            if pattern.id == "candidates":
                self._candidates = (int(match["done"][:9]), int(match["all"][:9]))

    def _narrow(self, pattern: Pattern) -> None:
        since, until = self._bounds
        if pattern.since is not None and (since is None or pattern.since > since):
            since = pattern.since
        if pattern.until is not None and (until is None or pattern.until < until):
            until = pattern.until
        self._bounds = (since, until)

    def _layer(self, name: str, number: int) -> _Layer | None:
        layer = self._layers.get(name)
        if layer is None:
            if len(self._layers) >= MOST:
                self._lost += 1
                return None
            layer = self._layers[name] = _Layer(number)
        layer.count += 1
        return layer

    def _reason(self, said: Said, name: str) -> None:
        if not name:
            self._waiting = (said, self._dla_lines)
            return
        layer = self._layer(name, said.line)
        if layer is not None:
            layer.said.setdefault((said.pattern.id, said.rules), said)

    def _left(self, said: Said, name: str, kind: str) -> None:
        layer = self._layer(name, said.line)
        if layer is None:
            return
        layer.capped = layer.capped or (said.pattern.role is Role.CAP and not layer.left)
        layer.left, layer.type = True, kind or layer.type
        if said.rules or said.pattern.cure:
            layer.said.setdefault((said.pattern.id, said.rules), said)
        if self._waiting is not None:
            reason, at = self._waiting
            if self._dla_lines - at <= _NEAR and said.pattern.role is Role.FALLBACK:
                layer.said.setdefault((reason.pattern.id, reason.rules), reason)
            self._waiting = None

    def _region(self, text: str, number: int, *, compiled: bool) -> None:
        self._placed = self._placed or not compiled
        inside = foreign(text)
        if inside is None:
            for name in old_regions(text) or (text,):
                layers = tuple(part.strip() for part in name.split(",") if part.strip())
                self._keep_region(name, number, compiled, layers if len(layers) > 1 else ())
            return
        self._keep_region(inside, number, compiled, ())

    def _keep_region(self, name: str, number: int, compiled: bool, layers: tuple[str, ...]) -> None:
        name = name[:_LONGEST_NAME]
        if name not in self._regions and len(self._regions) >= MOST:
            self._lost += 1
            return
        region = self._regions.setdefault(name, _Region(number))
        region.compiled, region.layers = region.compiled or compiled, region.layers or layers

    def _on_gpu(self, name: str, kind: str, number: int) -> None:
        self._placed = True
        if is_reformat(name):
            self._reformats += 1
            return
        layer = self._layer(name, number)
        if layer is not None:
            layer.device, layer.type, layer.listed = "gpu", layer.type or kind, True

    def _listed(self, line: Line, text: str) -> bool:
        """TensorRT's lists of placed layers: a heading, then entries (since 8.0 each marked), or one line with all."""
        heading = _LISTS.search(text)
        if heading is not None:
            self._dla_lines += 1
            self._list = heading["device"].lower()
            rest = heading["rest"].strip(" -:")
            if rest and "Layer]" not in rest:
                self._entries(rest, line.number)
            return "Layer]" not in rest
        if "Layer]" in text or not text:
            return False
        device, self._list = self._list, ""
        if device == "dla" and text.startswith("{") and "}" in text and " successfully " not in text:
            self._list = device
            self._entries(text, line.number)
            return True
        if device == "gpu" and text.rstrip().endswith(",") and ": " not in text[:40]:
            self._list = device
            self._entries(text, line.number)
            return True
        return False

    def _entries(self, text: str, number: int) -> None:
        self._dla_lines += 1
        self._placed = True
        if self._list == "dla":
            self._region(text.rstrip(", "), number, compiled=False)
            return
        for name in text.split(", "):
            if name.strip(", "):
                self._on_gpu(name.strip(", ")[:_LONGEST_NAME], "", number)

    def _keep(self, table: dict[str, None], name: str) -> None:
        if name in table or len(table) < MOST:
            table[name] = None
        else:
            self._lost += 1

    def _reading(self) -> Reading:
        events = [(Event(said, count, region), said.pattern.role) for said, count, region in self._events.values()]
        return Reading(
            lines=self._lines,
            dla_lines=self._dla_lines + self._strange.lines,
            version=self._about.version,
            since=self._bounds[0],
            until=self._bounds[1],
            device=self._about.device,
            command=self._about.command,
            precision=self._about.precision or "fp16",
            shapes=dict(self._about.shapes),
            outcome=self._about.outcome,
            layers=tuple(
                Layer(
                    name=name,
                    device="gpu" if found.left else found.device,
                    type=found.type,
                    left=found.left,
                    capped=found.capped,
                    listed=found.listed,
                    said=tuple(found.said.values()),
                    count=found.count,
                    line=found.line,
                )
                for name, found in self._layers.items()
            ),
            regions=tuple(Region(name, f.line, f.compiled, f.layers) for name, f in self._regions.items()),
            placed=self._placed,
            candidates=self._candidates,
            scales=Scales(len(self._tensors), tuple(self._tensors)[:5], self._scale),
            failures=tuple(event for event, role in events if role is Role.FAILURE),
            context=tuple(event for event, role in events if role is Role.CONTEXT),
            strange=self._strange.found(),
            strange_lines=self._strange.lines,
            lost=self._lost,
            cut=self._cut,
            reformats=self._reformats,
            by_pattern=self._hits,
        )

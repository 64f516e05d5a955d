"""Reads a build log line by line into a :class:`~dlarewrite.explain.reading.Reading`, in bounded memory."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from dlarewrite.explain.catalogue import PATTERNS
from dlarewrite.explain.circumstances import Circumstances
from dlarewrite.explain.lines import Line
from dlarewrite.explain.named import LONGEST_NAME, Named
from dlarewrite.explain.pattern import Pattern, Role, Version, group
from dlarewrite.explain.reading import Event, Reading, Said, Scales
from dlarewrite.explain.strangers import Strangers

_NEAR = 3
"""A reason without a name belongs to the refusal that follows within so many lines about the DLA."""

_LITERALS = {pattern.literal for pattern in PATTERNS}
_WORTH = tuple(word for word in _LITERALS if not any(other in word for other in _LITERALS - {word}))
"""A line without any of these matches no pattern; most lines of a verbose log end here."""
_LISTS = re.compile(r"Layers [Rr]unning on (?P<device>DLA|GPU)\b[\s:-]*(?P<rest>.*)")
_ABOUT = re.compile(r"\bDLA\b", re.IGNORECASE)
_FULL = (Role.DLA, Role.GPU, Role.OFFLOADED)
_OPTION = re.compile(r"--\w+")


class Reader:
    """Takes lines and gives one reading; feed it once."""

    def __init__(self) -> None:
        self._named = Named()
        self._events: dict[str, tuple[Said, int, str]] = {}
        self._strange = Strangers()
        self._scale: Said | None = None
        self._waiting: tuple[Said, int] | None = None
        self._list = ""
        self._bounds: tuple[Version | None, Version | None] = (None, None)
        self._hits: Counter[str] = Counter()
        self._about = Circumstances()
        self._candidates: tuple[int, int] | None = None
        self._lines = self._dla_lines = self._cut = 0

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
        head = text[:LONGEST_NAME]
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
        name = group(match, "layer")[:LONGEST_NAME]
        role = pattern.role
        if role is Role.REASON:
            self._reason(said, name)
        elif role in (Role.FALLBACK, Role.CAP):
            self._left(said, name, group(match, "type"))
        elif role is Role.DLA:
            self._named.region(group(match, "region").rstrip(", "), number, compiled=False)
        elif role is Role.OFFLOADED:
            self._named.region(group(match, "region"), number, compiled=True)
        elif role is Role.GPU:
            self._named.on_gpu(name, group(match, "type"), number)
        elif role is Role.SCALE:
            self._scale = self._scale or said
            self._named.tensor(group(match, "tensor"))
        elif role in (Role.FAILURE, Role.CONTEXT):
            before = self._events.get(pattern.id, (said, 0, ""))
            self._events[pattern.id] = (before[0], before[1] + 1, before[2] or group(match, "region")[:LONGEST_NAME])
            if pattern.id == "candidates":
                self._candidates = (int(match["done"][:9]), int(match["all"][:9]))

    def _narrow(self, pattern: Pattern) -> None:
        since, until = self._bounds
        if pattern.since is not None and (since is None or pattern.since > since):
            since = pattern.since
        if pattern.until is not None and (until is None or pattern.until < until):
            until = pattern.until
        self._bounds = (since, until)

    def _reason(self, said: Said, name: str) -> None:
        if not name:
            self._waiting = (said, self._dla_lines)
            return
        layer = self._named.layer(name, said.line)
        if layer is not None:
            layer.said.setdefault((said.pattern.id, said.rules), said)

    def _left(self, said: Said, name: str, kind: str) -> None:
        layer = self._named.layer(name, said.line)
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
        self._named.placed = True
        if self._list == "dla":
            self._named.region(text.rstrip(", "), number, compiled=False)
            return
        for name in text.split(", "):
            if name.strip(", "):
                self._named.on_gpu(name.strip(", ")[:LONGEST_NAME], "", number)

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
            layers=self._named.layers(),
            regions=self._named.regions(),
            placed=self._named.placed,
            candidates=self._candidates,
            scales=Scales(len(self._named.tensors), tuple(self._named.tensors)[:5], self._scale),
            failures=tuple(event for event, role in events if role is Role.FAILURE),
            context=tuple(event for event, role in events if role is Role.CONTEXT),
            strange=self._strange.found(),
            strange_lines=self._strange.lines,
            lost=self._named.lost,
            cut=self._cut,
            reformats=self._named.reformats,
            by_pattern=self._hits,
        )

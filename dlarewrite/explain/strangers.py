"""Lines about the DLA that no pattern knows: kept and told, for a reader may know more."""

from __future__ import annotations

from dlarewrite.explain.catalogue import PATTERNS
from dlarewrite.explain.lines import Line
from dlarewrite.explain.pattern import Role
from dlarewrite.explain.reading import Strange

_MOST = 200
_SHOWN = 300
_LONGEST = 4096


class Strangers:
    """The last one is on hold: a terminal may have broken the line in two, and its end may stand in the next one."""

    def __init__(self) -> None:
        self.held: Line | None = None
        self.lines = 0
        self._table: dict[str, tuple[int, int]] = {}

    def hold(self, line: Line | None) -> None:
        """Book the line that is on hold, and hold this one."""
        held, self.held = self.held, line
        if held is None:
            return
        self.lines += 1
        text = held.text[:_SHOWN]
        if text in self._table or len(self._table) < _MOST:
            count, first = self._table.get(text, (0, held.number))
            self._table[text] = (count + 1, first)

    def mend(self, line: Line) -> str:
        """The line on hold joined with this one where that makes a known sentence, else this one's text."""
        held = self.held
        if held is not None and line.raw and line.text:
            rest = line.text[:_LONGEST]
            joins = () if _known(rest) else (held.text + rest, f"{held.text} {rest}")
            for joined in joins:
                if _known(joined):
                    self.held = None
                    return joined
        self.hold(None)
        return line.text

    def found(self) -> tuple[Strange, ...]:
        """All different ones, in order of appearance."""
        return tuple(Strange(text, count, line) for text, (count, line) in self._table.items())


def _known(text: str) -> bool:
    return any(p.role is not Role.QUIET and p.search(text) is not None for p in PATTERNS)

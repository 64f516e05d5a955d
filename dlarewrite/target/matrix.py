"""The support matrix: for each TensorRT layer and profile whether the DLA has it, and on what evidence."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from dlarewrite.target.rule import COLUMNS
from dlarewrite.target.sources import load_yaml
from dlarewrite.target.verdict import Evidence

_LETTERS = {
    "D": Evidence.DOCUMENTED,
    "L": Evidence.LOG,
    "I": Evidence.INFERRED,
    "M": Evidence.REMEMBERED,
}
_CELL = re.compile(r"(Y\*|Y|N|\?)(?:\[([DLIM])\])?")


@dataclass(frozen=True)
class Cell:
    """``mark`` is Y, Y*, N or ?."""

    mark: str
    evidence: Evidence

    def __str__(self) -> str:
        return self.mark if self.evidence is Evidence.DOCUMENTED else f"{self.mark} [{self.evidence.value}]"


@dataclass(frozen=True)
class Row:
    """One row: the ONNX operators it is about, the layers it answers for, a cell per column, the rule that is named."""

    id: str
    title: str
    ops: tuple[str, ...]
    layers: tuple[str, ...]
    cells: Mapping[str, Cell]
    rule: str
    sources: tuple[str, ...]
    doubt: str = ""
    cure: str = ""
    cures: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, str] = field(default_factory=dict)
    extra: bool = False

    def rule_for(self, column: str) -> str:
        """The id of the rule that is named where the column's cell is not a plain yes."""
        return self.rules.get(column, self.rule)

    def cure_for(self, op: str) -> str:
        """The pass that cures the row's refusal of an operator, or ""."""
        return self.cures.get(op, self.cure)


@dataclass(frozen=True)
class SupportMatrix:
    """All rows; ``columns`` are the profiles' column keys in order of release."""

    rows: tuple[Row, ...]
    columns: tuple[str, ...] = COLUMNS

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def layer(self, kind: str) -> Row | None:
        """The row that answers for a layer kind."""
        return _by_layer().get(kind)


def _row(raw: dict[str, Any]) -> Row:
    marks = str(raw["cells"]).split()
    if len(marks) != len(COLUMNS):
        raise ValueError(f"row {raw['id']} has {len(marks)} cells, not {len(COLUMNS)}")
    evidence = Evidence(raw["evidence"])
    return Row(
        id=raw["id"],
        title=raw["title"],
        ops=tuple(raw["ops"]),
        layers=tuple(raw["layers"]),
        cells=MappingProxyType({column: _cell(mark, evidence) for column, mark in zip(COLUMNS, marks, strict=True)}),
        rule=raw["rule"],
        sources=tuple(raw["sources"]),
        doubt=raw.get("doubt", ""),
        cure=raw.get("cure", ""),
        cures=MappingProxyType(dict(raw.get("cures", {}))),
        rules=MappingProxyType(dict(raw.get("rules", {}))),
        extra=bool(raw.get("extra", False)),
    )


def _cell(text: str, default: Evidence) -> Cell:
    found = _CELL.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no cell of the support matrix")
    return Cell(found[1], _LETTERS[found[2]] if found[2] else default)


@functools.cache
def support_matrix() -> SupportMatrix:
    """The matrix of this package's data file."""
    return SupportMatrix(tuple(_row(raw) for raw in load_yaml("support.yaml")["rows"]))


@functools.cache
def _by_layer() -> Mapping[str, Row]:
    found: dict[str, Row] = {}
    for row in support_matrix().rows:
        for kind in row.layers:
            if kind in found:
                raise ValueError(f"layer {kind} stands in rows {found[kind].id} and {row.id}")
            found[kind] = row
    return MappingProxyType(found)

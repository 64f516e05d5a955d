"""The report as one JSON document; the layout is the report's own and carries ``schema_version``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlarewrite.outcome import Report
    from dlarewrite.report.gates import Gate


def render(report: Report, gates: tuple[Gate, ...] | None = None) -> str:
    """The report, with the gates where a gate run made it; never NaN or Infinity, which are not JSON."""
    document: dict[str, Any] = report.to_dict()
    if gates is not None:
        document["gates"] = [gate.to_dict() for gate in gates]
    return document_text(document)


def document_text(document: Any) -> str:
    """Any plain value as indented JSON."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)

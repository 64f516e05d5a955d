"""An explained log as plain data."""

from __future__ import annotations

from typing import Any

from dlarewrite.explain.comparison import AGREE, CAPPED, LENIENT, SETTLED, STRICT, Comparison
from dlarewrite.explain.explanation import Explanation
from dlarewrite.explain.reading import Event, Layer, Said
from dlarewrite.explain.sources import address

SCHEMA_VERSION = 1


def to_dict(found: Explanation) -> dict[str, Any]:
    """JSON-able; the layout is versioned by ``schema_version``."""
    reading, comparison = found.reading, found.comparison
    return {
        "schema_version": SCHEMA_VERSION,
        "log": found.source,
        "about_dla": reading.about_dla,
        "tensorrt": ".".join(map(str, reading.version)),
        "target": {"name": found.profile.name, "tensorrt": found.profile.version, "assumed": found.assumed},
        "precision": reading.precision,
        "command": reading.command,
        "device": reading.device,
        "outcome": reading.outcome,
        "summary": found.figures(),
        "failures": [_event(event) for event in reading.failures],
        "context": [_event(event) for event in reading.context],
        "refusals": [
            {
                "basis": r.basis,
                "left_dla": r.left,
                "rules": list(r.rules),
                "meaning": r.meaning,
                "type": r.type,
                "layers": [layer.name for layer in r.layers],
                "nodes": list(r.nodes),
                "cures": list(r.cures),
                "advice": r.advice,
                "evidence": r.evidence,
                "sources": list(r.sources),
            }
            for r in found.refusals
        ],
        "layers": [_layer(layer, comparison) for layer in reading.layers],
        "loadables": [
            {
                "name": region.name,
                "compiled": region.compiled,
                "line": region.line,
                "nodes": _members(comparison, number),
            }
            for number, region in enumerate(reading.regions)
        ],
        "missing_scales": {"count": reading.scales.count, "first": list(reading.scales.tensors)},
        "unmapped": [{"layer": name, "why": why} for name, why in found.unmapped()],
        "unrecognised": [{"text": s.text, "count": s.count, "line": s.line} for s in reading.strange],
        "comparison": None if comparison is None else _comparison(comparison),
    }


def _said(said: Said) -> dict[str, Any]:
    return {
        "pattern": said.pattern.id,
        "message": said.message,
        "line": said.line,
        "meaning": said.pattern.meaning,
        "rules": list(said.rules),
        "cure": said.pattern.cure,
        "evidence": said.pattern.evidence.value,
        "sources": [address(key) for key in said.pattern.sources],
    }


def _event(event: Event) -> dict[str, Any]:
    return {**_said(event.said), "count": event.count, "region": event.region}


def _layer(layer: Layer, comparison: Comparison | None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": layer.name,
        "type": layer.type,
        "device": layer.device,
        "left_dla": layer.left,
        "capped": layer.capped,
        "listed": layer.listed,
        "count": layer.count,
        "line": layer.line,
        "said": [_said(said) for said in layer.said],
    }
    if comparison is not None:
        mapped = comparison.placing.layers[layer.name]
        made["nodes"] = [comparison.report.nodes[p].name for p in mapped.nodes]
        made["mapped_by"] = mapped.how
    return made


def _members(comparison: Comparison | None, number: int) -> list[str] | None:
    if comparison is None:
        return None
    members = comparison.placing.regions[number]
    return None if members is None else [comparison.report.nodes[p].name for p in members]


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "counts": {kind: len(comparison.of_kind(kind)) for kind in (AGREE, STRICT, LENIENT, SETTLED, CAPPED)},
        "unplaced": list(comparison.unplaced),
        "rules": [{"rule": r.rule, "left": r.left, "stayed": r.stayed} for r in comparison.rules],
        "nodes": [
            {
                "name": row.name,
                "op": row.op,
                "log": row.device,
                "verdict": row.verdict,
                "kind": row.kind,
                "rules": list(row.rules),
                "log_rules": list(row.logged),
                "named_in_log": row.named,
            }
            for row in comparison.rows
        ],
    }

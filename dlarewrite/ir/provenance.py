"""Which pass made a node, and out of which one: written beside the graph, where Netron and ``dlarewrite diff`` read it.

On a node: ``dlarewrite.pass`` (the passes that made it, the last one last) and ``dlarewrite.from`` (the node of the
original model that it stands for) as ``metadata_props``. NodeProto has those from IR version 10; in older models the
same two lines are appended to the node's ``doc_string``, which every version has. On the model, whose metadata are as
old as ONNX: ``dlarewrite.removed``, a JSON object of pass -> labels of the original nodes that it removed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

PASS = "dlarewrite.pass"
FROM = "dlarewrite.from"
REMOVED = "dlarewrite.removed"

_NODE_METADATA_IR_VERSION = 10
_SEPARATOR = ", "


@dataclass(frozen=True)
class Origin:
    """``passes`` that made or changed a node, in order; ``node``: the original's label, or "" where there is none."""

    passes: tuple[str, ...]
    node: str

    @property
    def last(self) -> str:
        return self.passes[-1] if self.passes else ""

    def then(self, by: str) -> Origin:
        """The origin of what pass ``by`` makes out of this."""
        return Origin((*(p for p in self.passes if p != by), by), self.node)


def write(proto: onnx.NodeProto, origin: Origin, ir_version: int) -> None:
    """Note ``origin`` on a node, in place of an earlier note."""
    notes = {PASS: _SEPARATOR.join(origin.passes)} | ({FROM: origin.node} if origin.node else {})
    if ir_version >= _NODE_METADATA_IR_VERSION:
        others = [(e.key, e.value) for e in proto.metadata_props if e.key not in (PASS, FROM)]
        del proto.metadata_props[:]
        for key, value in (*others, *notes.items()):
            proto.metadata_props.add(key=key, value=value)
        return
    lines = [line for line in proto.doc_string.split("\n") if not _is_note(line)] if proto.doc_string else []
    proto.doc_string = "\n".join((*lines, *(f"{key}: {value}" for key, value in notes.items())))


def read(proto: onnx.NodeProto | None) -> Origin | None:
    """The note on a node, in either place, or None."""
    if proto is None:
        return None
    notes = {e.key: e.value for e in proto.metadata_props if e.key in (PASS, FROM)}
    if PASS not in notes and proto.doc_string:
        notes = dict(line.split(": ", 1) for line in proto.doc_string.split("\n") if _is_note(line))
    if PASS not in notes:
        return None
    return Origin(tuple(notes[PASS].split(_SEPARATOR)), notes.get(FROM, ""))


def write_removed(model: onnx.ModelProto, removed: Mapping[str, Sequence[str]]) -> None:
    """Add ``removed`` (pass -> labels) to what the model says already."""
    known = _removed(model)
    for by, labels in removed.items():
        known[by] = list(dict.fromkeys((*known.get(by, ()), *labels)))
    entry = next((e for e in model.metadata_props if e.key == REMOVED), None) or model.metadata_props.add(key=REMOVED)
    entry.value = json.dumps(known, ensure_ascii=False, separators=(",", ":"))


def read_removed(model: onnx.ModelProto) -> dict[str, str]:
    """Label of a removed node -> the pass that removed it; the first one where several say so."""
    found: dict[str, str] = {}
    for by, labels in _removed(model).items():
        for label in labels:
            found.setdefault(label, by)
    return found


def _removed(model: onnx.ModelProto) -> dict[str, list[str]]:
    """What the model says; nothing where somebody else wrote something else under the key."""
    text = next((e.value for e in model.metadata_props if e.key == REMOVED), "{}")
    try:
        known = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(known, dict):
        return {}
    return {by: [n for n in labels if isinstance(n, str)] for by, labels in known.items() if isinstance(labels, list)}


def _is_note(line: str) -> bool:
    return line.startswith((f"{PASS}: ", f"{FROM}: "))

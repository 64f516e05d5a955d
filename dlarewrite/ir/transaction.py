"""The atomic group: undone whole if anything fails, else logged as one :class:`Change`.

Every primitive edit records how to take itself back. A group that raises leaves no trace. Whether something changed is
computed here and never claimed by a pass.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import onnx_graphsurgeon as gs

from dlarewrite.errors import EditError
from dlarewrite.ir.model import Model
from dlarewrite.ir.provenance import Origin
from dlarewrite.ir.view import label

Undo = Callable[[], None]


@dataclass(frozen=True)
class Change:
    """One atomic rewrite that happened: ``removed`` and ``added`` are (label, op) pairs."""

    index: int
    by: str
    anchor: str
    op: str
    detail: str
    removed: tuple[tuple[str, str], ...]
    added: tuple[tuple[str, str], ...]


@dataclass
class Group:
    """The open transaction: what it has made, erased and touched so far."""

    by: str
    anchor: gs.Node | None
    detail: str = ""
    added: dict[int, gs.Node] = field(default_factory=dict)
    removed: dict[int, gs.Node] = field(default_factory=dict)
    touched: dict[int, gs.Node] = field(default_factory=dict)
    reformed: list[tuple[tuple[str, str], tuple[str, str]]] = field(default_factory=list)
    revised: dict[int, tuple[gs.Node, str]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    edits: int = 0
    _undo: list[Undo] = field(default_factory=list)

    def record(self, undo: Undo) -> None:
        self.edits += 1
        self._undo.append(undo)

    def revise(self, node: gs.Node) -> None:
        """Note that the node itself changes, under the name that it had before."""
        self.revised.setdefault(id(node), (node, label(node)))

    def roll_back(self) -> None:
        while self._undo:
            self._undo.pop()()


class Transactions:
    """The groups of edits to one model, one at a time, and the log of those that ended well."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.changes: list[Change] = []
        self._group: Group | None = None

    @contextlib.contextmanager
    def rewrite(self, by: str, anchor: gs.Node | None = None, detail: str = "") -> Iterator[Group]:
        """An atomic group: undone whole if the block raises, logged as one change if it edited anything."""
        if self._group is not None:
            raise EditError("a rewrite group is already open")
        group = self._group = Group(by, anchor, detail)
        op = anchor.op if anchor is not None else ""
        name = label(anchor) if anchor is not None else ""
        try:
            yield group
        except BaseException:
            group.roll_back()
            raise
        finally:
            self._group = None
        if group.edits:
            gone = ((group.names[key], node.op) for key, node in group.removed.items())
            removed = (*(old for old, _ in group.reformed), *gone)
            added = (*(new for _, new in group.reformed), *((label(n), n.op) for n in group.added.values()))
            self.changes.append(Change(len(self.changes), by, name, op, group.detail, removed, added))
            self._note_origins(group, name)

    def _note_origins(self, group: Group, anchor: str) -> None:
        """Write down which pass made, revised and removed what; a closed group cannot be undone any more."""
        envelope, by = self.model.envelope, group.by
        earlier = envelope.origin(group.anchor) if group.anchor is not None else None
        made = (earlier or Origin((), anchor)).then(by)
        for key in group.added:
            envelope.provenance[key] = made
        gone = [group.names[key] for key in group.removed if key in envelope.protos]
        for key, (node, name) in group.revised.items():
            # What a pass made stays that pass's, whoever finishes it.
            if key not in envelope.protos or node not in self.model:
                continue
            now = label(node)
            if now in gone:
                # It took the name of another original, which it continues under that name; its own is gone.
                envelope.provenance[key] = Origin((), now).then(by)
                gone.append(name)
                continue
            envelope.provenance[key] = (envelope.origin(node) or Origin((), name)).then(by)
        if gone:
            envelope.removed.setdefault(by, []).extend(gone)

    def _open(self) -> Group:
        if self._group is None:
            raise EditError("edits belong inside `with editor.rewrite(...)`")
        return self._group

    def _touch(self, node: gs.Node) -> None:
        if node in self.model:
            self._open().touched[id(node)] = node

    def _touch_neighbours(self, node: gs.Node) -> None:
        for tensor in node.inputs:
            if tensor.inputs:
                self._touch(tensor.inputs[0])
        for tensor in node.outputs:
            for reader in tensor.outputs:
                self._touch(reader)

"""The only mutator of a model: identity semantics, checked replacement, atomic groups with undo, a change log.

Three ideas, each in a module: the group (:mod:`dlarewrite.ir.transaction`), single nodes
(:mod:`dlarewrite.ir.node_editor`), and here the graph around them: who reads what, its inputs, outputs and names.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx_graphsurgeon as gs

from dlarewrite.errors import EditError
from dlarewrite.ir.agreement import check_same_type, sharper
from dlarewrite.ir.node_editor import NodeEditor
from dlarewrite.ir.transaction import Change, Group

__all__ = ["Change", "Editor", "Group"]


class Editor(NodeEditor):
    """Edits one model inside ``with editor.rewrite(...)`` groups; edits outside a group raise :class:`EditError`."""

    def replace_uses(self, old: gs.Tensor, new: gs.Tensor, *, retype: bool = False) -> None:
        """Every reader of ``old`` reads ``new`` instead; a graph output or captured tensor keeps its name.

        Raises :class:`EditError` where dtype or static shape differ (``retype`` allows it for inner tensors).
        """
        group = self._open()
        if old is new:
            return
        if not retype:
            check_same_type(old, new)
        for reader in list(old.outputs):
            if id(reader) in group.added and any(new is t for t in reader.outputs):
                continue
            for index, tensor in enumerate(reader.inputs):
                if tensor is old:
                    self._read(reader, index, new)
        if self.model.is_output(old) or self.model.envelope.is_captured(old):
            check_same_type(old, new)
            self._take_name(old, new)

    def _take_name(self, old: gs.Tensor, new: gs.Tensor) -> None:
        """``new`` becomes the graph output (or captured tensor) that ``old`` was, under the same name."""
        group, model = self._open(), self.model
        if not isinstance(new, gs.Variable) or not new.inputs or model.is_pinned(new):
            (new,) = self.ops("Identity", [new])
        # The declared type outlives the tensor that it was declared for.
        kind = old.dtype if new.dtype is None else new.dtype
        self.describe(new, kind, sharper(new.shape, old.shape))
        old_name, new_name = old.name, new.name
        places = [i for i, t in enumerate(model.outputs) if t is old]
        old.name, new.name = new_name, old_name
        for place in places:
            model.outputs[place] = new
        model.envelope.recapture(old, new)

        def undo() -> None:
            old.name, new.name = old_name, new_name
            for place in places:
                model.outputs[place] = old
            model.envelope.recapture(new, old)

        group.record(undo)

    def sweep(self, nodes: Iterable[gs.Node]) -> None:
        """Erase those of ``nodes`` that are dead, and what only they needed, upwards."""
        stack = list(nodes)
        while stack:
            node = stack.pop()
            if node not in self.model or not self.is_dead(node):
                continue
            makers = [t.inputs[0] for t in self.model.reads(node) if t.inputs]
            self.erase(node)
            stack.extend(makers)

    def move_output(self, old: gs.Tensor, new: gs.Variable) -> None:
        """Make ``new`` the graph output that ``old`` is, under the same name; dtype and shape may differ."""
        group, model = self._open(), self.model
        if not new.inputs or model.is_pinned(new) or model.envelope.is_captured(old):
            raise EditError(f"{new.name!r} cannot become the graph output {old.name!r}")
        names, places = (old.name, new.name), [i for i, t in enumerate(model.outputs) if t is old]
        old.name, new.name = names[1], names[0]
        for place in places:
            model.outputs[place] = new

        def undo() -> None:
            old.name, new.name = names
            for place in places:
                model.outputs[place] = old

        group.record(undo)

    def move_input(self, old: gs.Variable, new: gs.Variable) -> None:
        """Make a new graph input in ``old``'s place, of ``new``'s dtype and shape, and let it be read for ``new``."""
        group, model = self._open(), self.model
        if model.is_output(old) or model.envelope.is_captured(old) or model.is_output(new):
            raise EditError(f"{new.name!r} cannot take the place of the graph input {old.name!r}")
        place = next(i for i, t in enumerate(model.inputs) if t is old)
        name = old.name
        old.name = model.fresh(f"{name}_before")
        model.inputs[place] = gs.Variable(name, new.dtype, new.shape)

        def undo() -> None:
            old.name = name
            model.inputs[place] = old

        group.record(undo)
        self.replace_uses(new, model.inputs[place])

    def note(self, key: str, value: str) -> None:
        """Set an entry of the model's metadata."""
        group, props = self._open(), self.model.envelope.header.metadata_props
        before = [(p.key, p.value) for p in props]

        def write(entries: list[tuple[str, str]]) -> None:
            del props[:]
            for name, text in entries:
                props.add(key=name, value=text)

        write([(k, v) for k, v in before if k != key] + [(key, value)])
        group.record(lambda: write(before))

    def rename(self, node: gs.Node, name: str) -> None:
        """Give the node another name; a free one derived from ``name`` where that is taken."""
        group, old = self._open(), node.name
        if old == name:
            return
        node.name = self.model.fresh(name)

        def undo() -> None:
            node.name = old

        group.record(undo)

    def set_opset(self, version: int) -> None:
        """Declare another version of the standard operator set; the caller brings the nodes into its forms."""
        group, old = self._open(), self.model.opset
        if version == old:
            return
        self.model.opset = version

        def undo() -> None:
            self.model.opset = old

        group.record(undo)

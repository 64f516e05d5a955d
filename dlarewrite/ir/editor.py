"""The only mutator of a model: identity semantics, checked replacement, atomic groups with undo, a change log.

Every primitive records how to take itself back. A group that raises leaves no trace; a group that ends well becomes
one :class:`Change`. Whether something changed is computed here and never claimed by a pass.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from dlarewrite.errors import EditError
from dlarewrite.ir.infer import infer
from dlarewrite.ir.model import Model
from dlarewrite.ir.provenance import Origin
from dlarewrite.ir.view import Array, label

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


class Editor:
    """Edits one model inside ``with editor.rewrite(...)`` groups; edits outside a group raise :class:`EditError`."""

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

    # ---- making ----

    def constant(self, values: Array | Sequence[Any] | float, hint: str = "const", dtype: Any = None) -> gs.Constant:
        """A new constant; ``dtype`` defaults to the array's own."""
        array = np.asarray(values) if dtype is None else np.asarray(values, dtype=dtype)
        # ascontiguousarray turns a scalar into a vector, so the shape is put back.
        return gs.Constant(self.model.fresh(hint), np.ascontiguousarray(array).reshape(array.shape))

    def op(
        self,
        op: str,
        inputs: Sequence[gs.Tensor | None],
        attrs: dict[str, Any] | None = None,
        *,
        hint: str = "",
    ) -> gs.Variable:
        """A new one-output node of the standard domain; returns its output, dtype and shape inferred."""
        return self.ops(op, inputs, attrs, outputs=1, hint=hint)[0]

    def ops(
        self,
        op: str,
        inputs: Sequence[gs.Tensor | None],
        attrs: dict[str, Any] | None = None,
        *,
        outputs: int = 1,
        hint: str = "",
    ) -> tuple[gs.Variable, ...]:
        """A new node with ``outputs`` outputs; raises :class:`EditError` where ONNX's schema refuses the inputs."""
        group = self._open()
        base = hint or (label(group.anchor) if group.anchor is not None else op)
        name = self.model.fresh(f"{base}/{op}" if not base.endswith(op) else base)
        made = [gs.Variable(self.model.fresh(f"{name}_out{i}" if i else f"{name}_out")) for i in range(outputs)]
        node = gs.Node(
            op=op,
            name=name,
            attrs={k: v for k, v in (attrs or {}).items() if v is not None},
            inputs=[gs.Variable.empty() if t is None else t for t in inputs],
            outputs=made,
        )
        try:
            inferred = infer(node, self.model.opset)
        except (onnx.shape_inference.InferenceError, ValueError, TypeError, RuntimeError) as error:
            _unlink(node)
            raise EditError(f"{op} does not take these inputs: {str(error).splitlines()[0]}") from error
        for tensor, (kind, dims) in zip(made, inferred, strict=True):
            tensor.dtype, tensor.shape = kind, dims
        self.model._insert(node, group.anchor)
        group.added[id(node)] = node
        self._touch_neighbours(node)

        def undo() -> None:
            _unlink(node)
            self.model._remove(node)

        group.record(undo)
        return tuple(made)

    # ---- changing ----

    def set_input(self, node: gs.Node, index: int, tensor: gs.Tensor | None) -> None:
        """Make input ``index`` of ``node`` read ``tensor`` (None: omit it)."""
        if isinstance(tensor, gs.Constant) and isinstance(node.inputs[index], gs.Constant):
            self._open().revise(node)
        self._read(node, index, tensor)

    def _read(self, node: gs.Node, index: int, tensor: gs.Tensor | None) -> None:
        group = self._open()
        old, new = node.inputs[index], gs.Variable.empty() if tensor is None else tensor
        if old is new:
            return
        _swap_input(node, index, new)
        self.model._reorder()
        self._touch(node)
        if old.inputs:
            self._touch(old.inputs[0])
        if new.inputs:
            self._touch(new.inputs[0])

        def undo() -> None:
            _swap_input(node, index, old)
            self.model._reorder()

        group.record(undo)

    def set_attr(self, node: gs.Node, name: str, value: Any) -> None:
        """Set an attribute, or delete it with None."""
        group = self._open()
        before = dict(node.attrs)
        touched = set(self.model.envelope.touched.get(id(node), ()))
        group.revise(node)
        node.attrs.pop(name, None)
        if value is not None:
            node.attrs[name] = value
        self.model.envelope.touch(node, name)
        self._touch(node)

        def undo() -> None:
            node.attrs.clear()
            node.attrs.update(before)
            self.model.envelope.touched[id(node)] = touched

        group.record(undo)

    def reform(
        self,
        node: gs.Node,
        op: str,
        inputs: Sequence[gs.Tensor | None],
        attrs: dict[str, Any] | None = None,
        *,
        name: str | None = None,
    ) -> None:
        """Make ``node`` another standard operator in place: its outputs stay, with names, readers and INT8 scales.

        Raises :class:`EditError` where ONNX's schema refuses the inputs, where an output would change its dtype or
        static shape, and for nodes with subgraphs.
        """
        group, model = self._open(), self.model
        if model.envelope.has_subgraphs(node):
            raise EditError(f"node {label(node)!r} carries subgraphs and cannot become another operator")
        before = (node.op, node.name, node.domain, dict(node.attrs), list(node.inputs))
        touched = set(model.envelope.touched.get(id(node), ()))
        was = (label(node), str(node.op))

        def set_to(op: str, name: str, domain: str | None, attrs: dict[str, Any], inputs: list[gs.Tensor]) -> None:
            node.op, node.name, node.domain = op, name, domain
            node.attrs.clear()
            node.attrs.update(attrs)
            for tensor in node.inputs:
                _drop(tensor.outputs, node)
            list.clear(node.inputs)
            for tensor in inputs:
                list.append(node.inputs, tensor)
                list.append(tensor.outputs, node)
            model._reorder()

        def undo() -> None:
            set_to(*before)
            model.envelope.touched[id(node)] = touched

        group.revise(node)
        self._touch_neighbours(node)
        fresh = [gs.Variable.empty() if t is None else t for t in inputs]
        kept = {k: v for k, v in (attrs or {}).items() if v is not None}
        set_to(op, before[1] if name is None else name, None, kept, fresh)
        for attribute in (*before[3], *kept, *model.envelope.attributes(node)):
            model.envelope.touch(node, attribute)
        group.record(undo)
        self._touch_neighbours(node)
        self._touch(node)
        try:
            inferred = infer(node, model.opset)
        except (onnx.shape_inference.InferenceError, ValueError, TypeError, RuntimeError) as error:
            raise EditError(f"{op} does not take these inputs: {str(error).splitlines()[0]}") from error
        for tensor, (kind, dims) in zip(node.outputs, inferred, strict=True):
            if not tensor.name:
                continue
            if kind is not None and tensor.dtype is not None and kind != tensor.dtype:
                raise EditError(f"{op} would make {tensor.name!r} {kind} instead of {tensor.dtype}")
            if not _compatible(tensor.shape, dims):
                raise EditError(f"{op} would make {tensor.name!r} {dims} instead of {tensor.shape}")
            if tensor.dtype is None or tensor.shape is None:
                self.describe(
                    tensor,
                    kind if tensor.dtype is None else tensor.dtype,
                    dims if tensor.shape is None else tensor.shape,
                )
        group.reformed.append((was, (label(node), op)))

    def set_opset(self, version: int) -> None:
        """Declare another version of the standard operator set; the caller brings the nodes into its forms."""
        group, old = self._open(), self.model.opset
        if version == old:
            return
        self.model.opset = version

        def undo() -> None:
            self.model.opset = old

        group.record(undo)

    def rename(self, node: gs.Node, name: str) -> None:
        """Give the node another name; a free one derived from ``name`` where that is taken."""
        group, old = self._open(), node.name
        if old == name:
            return
        node.name = self.model.fresh(name)

        def undo() -> None:
            node.name = old

        group.record(undo)

    def describe(self, tensor: gs.Tensor, dtype: Any, shape: Sequence[int | str] | None) -> None:
        """Write down what inference found out about a variable; never contradicts what is known statically."""
        group = self._open()
        old = (tensor.dtype, tensor.shape)
        new_shape = None if shape is None else list(shape)
        if not _compatible(old[1], new_shape):
            raise EditError(f"tensor {tensor.name!r} has shape {old[1]}, inference says {new_shape}")
        if (dtype, new_shape) == (old[0], None if old[1] is None else list(old[1])):
            return
        tensor.dtype, tensor.shape = dtype, new_shape

        def undo() -> None:
            tensor.dtype, tensor.shape = old

        for node in (*tensor.inputs, *tensor.outputs):
            self._touch(node)
        group.record(undo)

    def replace_uses(self, old: gs.Tensor, new: gs.Tensor, *, retype: bool = False) -> None:
        """Every reader of ``old`` reads ``new`` instead; a graph output or captured tensor keeps its name.

        Raises :class:`EditError` where dtype or static shape differ (``retype`` allows it for inner tensors).
        """
        group = self._open()
        if old is new:
            return
        if not retype:
            _check_same_type(old, new)
        for reader in list(old.outputs):
            if id(reader) in group.added and any(new is t for t in reader.outputs):
                continue
            for index, tensor in enumerate(reader.inputs):
                if tensor is old:
                    self._read(reader, index, new)
        if self.model.is_output(old) or self.model.envelope.is_captured(old):
            _check_same_type(old, new)
            self._take_name(old, new)

    def _take_name(self, old: gs.Tensor, new: gs.Tensor) -> None:
        """``new`` becomes the graph output (or captured tensor) that ``old`` was, under the same name."""
        group, model = self._open(), self.model
        if not isinstance(new, gs.Variable) or not new.inputs or model.is_pinned(new):
            (new,) = self.ops("Identity", [new])
        # The declared type outlives the tensor that it was declared for.
        kind = old.dtype if new.dtype is None else new.dtype
        self.describe(new, kind, _sharper(new.shape, old.shape))
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

    # ---- erasing ----

    def erase(self, node: gs.Node) -> None:
        """Remove a node nobody needs; raises :class:`EditError` where an output is still read."""
        group = self._open()
        if node not in self.model:
            return
        if not self.is_dead(node):
            raise EditError(f"node {label(node)!r} is still read")
        self._touch_neighbours(node)
        inputs, outputs = list(node.inputs), list(node.outputs)
        _unlink(node)
        self.model._remove(node)
        fresh = group.added.pop(id(node), None)
        if fresh is None:
            group.removed[id(node)] = node
            group.names[id(node)] = node.name or next((t.name for t in outputs if t.name), node.op)
        group.touched.pop(id(node), None)

        def undo() -> None:
            for tensor in inputs:
                list.append(node.inputs, tensor)
                list.append(tensor.outputs, node)
            for tensor in outputs:
                list.append(node.outputs, tensor)
                list.append(tensor.inputs, node)
            self.model._restore(node)

        group.record(undo)

    def is_dead(self, node: gs.Node) -> bool:
        """Whether no output of the node is read, captured, or a graph output."""
        return not any(
            t.outputs or self.model.is_output(t) or self.model.envelope.is_captured(t) for t in node.outputs if t.name
        )

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

    # ---- notes for the driver ----

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


def _swap_input(node: gs.Node, index: int, tensor: gs.Tensor) -> None:
    old = node.inputs[index]
    _drop(old.outputs, node)
    list.__setitem__(node.inputs, index, tensor)
    list.append(tensor.outputs, node)


def _unlink(node: gs.Node) -> None:
    for tensor in node.inputs:
        _drop(tensor.outputs, node)
    for tensor in node.outputs:
        _drop(tensor.inputs, node)
    list.clear(node.inputs)
    list.clear(node.outputs)


def _drop(nodes: list[gs.Node], node: gs.Node) -> None:
    """Remove one occurrence of ``node`` by identity; graphsurgeon's lists would compare by name."""
    for index, candidate in enumerate(nodes):
        if candidate is node:
            list.__delitem__(nodes, index)
            return


def _check_same_type(old: gs.Tensor, new: gs.Tensor) -> None:
    if old.dtype is not None and new.dtype is not None and old.dtype != new.dtype:
        raise EditError(f"replacing {old.name!r} would change its type from {old.dtype} to {new.dtype}")
    if not _compatible(old.shape, new.shape):
        raise EditError(f"replacing {old.name!r} would change its shape from {old.shape} to {new.shape}")


def _sharper(dims: Sequence[Any] | None, others: Sequence[Any] | None) -> list[Any] | None:
    """``dims`` with the static sizes that only ``others`` know."""
    if dims is None:
        return None if others is None else list(others)
    if others is None:
        return list(dims)
    return [b if isinstance(b, int) and not isinstance(a, int) else a for a, b in zip(dims, others, strict=True)]


def _compatible(old: Sequence[Any] | None, new: Sequence[Any] | None) -> bool:
    if old is None or new is None:
        return True
    if len(old) != len(new):
        return False
    return all(a == b for a, b in zip(old, new, strict=True) if isinstance(a, int) and isinstance(b, int))

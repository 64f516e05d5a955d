"""Edits of single nodes: making them, changing what they read and are, erasing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from dlarewrite.errors import EditError
from dlarewrite.ir.agreement import compatible
from dlarewrite.ir.infer import Inferred, infer
from dlarewrite.ir.links import link, set_inputs, swap_input, unlink
from dlarewrite.ir.transaction import Transactions
from dlarewrite.ir.view import Array, label


@dataclass(frozen=True)
class _Form:
    """All that makes a node what it is, but for its outputs."""

    op: str
    name: str
    domain: str | None
    attrs: Mapping[str, Any]
    inputs: tuple[gs.Tensor, ...]

    @staticmethod
    def of(node: gs.Node) -> _Form:
        return _Form(node.op, node.name, node.domain, dict(node.attrs), tuple(node.inputs))

    def give(self, node: gs.Node) -> None:
        node.op, node.name, node.domain = self.op, self.name, self.domain
        node.attrs.clear()
        node.attrs.update(self.attrs)
        set_inputs(node, self.inputs)


class NodeEditor(Transactions):
    """What can be done to one node, or to the description of one tensor."""

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
            inferred = _infer(node, self.model.opset)
        except EditError:
            unlink(node)
            raise
        for tensor, (kind, dims) in zip(made, inferred, strict=True):
            tensor.dtype, tensor.shape = kind, dims
        self.model._insert(node, group.anchor)
        group.added[id(node)] = node
        self._touch_neighbours(node)

        def undo() -> None:
            unlink(node)
            self.model._remove(node)

        group.record(undo)
        return tuple(made)

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
        swap_input(node, index, new)
        self.model._reorder()
        self._touch(node)
        if old.inputs:
            self._touch(old.inputs[0])
        if new.inputs:
            self._touch(new.inputs[0])

        def undo() -> None:
            swap_input(node, index, old)
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
        was, before = (label(node), str(node.op)), _Form.of(node)
        touched = set(model.envelope.touched.get(id(node), ()))
        kept = {k: v for k, v in (attrs or {}).items() if v is not None}
        fresh = tuple(gs.Variable.empty() if t is None else t for t in inputs)

        def undo() -> None:
            before.give(node)
            model._reorder()
            model.envelope.touched[id(node)] = touched

        group.revise(node)
        self._touch_neighbours(node)
        _Form(op, before.name if name is None else name, None, kept, fresh).give(node)
        model._reorder()
        for attribute in (*before.attrs, *kept, *model.envelope.attributes(node)):
            model.envelope.touch(node, attribute)
        group.record(undo)
        self._touch_neighbours(node)
        self._touch(node)
        self._describe_outputs(node)
        group.reformed.append((was, (label(node), op)))

    def _describe_outputs(self, node: gs.Node) -> None:
        """Write down what the node makes; raises :class:`EditError` where that is not what its outputs are."""
        for tensor, (kind, dims) in zip(node.outputs, _infer(node, self.model.opset), strict=True):
            if not tensor.name:
                continue
            if kind is not None and tensor.dtype is not None and kind != tensor.dtype:
                raise EditError(f"{node.op} would make {tensor.name!r} {kind} instead of {tensor.dtype}")
            if not compatible(tensor.shape, dims):
                raise EditError(f"{node.op} would make {tensor.name!r} {dims} instead of {tensor.shape}")
            if tensor.dtype is None or tensor.shape is None:
                self.describe(
                    tensor,
                    kind if tensor.dtype is None else tensor.dtype,
                    dims if tensor.shape is None else tensor.shape,
                )

    def describe(self, tensor: gs.Tensor, dtype: Any, shape: Sequence[int | str] | None) -> None:
        """Write down what inference found out about a variable; never contradicts what is known statically."""
        group = self._open()
        old = (tensor.dtype, tensor.shape)
        new_shape = None if shape is None else list(shape)
        if not compatible(old[1], new_shape):
            raise EditError(f"tensor {tensor.name!r} has shape {old[1]}, inference says {new_shape}")
        if (dtype, new_shape) == (old[0], None if old[1] is None else list(old[1])):
            return
        tensor.dtype, tensor.shape = dtype, new_shape

        def undo() -> None:
            tensor.dtype, tensor.shape = old

        for node in (*tensor.inputs, *tensor.outputs):
            self._touch(node)
        group.record(undo)

    def erase(self, node: gs.Node) -> None:
        """Remove a node nobody needs; raises :class:`EditError` where an output is still read."""
        group = self._open()
        if node not in self.model:
            return
        if not self.is_dead(node):
            raise EditError(f"node {label(node)!r} is still read")
        self._touch_neighbours(node)
        inputs, outputs = list(node.inputs), list(node.outputs)
        unlink(node)
        self.model._remove(node)
        fresh = group.added.pop(id(node), None)
        if fresh is None:
            group.removed[id(node)] = node
            group.names[id(node)] = node.name or next((t.name for t in outputs if t.name), node.op)
        group.touched.pop(id(node), None)

        def undo() -> None:
            link(node, inputs, outputs)
            self.model._restore(node)

        group.record(undo)

    def is_dead(self, node: gs.Node) -> bool:
        """Whether no output of the node is read, captured, or a graph output."""
        return not any(
            t.outputs or self.model.is_output(t) or self.model.envelope.is_captured(t) for t in node.outputs if t.name
        )


def _infer(node: gs.Node, opset: int) -> list[Inferred]:
    """What the node makes; raises :class:`EditError` where ONNX's schema refuses its inputs."""
    try:
        return infer(node, opset)
    except (onnx.shape_inference.InferenceError, ValueError, TypeError, RuntimeError) as error:
        raise EditError(f"{node.op} does not take these inputs: {str(error).splitlines()[0]}") from error

"""An FP32 model as one whose tensors are FP16: what TensorRT 11 runs in FP16, since there the types of a model decide.

The graph's inputs and outputs stay FP32 unless asked, with Casts at the border alone. Operators that have no FP16 form,
and layers with a constant beyond FP16's range, stay FP32 between Casts: these are named, since the DLA does not take
them. Source: fact base 4.1 (TensorRT 11's migration to strong typing).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from dlarewrite.ir.copying import duplicate
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.infer import infer
from dlarewrite.ir.model import Model
from dlarewrite.ir.operand import value_of
from dlarewrite.ir.view import Array, dtype, is_op, label
from dlarewrite.precision.scales import ScaleTable
from dlarewrite.rewrite.emit import cast

LARGEST = 65504.0
"""The largest FP16 number."""

_BY = "export-fp16"
_HALF, _SINGLE = np.dtype(np.float16), np.dtype(np.float32)
_FLOAT, _FLOAT16 = int(onnx.TensorProto.FLOAT), int(onnx.TensorProto.FLOAT16)


@dataclass(frozen=True)
class Typed:
    """The FP16 model. ``single`` maps layers that stay FP32 to the reason; ``overflow`` maps activations to an amax of
    the table beyond 65504; ``casts`` counts Casts; ``vanished`` counts weights that became 0."""

    model: Model
    single: dict[str, str]
    overflow: dict[str, float]
    casts: int
    vanished: int


def to_half(model: Model, table: ScaleTable | None = None, *, keep_io: bool = True) -> Typed:
    """Convert a copy of ``model``, whose types have to be inferred; ``table`` tells which activations overflow.

    ``keep_io`` false makes FP32 inputs and outputs FP16 as well. A layer that ``table`` sets to "fp32" stays FP32.
    """
    work = _Work(duplicate(model)[0], table or ScaleTable(), keep_io)
    work.run()
    known = (table or ScaleTable()).scales
    names = {t.name for t in (*model.inputs, *(t for n in model.nodes for t in n.outputs))}
    overflow = {name: s.amax for name, s in known.items() if name in names and s.amax > LARGEST}
    return Typed(work.model, work.single, overflow, work.casts, work.vanished)


class _Work:
    """One walk in topological order: a node's inputs have their final types when it is reached."""

    def __init__(self, model: Model, table: ScaleTable, keep_io: bool) -> None:
        self.model = model
        self.single: dict[str, str] = {}
        self.casts = self.vanished = 0
        self._table = table
        self._keep_io = keep_io
        self._edit = Editor(model)
        self._forms: dict[tuple[int, str], gs.Tensor] = {}
        self._alive: list[gs.Tensor] = []

    def run(self) -> None:
        """Convert everything, then put the border's Casts."""
        outputs = [t for t in self.model.outputs if dtype(t) == _SINGLE]
        if not self._keep_io:
            with self._edit.rewrite(_BY, None, "FP16 inputs"):
                for tensor in self.model.inputs:
                    if dtype(tensor) == _SINGLE and not self.model.envelope.is_captured(tensor):
                        self._edit.describe(tensor, _HALF, tensor.shape)
        for node in list(self.model.nodes):
            why = self._obstacle(node)
            if why:
                self.single[label(node)] = why
            with self._edit.rewrite(_BY, node, "FP32" if why else "FP16"):
                self._convert(node, single=bool(why))
        with self._edit.rewrite(_BY, None, "the border"):
            for tensor in outputs if self._keep_io else ():
                # An output that was given its Cast is none any more.
                if self.model.is_output(tensor) and dtype(tensor) == _HALF and isinstance(tensor, gs.Variable):
                    self._edit.move_output(tensor, self._cast(tensor, _SINGLE))
            self._edit.sweep(n for n in list(self.model.nodes) if n.op == "Constant")

    def _obstacle(self, node: gs.Node) -> str:
        """Why a node that touches FP32 stays so, or ""."""
        touched = [t for t in (*node.inputs, *node.outputs) if t.name and dtype(t) in (_SINGLE, _HALF)]
        if node.op == "Constant" or (not touched and not self.model.envelope.has_subgraphs(node)):
            return ""
        if (node.domain or "") not in ("", "ai.onnx") or self.model.envelope.has_subgraphs(node):
            return f"{node.op} has no known FP16 form"
        if self._table.layer_precisions.get(label(node)) == "fp32":
            return "set to fp32"
        if any(self.model.envelope.is_captured(t) for t in node.outputs):
            return "its result is read inside a body of control flow"
        if not self._takes_half(node, 0) and node.inputs and dtype(node.inputs[0]) in (_SINGLE, _HALF):
            return f"{node.op} has no FP16 form in operator set {self.model.opset}"
        return self._unfit_constant(node)

    def _unfit_constant(self, node: gs.Node) -> str:
        for place, tensor in enumerate(node.inputs):
            values = value_of(tensor) if tensor.name and dtype(tensor) == _SINGLE else None
            if values is None or not values.size or not self._takes_half(node, place):
                continue
            size = np.abs(values[np.isfinite(values)])
            if size.size and size.max() > LARGEST:
                return f"constant {tensor.name!r} reaches {float(size.max()):g}, FP16 ends at {LARGEST:g}"
            if size.any() and not size.astype(np.float16).any():
                return f"constant {tensor.name!r} is at most {float(size.max()):g}, which is 0 in FP16"
        return ""

    def _takes_half(self, node: gs.Node, place: int) -> bool:
        try:
            formal = onnx.defs.get_schema(node.op, self.model.opset, "").inputs
        except onnx.defs.SchemaError:
            return False
        if not formal:
            return True
        return "tensor(float16)" in formal[min(place, len(formal) - 1)].types

    def _convert(self, node: gs.Node, *, single: bool) -> None:
        if node.op == "Constant" and (node.domain or "") in ("", "ai.onnx"):
            # Its readers get their own constants; what is left without a reader goes.
            return
        for place, tensor in enumerate(node.inputs):
            if tensor.name and dtype(tensor) in (_SINGLE, _HALF):
                wanted = _SINGLE if single or not self._takes_half(node, place) else _HALF
                self._edit.set_input(node, place, self._form(tensor, wanted))
        if single:
            return
        if is_op(node, "Cast") and int(node.attrs.get("to", 0)) == _FLOAT:
            self._edit.set_attr(node, "to", _FLOAT16)
        if is_op(node, "ConstantOfShape") and dtype(node.outputs[0]) == _SINGLE:
            held = node.attrs.get("value")
            value = np.zeros(1, np.float32) if held is None else np.asarray(getattr(held, "values", held))
            self._edit.set_attr(node, "value", gs.Constant("", value.astype(np.float16)))
        if int(node.attrs.get("dtype", 0) or 0) == _FLOAT:
            self._edit.set_attr(node, "dtype", _FLOAT16)
        self._retype(node)

    def _retype(self, node: gs.Node) -> None:
        """The results' types follow from the inputs'; where onnx cannot tell, FP32 results are taken to be FP16."""
        found = infer(node, self.model.opset)
        for tensor, (kind, _) in zip(node.outputs, found, strict=True):
            if tensor.name and dtype(tensor) in (_SINGLE, _HALF):
                self._edit.describe(tensor, _HALF if kind is None else kind, tensor.shape)

    def _form(self, tensor: gs.Tensor, kind: np.dtype[Any]) -> gs.Tensor:
        """The tensor itself, a converted constant, or a Cast of it; one for all readers."""
        if dtype(tensor) == kind:
            return tensor
        key = (id(tensor), kind.name)
        if key not in self._forms:
            values = value_of(tensor)
            self._forms[key] = self._cast(tensor, kind) if values is None else self._constant(tensor, values, kind)
            self._alive.append(tensor)
        return self._forms[key]

    def _constant(self, tensor: gs.Tensor, values: Array, kind: np.dtype[Any]) -> gs.Constant:
        with np.errstate(over="ignore"):
            made = values.astype(kind)
        self.vanished += int(np.count_nonzero(values) - np.count_nonzero(made))
        return self._edit.constant(made, f"{tensor.name}_{kind.name}")

    def _cast(self, tensor: gs.Tensor, kind: np.dtype[Any]) -> gs.Variable:
        self.casts += 1
        return cast(self._edit, tensor, kind)

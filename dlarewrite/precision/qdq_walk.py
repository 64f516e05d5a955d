"""The walk that takes Q/DQ pairs out of a graph: activations lose them, constants become what they make of them."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from dlarewrite.errors import ModelError
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import Array, consumers, dtype, is_op, label
from dlarewrite.precision.activations import activations
from dlarewrite.precision.constant_trees import Constants
from dlarewrite.precision.qdq_nodes import Quantizer, is_dequantize, is_nonnegative, is_quantize, read
from dlarewrite.precision.scales import Contradiction, Scale, surer

_BY = "import-qdq"
_MOVES = frozenset(
    (
        *("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Split", "Concat", "Expand"),
        *("Tile", "Gather", "DepthToSpace", "SpaceToDepth", "MaxPool"),
    )
)
"""Operators that do to integers what they do to the floats that these stand for."""


class Walk:
    """One walk in topological order; ``real`` maps integer tensors to the floats that they stand for."""

    def __init__(self, model: Model, asymmetric: str) -> None:
        self.model = model
        self.pairs = self.weights = 0
        self.contradictions: list[Contradiction] = []
        self.mixed: dict[int, tuple[str, tuple[str, ...]]] = {}
        self.kept: list[str] = []
        self.folded: dict[int, gs.Constant] = {}
        self._asymmetric = asymmetric
        self._edit = Editor(model)
        self._constants = Constants(model.opset)
        self._real: dict[int, tuple[gs.Tensor, Quantizer]] = {}
        self._scales: dict[int, tuple[gs.Tensor, Scale]] = {}
        self._reads: dict[int, list[gs.Tensor]] = {}
        self._seen: set[int] = set()
        self._relus: dict[int, gs.Variable] = {}

    def run(self) -> None:
        """Rewrite the whole model as one change."""
        nodes = list(self.model.nodes)
        # What a node read before: afterwards a tensor may stand for the integers of one reader and be read as it is by
        # another.
        self._reads = {id(node): list(node.inputs) for node in nodes}
        with self._edit.rewrite(_BY, None, "the pairs go, their scales stay"):
            for node in nodes:
                if is_quantize(node):
                    self._quantize(node)
                elif is_dequantize(node):
                    self._dequantize(node)
                elif any(id(t) in self._real for t in self._reads[id(node)]):
                    self._move(node)
                elif any(id(t) in self.folded for t in node.inputs):
                    self._fold_on(node)
            self._edit.sweep(n for n in nodes if is_quantize(n) or is_dequantize(n))

    @property
    def relus(self) -> int:
        """How many Relus came back."""
        return len(self._relus)

    def named(self) -> dict[str, Scale]:
        """The table's entries by the names that the tensors have now, in the order of the graph."""
        held = {tensor.name: scale for tensor, scale in self._scales.values()}
        return {t.name: held[t.name] for t in activations(self.model) if t.name in held}

    def _quantize(self, node: gs.Node) -> None:
        data, result = node.inputs[0], node.outputs[0]
        quantizer = read(node, self._constants)
        value = self._constants.value(data)
        if value is not None:
            self._constants.learn(result, quantizer.quantize(value))
            return
        if quantizer.scale.size != 1:
            raise ModelError(
                f"activation {data.name!r} is quantised per channel by {label(node)!r}; the DLA has one scale for it",
                hint="quantise activations per tensor",
            )
        self._refuse_output(result)
        if id(data) not in self._seen:
            self._seen.add(id(data))
            self._note_others(data)
        clipped = self._clipped(data, quantizer)
        self._give(clipped, quantizer)
        self._real[id(result)] = (clipped, quantizer)
        self.pairs += 1

    def _clipped(self, data: gs.Tensor, quantizer: Quantizer) -> gs.Tensor:
        """``data`` without its negative values, where the quantiser takes them away as exporters' fused Relu does.

        An input's range is what the calibration says of the data, so inputs stay as they are.
        """
        if not quantizer.only_positive or self.model.is_input(data) or is_nonnegative(data):
            return data
        if id(data) not in self._relus:
            self._relus[id(data)] = self._edit.op("Relu", [data], hint=quantizer.name)
        return self._relus[id(data)]

    def _note_others(self, tensor: gs.Tensor) -> None:
        others = [label(r) for r in consumers(tensor) if not is_quantize(r) and r.op not in ("Shape", "Size")]
        others += ["the graph's output"] * self.model.is_output(tensor)
        if others:
            self.mixed[id(tensor)] = (tensor.name, tuple(others))

    def _give(self, tensor: gs.Tensor, quantizer: Quantizer) -> None:
        if quantizer.offset and self._asymmetric == "refuse":
            raise ModelError(
                f"tensor {tensor.name!r} has zero point {int(quantizer.zero.reshape(-1)[0])} ({quantizer.kind}) in "
                f"{quantizer.name!r}, and INT8 on the DLA is symmetric",
                hint="quantise symmetrically, or let the range be widened with --asymmetric symmetric",
            )
        new = quantizer.activation_scale(symmetric=self._asymmetric != "keep")
        _, old = self._scales.setdefault(id(tensor), (tensor, new))
        if old.same_as(new):
            return
        kept, dropped, why = surer(old, new)
        self._scales[id(tensor)] = (tensor, kept)
        self.contradictions.append(Contradiction(tensor.name, kept, dropped, f"quantised twice; {why}"))

    def _dequantize(self, node: gs.Node) -> None:
        data, result = self._reads[id(node)][0], node.outputs[0]
        known = self._real.get(id(data))
        # What stands for integers has a float type by now.
        quantizer = read(node, self._constants, known[1].kind if known is not None else None)
        if known is not None:
            source, first = known
            if not first.same_as(quantizer):
                raise ModelError(
                    f"{label(node)!r} undoes {first.name!r} with another scale or zero point, which changes the values",
                    hint="a Q/DQ pair has one scale",
                )
            self._edit.replace_uses(result, source)
            return
        value = self._constants.value(data)
        if value is None:
            self._edit.replace_uses(result, self._arithmetic(node, quantizer))
            return
        self._fold(result, quantizer.dequantize(value))
        self.weights += 1

    def _fold(self, tensor: gs.Tensor, value: Array) -> None:
        made = self._edit.constant(value, f"{tensor.name}_float")
        self._constants.learn(tensor, value)
        self.folded[id(made)] = made
        self._edit.replace_uses(tensor, made)

    def _arithmetic(self, node: gs.Node, quantizer: Quantizer) -> gs.Variable:
        """(x - zero) * scale with the graph's own operators, for integers that are fed or computed."""
        if quantizer.scale.size != 1:
            raise ModelError(f"{label(node)!r} dequantises an activation per channel; the DLA has one scale per tensor")
        kind = quantizer.scale.dtype
        code = int(onnx.helper.np_dtype_to_tensor_dtype(kind))
        found = self._edit.op("Cast", [node.inputs[0]], {"to": code}, hint=label(node))
        if quantizer.zero.any():
            zero = self._edit.constant(quantizer.zero.reshape(()), "zero_point", kind)
            found = self._edit.op("Sub", [found, zero], hint=label(node))
        step = self._edit.constant(quantizer.scale.reshape(()), "scale", kind)
        found = self._edit.op("Mul", [found, step], hint=label(node))
        self._give(found, quantizer)
        self.kept.append(label(node))
        return found

    def _move(self, node: gs.Node) -> None:
        """An operator between Q and DQ that only moves values does so with the floats."""
        reads = self._reads[id(node)]
        grids = [self._real[id(t)][1] for t in reads if id(t) in self._real]
        if not is_op(node, *_MOVES) or any(not grids[0].same_as(g) for g in grids):
            raise ModelError(
                f"node {label(node)!r} ({node.op}) computes on the integers of {grids[0].name!r}, not on the floats",
                hint="put DequantizeLinear in front of it",
            )
        if node.op == "Concat" and len(grids) != len(reads):
            raise ModelError(f"node {label(node)!r} (Concat) joins quantised integers with others")
        for place, tensor in enumerate(reads):
            if id(tensor) in self._real:
                self._edit.set_input(node, place, self._real[id(tensor)][0])
        kind = dtype(node.inputs[0]) or grids[0].scale.dtype
        for tensor in node.outputs[: 1 if node.op == "MaxPool" else None]:
            self._refuse_output(tensor)
            self._edit.describe(tensor, kind, tensor.shape)
            self._real[id(tensor)] = (tensor, grids[0])
            self._give(tensor, grids[0])

    def _fold_on(self, node: gs.Node) -> None:
        """What only moves a folded weight is folded with it: grouped convolutions of TensorFlow have such."""
        if not is_op(node, "Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten"):
            return
        value = self._constants.value(node.outputs[0])
        if value is None:
            return
        self._fold(node.outputs[0], np.asarray(value))
        self._edit.sweep([node])

    def _refuse_output(self, tensor: gs.Tensor) -> None:
        if self.model.is_output(tensor) or self.model.envelope.is_captured(tensor):
            raise ModelError(
                f"the quantised integers {tensor.name!r} are an output of the graph; a plain model has floats there",
                hint="end the model with DequantizeLinear, and ask for INT8 outputs when building",
            )

"""What does not depend on the inputs is computed now.

What it does: replaces constant sub-graphs, Constant nodes and shape arithmetic on static (or partly static) shapes by
initializers.
Law: f(constants) = constant; Shape(x) = x's static shape.
Numerics: EXACT - numpy for integer maths and data movement, onnxruntime without optimisation for the rest.
Scales: a new initializer takes the scale of the tensor that it replaces, where that has one; Q/DQ pairs stay.
Fires: on nodes of the standard domain whose inputs are all constant, and on Shape chains that are known in full.
Refuses: a result that would add more than max_bytes to the weights, and a node that cannot be evaluated. Random
operators, If/Loop/Scan, Q/DQ and custom operators are left alone.
Source: CONST-FOLD, GEN-CONST.
Example: Reshape(x, Concat(Gather(Shape(x), 0), [-1])) -> Reshape(x, [1, -1])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import (
    Constant,
    Context,
    Editor,
    GraphPass,
    Node,
    Numerics,
    Phase,
    Refusal,
    Tensor,
    constants,
    shapes,
)


@dataclass(frozen=True)
class FoldConstants(GraphPass):
    """Constant sub-graphs -> initializers."""

    name: ClassVar[str] = "fold-constants"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    phase: ClassVar[Phase] = Phase.CLEAN
    max_bytes: int = 64 * 2**20

    def run(self, context: Context, edit: Editor) -> list[Refusal]:
        with edit.rewrite(self.name, detail="types and shapes inferred"):
            values = shapes.propagate(context.model, edit)
        found = constants.find(context.model, values, self.max_bytes)
        for node in found.nodes.values():
            self._replace(node, found, context, edit)
        return [Refusal(reason, (node,)) for node, reason in found.refused if node in context.model]

    def _replace(self, node: Node, found: constants.Folded, context: Context, edit: Editor) -> None:
        """Give every reader that stays a constant instead; the last reader gone, the node goes too."""
        model = context.model
        pinned = [t for t in node.outputs if t.name and model.is_pinned(t)]
        if pinned and node.op in ("Constant", "Identity"):
            pinned = []
        with edit.rewrite(self.name, node):
            for tensor in node.outputs:
                readers = [r for r in _readers(tensor) if id(r) not in found.nodes]
                is_pinned = any(t is tensor for t in pinned)
                if not readers and not is_pinned:
                    continue
                made = _constant(found.values[id(tensor)], tensor, context, edit)
                for reader in readers:
                    for index, operand in enumerate(reader.inputs):
                        if operand is tensor:
                            edit.set_input(reader, index, made)
                if is_pinned:
                    edit.replace_uses(tensor, made)
            edit.sweep([node])


def _constant(value: object, tensor: Tensor, context: Context, edit: Editor) -> Constant:
    if isinstance(value, Constant):
        return constants.stored(value, context.model.fresh(tensor.name))
    return edit.constant(value, tensor.name)  # type: ignore[arg-type]


def _readers(tensor: Tensor) -> list[Node]:
    return list({id(r): r for r in tensor.outputs}.values())

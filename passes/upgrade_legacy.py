"""Operators of old opsets take their present form, and the model declares opset 13.

What it does: Upsample -> Resize; attributes that became inputs (Slice, Pad, Clip, Squeeze, Unsqueeze, Split, TopK,
ReduceSum) -> inputs; Softmax over flattened axes -> Softmax over one axis; BatchNormalization, Dropout, Scatter and
the broadcasting of opset 6 -> their later forms; then the model's opset is raised, once.
Law: the change logs of ONNX's operators, form by form; nothing else differs between the versions.
Numerics: EXACT - the same operations in another notation.
Scales: all tensors stay, with their names; a Reshape around a Softmax takes the scale of what it moves.
Fires: on models of the standard operator set below the wanted opset (13 unless asked otherwise), from opset 6 on.
Refuses: the whole model, which then keeps its opset, where one node has no equal later form: statistics for every
element, a Dropout mask of floats that is read, If/Loop/Scan bodies, experimental operators, shapes unknown to a
Softmax that needs them.
Source: ONNX, docs/Changelog.md and docs/Operators.md.
Example: Upsample(x, scales) {nearest} -> Resize(x, _, scales) {asymmetric, floor}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, EditError, Editor, GraphPass, Node, Numerics, Phase, Refusal, legacy, schema, view

FIRST, LAST = 6, 17
"""Opsets that can be read, and the highest that can be asked for: up to it, only RoiAlign's default changed."""


@dataclass(frozen=True)
class UpgradeLegacy(GraphPass):
    """Opset 6 to 12 -> 13: old operator forms become the present ones."""

    name: ClassVar[str] = "upgrade-legacy"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    phase: ClassVar[Phase] = Phase.PREPARE
    after: ClassVar[tuple[str, ...]] = ("freeze-shapes",)
    opset: int = 13

    def run(self, context: Context, edit: Editor) -> list[Refusal]:
        old = context.opset
        wanted = min(self.opset, LAST)
        if old >= wanted:
            return []
        if old < FIRST:
            return [Refusal(f"opset {old} is older than {FIRST}, the first that can be brought up to date", ())]
        at: Node | None = None
        try:
            with edit.rewrite(self.name) as group:
                group.detail = f"opset {old} -> {wanted}"
                edit.set_opset(wanted)
                for at in context.model.nodes:
                    _raise_node(at, old, wanted, context, edit)
        except legacy.Stuck as stuck:
            reason = f"{stuck}, so that the model keeps opset {old}"
        except EditError as error:
            reason = f"{error}, so that the model keeps opset {old}"
        else:
            return []
        return [Refusal(reason, () if at is None else (at,))]


def _raise_node(node: Node, old: int, wanted: int, context: Context, edit: Editor) -> None:
    if (node.domain or "") not in ("", "ai.onnx"):
        return
    name = f"{view.label(node)} ({node.op})"
    if context.model.envelope.has_subgraphs(node):
        raise legacy.Stuck(f"{name} has a body of the old opset")
    form = legacy.FORMS.get(node.op)
    if form is not None:
        form(legacy.Old(node, old, wanted, context.model, edit))
    known = schema.attributes(node.op, wanted)
    if known is None:
        raise legacy.Stuck(f"{name} is not an operator of opset {wanted}")
    for attribute in [a for a in node.attrs if a not in known]:
        if attribute not in legacy.HARMLESS:
            raise legacy.Stuck(f"{name} has the attribute {attribute!r}, which opset {wanted} does not know")
        edit.set_attr(node, attribute, None)

"""MaxPools wider than the DLA's window become cascades of smaller ones.

What it does: MaxPool with a window above 8 (13x13 of an SPP block) -> MaxPools of at most 8, the last one strided.
    Pools that the model already takes of the same tensor are built upon (13 is 5 after the 9 that is there).
Law: a maximum of maxima over windows that overlap or touch is the maximum over their union; pads are minus infinity
    and never win, so they may be shared out among the steps.
Numerics: EXACT - a maximum picks a value.
Scales: every new tensor takes the scale of the input (POOL-INT8-SCALE).
Fires: on 4-D MaxPools of static shape whose window or stride is too big; ceil_mode and auto_pad are made explicit.
Refuses: a dilated window, an Indices output that is read, a stride that no cascade reaches.
Source: ONNX MaxPool; POOL-WIN, POOL-STRIDE, POOL-PAD.
Example: MaxPool 9x9 pads 4 -> MaxPool 5x5 pads 2, MaxPool 5x5 pads 2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, pooling, view, windows


@dataclass(frozen=True)
class Cascade:
    """Pools of ``source`` one after the other, one step per spatial axis each."""

    source: Tensor
    stages: tuple[tuple[pooling.Step, ...], ...]


@dataclass(frozen=True)
class PoolWindow(Pass[Cascade]):
    """MaxPool with a big window -> MaxPools with windows of at most 8."""

    name: ClassVar[str] = "pool-window"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("MaxPool",)

    def match(self, node: Node, context: Context) -> Match[Cascade] | Refusal | None:
        x = view.input_at(node, 0)
        axes = windows.axes(node)
        if x is None or axes is None or len(axes) != 2:
            return None
        if windows.is_dilated(node):
            dilations = "x".join(str(d) for d in view.ints(node, "dilations"))
            return Refusal(f"its window is dilated by {dilations}, the DLA's is not", (node,))
        if all(a.kernel <= pooling.WINDOW and a.stride <= pooling.STRIDE for a in axes):
            return None
        indices = view.output_at(node, 1)
        if indices is not None and (indices.outputs or context.model.is_pinned(indices)):
            return Refusal("its Indices output is read", (node,))
        if _waits(x, node, axes):
            return None
        source, axes = _nearest(x, node, axes)
        plans = [pooling.max_plan(a) for a in axes]
        if any(p is None for p in plans):
            wide = "x".join(str(a.kernel) for a in axes)
            return Refusal(f"no cascade of windows up to 8 makes {wide} at this stride and size", (node,))
        stages = pooling.align([p for p in plans if p is not None])
        text = ", ".join("x".join(str(s.kernel) for s in stage) for stage in stages) or "nothing"
        own = "x".join(str(k) for k in view.ints(node, "kernel_shape"))
        built = "" if source is x else f" on {source.name}"
        return Match((node,), Cascade(source, stages), f"{own} -> {text}{built}")

    def apply(self, match: Match[Cascade], edit: Editor) -> None:
        y = match.facts.source
        for stage in match.facts.stages:
            y = edit.op("MaxPool", [y], pooling.attributes(stage))
        edit.replace_uses(match.nodes[0].outputs[0], y)


def _waits(x: Tensor, node: Node, axes: tuple[pooling.Axis, ...]) -> bool:
    """Whether a smaller pool of ``x`` has to be rewritten yet, upon which this one can be built in the next round."""
    for other in view.consumers(x):
        if other is node or not view.is_op(other, "MaxPool") or not _rewrites(other):
            continue
        theirs = windows.axes(other) or ()
        smaller = len(theirs) == len(axes) and all(
            t.stride == 1 and t.kernel <= a.kernel and t.begin <= a.begin and t.end <= a.end
            for t, a in zip(theirs, axes, strict=True)
        )
        if smaller and sum(t.kernel for t in theirs) < sum(a.kernel for a in axes):
            return True
    return False


def _rewrites(pool: Node) -> bool:
    """Whether this pass has a cascade for ``pool``."""
    axes = windows.axes(pool)
    if axes is None or len(pool.outputs) > 1 or windows.is_dilated(pool):
        return False
    return any(a.kernel > pooling.WINDOW for a in axes) and all(pooling.max_plan(a) is not None for a in axes)


def _nearest(x: Tensor, node: Node, axes: tuple[pooling.Axis, ...]) -> tuple[Tensor, tuple[pooling.Axis, ...]]:
    """The widest pool of ``x`` at stride 1 that is there already and fits into the window, and what is left to do."""
    best, left = x, axes
    stack = [(x, axes)]
    while stack:
        tensor, rest = stack.pop()
        for reader in view.consumers(tensor):
            if reader is node or not view.is_op(reader, "MaxPool") or reader.inputs[0] is not tensor:
                continue
            less = _without(reader, rest)
            if less is None:
                continue
            stack.append((reader.outputs[0], less))
            if sum(a.kernel for a in less) < sum(a.kernel for a in left):
                best, left = reader.outputs[0], less
    return best, left


def _without(pool: Node, axes: tuple[pooling.Axis, ...]) -> tuple[pooling.Axis, ...] | None:
    """What is left of the windows ``axes`` after ``pool``, or None where it is no step towards them."""
    theirs = windows.axes(pool)
    if theirs is None or len(theirs) != len(axes) or windows.is_dilated(pool):
        return None
    left = []
    for want, has in zip(axes, theirs, strict=True):
        kernel, begin = want.kernel - has.kernel + 1, want.begin - has.begin
        end = want.end - has.end
        if has.kernel > pooling.WINDOW or has.stride != 1 or min(begin, end) < 0 or max(begin, end) >= kernel:
            return None
        left.append(pooling.Axis(has.count, kernel, want.stride, begin, want.count))
    return tuple(left)

"""Finds the nodes around an anchor whose tensors a rank-4 NCHW tensor can carry, and moves them onto the carriers.

A region is grown from the anchor through everything a rule exists for, upwards and downwards; layouts are then worked
out from the top. Where a rule declines, the node stays outside, and its tensors are a border: a carrier is entered and
left there by explicit Reshapes and Transposes. Between the borders all of those are gone.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import is_constant, is_op, shape
from dlarewrite.rewrite.carry import Carried, Rule
from dlarewrite.rewrite.carry_rules import MOVES
from dlarewrite.rewrite.context import Context, Memo
from dlarewrite.rewrite.layout import Layout, crossing, enter, leave, natural

_CHANNELS_FIRST = frozenset(
    [
        "Conv",
        "ConvTranspose",
        "MaxPool",
        "AveragePool",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "BatchNormalization",
        "InstanceNormalization",
        "LRN",
        "Resize",
        "Upsample",
        "DepthToSpace",
        "SpaceToDepth",
        "GroupNormalization",
    ]
)


class Guess(enum.Enum):
    """How what comes from outside is laid out; LINES: channels last, and also where an operator makes [N, 1, 1, L]."""

    FIRST = enum.auto()
    LAST = enum.auto()
    LINES = enum.auto()


@dataclass(frozen=True)
class Step:
    """One node of the region and what becomes of it."""

    node: gs.Node
    carried: Carried


@dataclass(frozen=True)
class Region:
    """``steps`` in topological order; ``entries`` are the tensors that have to be brought onto carriers first.

    ``exits`` are the region's tensors that something outside reads, with the layout of their carrier.
    """

    steps: tuple[Step, ...]
    entries: tuple[tuple[gs.Tensor, Layout], ...]
    exits: tuple[tuple[gs.Tensor, Layout], ...]
    inner: int
    """How many borders inside the model need a Reshape or Transpose; those at its inputs and outputs come on top."""

    @cached_property
    def nodes(self) -> tuple[gs.Node, ...]:
        return tuple(step.node for step in self.steps)

    @cached_property
    def borders(self) -> int:
        """How many Reshapes and Transposes the entries and exits need."""
        return sum(crossing(how) for _, how in (*self.entries, *self.exits))

    @property
    def worth(self) -> bool:
        """Whether no more Reshapes and Transposes are left inside the model than there were."""
        return self.inner <= self.moves

    @cached_property
    def moves(self) -> int:
        """How many Reshapes and Transposes go."""
        return sum(is_op(node, *MOVES) for node in self.nodes)

    @property
    def work(self) -> int:
        """How many nodes other than Reshapes and Transposes it holds."""
        return len(self.steps) - self.moves

    @cached_property
    def rating(self) -> tuple[int, int]:
        """The more Reshapes and Transposes go, the better; then, the more work is done on carriers."""
        return self.moves - self.borders, self.work

    def first(self, *ops: str) -> gs.Node | None:
        """The first of its nodes of these operators."""
        return next((node for node in self.nodes if is_op(node, *ops)), None)

    def holds(self, *ops: str) -> tuple[gs.Node, ...]:
        """Its nodes of these operators, in topological order."""
        return tuple(node for node in self.nodes if is_op(node, *ops))


def grow(anchor: gs.Node, context: Context, rules: Mapping[str, Rule]) -> Region | None:
    """The region around the anchor, or None.

    What comes from outside is taken for NCHW or for NHWC, whichever leaves more Reshapes and Transposes behind. Regions
    are remembered until the graph changes.
    """
    known: _Known = context.memo.setdefault(("region", id(rules)), _Known())
    if id(anchor) not in known.best:
        nodes = _component(anchor, context.model, rules)
        known.learn((anchor, *nodes))
        lines = any(_fixed(t) and _is_line(t) for node in nodes for t in node.inputs)
        for guess in Guess if lines else (Guess.FIRST, Guess.LAST):
            for region in _carry(nodes, context.model, rules, guess):
                known.offer(region)
    return known.best[id(anchor)]


class _Known(Memo):
    """The best region of each node that was asked for, with the component in which it was looked for."""

    def __init__(self) -> None:
        self.best: dict[int, Region | None] = {}
        self._components: dict[int, frozenset[int]] = {}

    def learn(self, nodes: Iterable[gs.Node]) -> None:
        """A component of which nothing is known yet."""
        component = frozenset(map(id, nodes))
        self.best.update(dict.fromkeys(component))
        self._components.update(dict.fromkeys(component, component))

    def offer(self, region: Region) -> None:
        for node in region.nodes:
            old = self.best[id(node)]
            if old is None or region.rating > old.rating:
                self.best[id(node)] = region

    def forget(self, keys: set[int]) -> None:
        for key in keys:
            for member in self._components.get(key, ()):
                self.best.pop(member, None)
                self._components.pop(member, None)


def move(region: Region, edit: Editor) -> None:
    """Emit the region on its carriers, and let everything outside read from there."""
    carriers: dict[int, gs.Tensor] = {id(t): enter(edit, t, how) for t, how in region.entries}
    for step in region.steps:
        inputs = [None if is_constant(t) or not t.name else carriers[id(t)] for t in step.node.inputs]
        made = step.carried.emit(edit, inputs)
        carriers.update((id(t), c) for t, c in zip(step.node.outputs, made, strict=True))
    for tensor, how in region.exits:
        edit.replace_uses(tensor, leave(edit, carriers[id(tensor)], how))


def _movable(node: gs.Node, rules: Mapping[str, Rule]) -> bool:
    """Whether a rule may apply: all shapes static, and not an operator that asks for NCHW and has it."""
    if not is_op(node, *rules):
        return False
    tensors = [t for t in (*node.inputs, *node.outputs) if t.name and not is_constant(t)]
    forms = [shape(t) for t in tensors]
    if not tensors or any(f is None or 0 in f or not 1 <= len(f) <= 6 for f in forms):
        return False
    return node.op not in _CHANNELS_FIRST or len(forms[0] or ()) != 4


def _component(anchor: gs.Node, model: Model, rules: Mapping[str, Rule]) -> list[gs.Node]:
    """The connected movable nodes in the model's order; empty where the anchor is none."""
    if not _movable(anchor, rules):
        return []
    seen, found = {id(anchor)}, [anchor]
    for node in found:
        for near in _neighbours(node):
            if id(near) not in seen:
                seen.add(id(near))
                if near in model and _movable(near, rules):
                    found.append(near)
    return model.ordered(found)


def _neighbours(node: gs.Node) -> Iterable[gs.Node]:
    for tensor in node.inputs:
        yield from tensor.inputs
    for tensor in node.outputs:
        yield from tensor.outputs


def _carry(nodes: list[gs.Node], model: Model, rules: Mapping[str, Rule], guess: Guess) -> Iterable[Region]:
    """Work layouts out from the top; what is connected by carried tensors is a region."""
    layouts: dict[int, Layout] = {}
    steps: dict[int, Step] = {}
    for node in nodes:
        ins = [None if is_constant(t) or not t.name else _layout(t, layouts, guess) for t in node.inputs]
        if any(i is None and t.name and not is_constant(t) for i, t in zip(ins, node.inputs, strict=True)):
            continue
        carried = rules[node.op](node, ins, model.opset)
        if carried is None:
            continue
        layouts.update((id(t), how) for t, how in zip(node.outputs, carried.outputs, strict=True))
        if not _unchanged(node, ins, carried):
            steps[id(node)] = Step(node, carried)
    place = {key: number for number, key in enumerate(steps)}
    done: set[int] = set()
    for key, step in steps.items():
        if key in done:
            continue
        kept = _connected(step.node, steps)
        done |= kept
        chosen = tuple(steps[k] for k in sorted(kept, key=place.__getitem__))
        yield _region(chosen, kept, model, layouts, guess)


def _region(
    chosen: tuple[Step, ...], kept: set[int], model: Model, layouts: Mapping[int, Layout], guess: Guess
) -> Region:
    entries, exits = _borders(chosen, kept, model, layouts, guess)
    inner = sum(not how.identity and not model.is_input(t) for t, how in entries)
    inner += sum(not how.identity and any(id(r) not in kept for r in t.outputs) for t, how in exits)
    return Region(chosen, entries, exits, inner)


def _layout(tensor: gs.Tensor, layouts: Mapping[int, Layout], guess: Guess) -> Layout | None:
    """The layout worked out for a tensor, or the guess for one that comes from outside."""
    known = layouts.get(id(tensor))
    if known is not None:
        return known
    form = shape(tensor)
    if form is None:
        return None
    loose = guess is Guess.LINES and _is_line(tensor)
    return natural(form, channels_last=guess is not Guess.FIRST and (loose or not _fixed(tensor)))


def _fixed(tensor: gs.Tensor) -> bool:
    """Whether an operator that works channels-first makes the tensor."""
    return bool(tensor.inputs) and len(tensor.shape or ()) == 4 and is_op(tensor.inputs[0], *_CHANNELS_FIRST)


def _is_line(tensor: gs.Tensor) -> bool:
    """Whether a Reshape makes [N, 1, 1, L], whose L are channels then, [N, L, 1, 1]."""
    form = shape(tensor)
    return form is not None and len(form) == 4 and form[1:3] == (1, 1) and form[3] > 1


def _unchanged(node: gs.Node, ins: list[Layout | None], carried: Carried) -> bool:
    """Whether the node is its own carried form: it stands where it should."""
    return (
        all(i is None or i.identity for i in ins) and all(o.identity for o in carried.outputs) and node.op not in MOVES
    )


def _connected(first: gs.Node, steps: Mapping[int, Step]) -> set[int]:
    """The steps that the first one reaches."""
    kept, queue = {id(first)}, deque([first])
    while queue:
        for near in _neighbours(queue.popleft()):
            if id(near) in steps and id(near) not in kept:
                kept.add(id(near))
                queue.append(near)
    return kept


def _borders(
    steps: tuple[Step, ...], kept: set[int], model: Model, layouts: Mapping[int, Layout], guess: Guess
) -> tuple[tuple[tuple[gs.Tensor, Layout], ...], tuple[tuple[gs.Tensor, Layout], ...]]:
    entries: dict[int, tuple[gs.Tensor, Layout]] = {}
    exits: list[tuple[gs.Tensor, Layout]] = []
    for step in steps:
        for tensor in step.node.inputs:
            if not tensor.name or is_constant(tensor) or any(id(p) in kept for p in tensor.inputs):
                continue
            how = _layout(tensor, layouts, guess)
            if how is not None:
                entries[id(tensor)] = (tensor, how)
        for tensor, how in zip(step.node.outputs, step.carried.outputs, strict=True):
            if model.is_pinned(tensor) or any(id(r) not in kept for r in tensor.outputs):
                exits.append((tensor, how))
    return tuple(entries.values()), tuple(exits)

"""Channel shuffles are worked into the weights of what reads them.

What it does: a Reshape, Transpose, Reshape that reorders channels (between Transposes to channels last and back, with
    the Splits, Slices, Gathers and Concats along C that stand behind it) becomes a list of wires. A Conv takes its
    wires sorted, as a few Slices and a Concat or none at all, with the columns of its weights in the same order;
    operators that work channel by channel (activations, depthwise Convs, BatchNormalization, pools) hand the order on;
    anything else gets its channels as they were. Slices and a Concat, or a one-hot Conv for each: whichever costs less
    over the whole shuffle. Where the shuffle's input is a Conv's, with or without activations between, the rows of that
    one's weights can take its order instead; a grouped Conv becomes dense for it, which is done where it costs less
    than the readers would.
Law: a convolution sums over its input channels, so their order is the order of its weights; moving channels computes
    nothing.
Numerics: ROUNDING - the sums over the channels run in another order.
Scales: a slice or concatenation of channels inherits the scale of the tensors that it is taken from.
Fires: where a shuffle is refused or doubted, all shapes are static, and its inner tensors are read by nobody else.
Refuses: a shuffle whose inner tensors are graph outputs or read otherwise is none.
Source: SHUF-4D, SHUF-NEIGH, GEN-RANK; the channel shuffle of ShuffleNet, IGCV and MENet.
Example: Concat, shuffle by 2, Split, Conv on the second half -> Slices of the Concat's inputs, Concat, Conv
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from dlarewrite.api import (
    Context,
    Editor,
    Match,
    Node,
    Numerics,
    Pass,
    Refusal,
    Tensor,
    choice,
    elements,
    emit,
    forms,
    macs,
    reordering,
    spatial,
    view,
    wiring,
)

_PLAIN = frozenset(
    [
        "Relu",
        "LeakyRelu",
        "Sigmoid",
        "Tanh",
        "Clip",
        "HardSigmoid",
        "HardSwish",
        "Elu",
        "Softplus",
        "Abs",
        "MaxPool",
        "AveragePool",
        "GlobalAveragePool",
        "GlobalMaxPool",
    ]
)
_INWARD = (0, 2, 3, 1)
_CONSTANT_BESIDE = frozenset(("Add", "Sub", "Mul", "Div", "PRelu"))


@dataclass(frozen=True)
class Step:
    """Input ``index`` of ``node`` is read as ``wires``, its channels in the order ``order``.

    ``made`` is the number of the source that the result becomes, in that order; None where the result is as it was.
    """

    node: Node
    index: int
    wires: wiring.Wires
    order: wiring.Ints
    made: int | None = None


@dataclass(frozen=True)
class Plan:
    """``sources`` by number (None: made by a step), steps, tensors that are wires and stay (True: channels-last)."""

    sources: tuple[Tensor | None, ...]
    steps: tuple[Step, ...]
    outputs: tuple[tuple[Tensor, wiring.Wires, bool], ...]
    most: int


@dataclass(frozen=True)
class ChannelShuffle(Pass[Plan | reordering.Behind]):
    """Channel shuffles -> the order of weights, Slices and Concats, or one-hot 1x1 Convs."""

    max_slices: int = 24

    name: ClassVar[str] = "channel-shuffle"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Reshape", "Transpose")

    def match(self, node: Node, context: Context) -> Match[Plan | reordering.Behind] | Refusal | None:
        shuffle = wiring.read_shuffle(node, context.model)
        if shuffle is None or not view.is_float(shuffle.x):
            return None
        trace = _Trace(context)
        trace.enter(shuffle)
        trace.run()
        chosen = _cheapest(context, trace, shuffle.x, self.max_slices)
        plan = Plan(tuple(trace.sources), tuple(trace.steps), tuple(trace.outputs), chosen.form)
        text = f"{len(plan.steps)} readers take their channels in another order"
        behind = None if shuffle.turned else reordering.behind(context, shuffle)
        if behind is not None:
            forms_: list[choice.Candidate[Plan | reordering.Behind]] = [
                choice.Candidate(plan, chosen.name, chosen.cost),
                choice.Candidate(behind, f"the rows of {view.label(behind.conv)}", reordering.cost(behind)),
            ]
            better = choice.choose(context, forms_)
            if better.form is behind:
                nodes = (*shuffle.nodes, *behind.chain, behind.conv)
                return Match(nodes, behind, better.detail(f"{len(behind.rows)} channels in another order"))
        return Match(tuple(trace.nodes), plan, chosen.detail(text))

    def apply(self, match: Match[Plan | reordering.Behind], edit: Editor) -> None:
        plan = match.facts
        if isinstance(plan, reordering.Behind):
            reordering.emit_behind(edit, plan)
            return
        maker = wiring.Maker(edit, dict(enumerate(plan.sources)), plan.most)
        for step in plan.steps:
            x = maker.tensor(step.wires.pick(step.order))
            if np.array_equal(step.order, np.arange(len(step.order))):
                edit.set_input(step.node, step.index, x)
                if step.made is not None:
                    maker.sources[step.made] = step.node.outputs[0]
                continue
            made = _reordered(edit, step, x)
            if step.made is None:
                edit.replace_uses(step.node.outputs[0], made)
            else:
                maker.sources[step.made] = made
        for tensor, wires, turned in plan.outputs:
            made = maker.tensor(wires)
            edit.replace_uses(tensor, emit.transpose(edit, made, _INWARD) if turned else made)


class _Trace:
    """Follows wires downwards from a shuffle; collects what has to be done."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.sources: list[Tensor | None] = []
        self.numbers: dict[int, int] = {}
        self.wires: dict[int, wiring.Wires] = {}
        self.nodes: list[Node] = []
        self.steps: list[Step] = []
        self.outputs: list[tuple[Tensor, wiring.Wires, bool]] = []

    def enter(self, shuffle: wiring.Shuffle) -> None:
        base = self.of(shuffle.x)
        self.nodes.extend(shuffle.nodes)
        for tensor, channels in shuffle.ends:
            self.put(tensor, base.pick(channels))
        self.outputs.extend((tensor, base.pick(channels), True) for tensor, channels in shuffle.turned)

    def of(self, tensor: Tensor) -> wiring.Wires:
        """The wires of a tensor, whether they were followed already or begin above."""
        known = self.wires.get(id(tensor))
        return known or wiring.upstream(tensor, self.numbers, self.sources, self.context.opset)

    def put(self, tensor: Tensor, wires: wiring.Wires) -> None:
        self.wires[id(tensor)] = wires
        if self.context.model.is_pinned(tensor):
            self.outputs.append((tensor, wires, False))

    def run(self) -> None:
        done = {id(n) for n in self.nodes}
        for node in self.context.model.nodes:
            read = [i for i, t in enumerate(node.inputs) if id(t) in self.wires]
            if read and id(node) not in done and not self.moves(node):
                done.update(id(n) for n in self.nodes)
                self.reads(node, read)

    def moves(self, node: Node) -> bool:
        """Whether the node only moves channels: then its results are wires too."""
        if wiring.joins(node):
            self.nodes.append(node)
            self.put(node.outputs[0], wiring.joined([self.of(t) for t in node.inputs]))
            return True
        rows = wiring.chosen(node, self.context.opset)
        if rows is not None:
            self.nodes.append(node)
            for tensor, channels in zip(node.outputs, rows, strict=True):
                self.put(tensor, self.of(node.inputs[0]).pick(channels))
            return True
        shuffle = wiring.read_shuffle(node, self.context.model)
        if shuffle is not None:
            self.enter(shuffle)
        return shuffle is not None

    def reads(self, node: Node, read: list[int]) -> None:
        """A step for each wired input: sorted where the node can take it, else as it was."""
        self.nodes.append(node)
        first, wires = read[0], self.wires[id(node.inputs[read[0]])]
        plain = np.arange(len(wires))
        group = _columns(node)
        if len(read) == 1 and first == 0 and group:
            self.steps.append(Step(node, 0, wires, wires.sorting(group)))
        elif len(read) == 1 and _channelwise(node, first) and len(wires.runs()) > 1:
            order = wires.sorting()
            self.sources.append(None)
            number = len(self.sources) - 1
            self.steps.append(Step(node, first, wires, order, number))
            self.put(node.outputs[0], wiring.Wires(np.full(len(order), number), np.argsort(order)))
        else:
            self.steps.extend(Step(node, i, self.wires[id(node.inputs[i])], np.arange(len(plain))) for i in read)


def _cheapest(context: Context, trace: _Trace, x: Tensor, most: int) -> choice.Choice[int]:
    """How many Slices may make a tensor, by what all of the shuffle costs: ``most``, or none and one-hot Convs.

    Where the target doubts Slices (an INT8 build hops to FP16), they are taken only if the Convs would cost a tenth of
    the model.
    """
    picked = sum(len(step.wires) for step in trace.steps if len(step.wires.pick(step.order).runs()) > 1)
    dear = picked * elements(x) * 10 > sum(map(macs, context.model.nodes))
    if dear and not forms.takes_slices(context, x) and forms.takes_slices(context, x, doubtful=True):
        return choice.Choice(most, "Slices", choice.Cost(), "")
    found = []
    for count, name in ((most, "Slices and Concats"), (0, "one-hot 1x1 Convs")):
        cost = choice.measure(context, partial(_moved, trace=trace, most=count))
        found.extend([choice.Candidate(count, name, cost)] if cost is not None else [])
    return choice.choose(context, found) if found else choice.Choice(0, "", choice.Cost(), "")


def _moved(edit: Editor, trace: _Trace, most: int) -> None:
    """Only what brings the channels into order, on stand-ins for tensors that a step makes."""
    sources: dict[int, Tensor | None] = dict(enumerate(trace.sources))
    for step in trace.steps:
        if step.made is not None:
            made = step.node.outputs[0]
            sources[step.made] = spatial.like(made, view.shape(made) or ())
    maker = wiring.Maker(edit, sources, most)
    for step in trace.steps:
        maker.tensor(step.wires.pick(step.order))
    for _, wires, _ in trace.outputs:
        maker.tensor(wires)


def _columns(node: Node) -> int:
    """The groups of a Conv whose weights' columns may be reordered within each; 0 for anything else."""
    form = view.shape(view.input_at(node, 1))
    group = int(view.attr(node, "group", 1))
    dense = view.is_op(node, "Conv") and view.is_constant(view.input_at(node, 1)) and form is not None and form[1] > 1
    return group if dense else 0


def _channelwise(node: Node, index: int) -> bool:
    """Whether channel c of the result depends on channel c of the input alone, and its constants can be reordered."""
    if len(node.outputs) != 1:
        return False
    others = [t for i, t in enumerate(node.inputs) if i != index and t.name]
    if not all(view.is_constant(t) for t in others):
        return False
    if view.is_op(node, *_PLAIN) or view.is_op(node, "BatchNormalization"):
        return index == 0
    if view.is_op(node, "Conv"):
        return int(view.attr(node, "group", 1)) == (view.shape(node.outputs[0]) or (0, 0))[1]
    forms_ = [view.shape(t) or () for t in others]
    return view.is_op(node, *_CONSTANT_BESIDE) and all(len(f) == 0 or f == (1,) or _per_channel(f) for f in forms_)


def _per_channel(form: tuple[int, ...]) -> bool:
    return len(form) in (3, 4) and form[-2:] == (1, 1) and form[:-3] in ((), (1,))


def _reordered(edit: Editor, step: Step, x: Tensor) -> Tensor:
    """The step's node on reordered channels: its constants in the same order."""
    node = step.node
    inputs: list[Tensor | None] = [t if t.name else None for t in node.inputs]
    for index, tensor in enumerate(node.inputs):
        values = view.constant_value(tensor) if index != step.index and tensor.name else None
        if values is not None:
            inputs[index] = _constant(edit, tensor, values, step, index)
    inputs[step.index] = x
    return edit.op(node.op, inputs, dict(node.attrs), hint=view.label(node))


def _constant(edit: Editor, tensor: Tensor, values: np.typing.NDArray[np.generic], step: Step, index: int) -> Tensor:
    """A constant of the node for channels in the step's order; one that knows no channels stays itself."""
    node, order = step.node, step.order
    if view.is_op(node, "Conv") and step.made is None:
        if index != 1:
            return tensor
        group = int(view.attr(node, "group", 1))
        count, columns = values.shape[:2]
        within = order.reshape(group, columns) - np.arange(group)[:, None] * columns
        parts = values.reshape(group, count // group, *values.shape[1:])
        turned = np.stack([part[:, rows] for part, rows in zip(parts, within, strict=True)])
        return edit.constant(turned.reshape(values.shape), str(tensor.name))
    if view.is_op(node, "Conv", "BatchNormalization"):
        return edit.constant(values[order], str(tensor.name))
    if view.is_op(node, *_CONSTANT_BESIDE) and values.ndim > 2 and values.shape[-3] > 1:
        return edit.constant(np.take(values, order, axis=values.ndim - 3), str(tensor.name))
    return tensor

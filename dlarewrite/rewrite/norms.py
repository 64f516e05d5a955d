"""Normalizations that are written out, read by what they compute instead of by how they are written.

From the tensor x that is normalized, its mean m and r = 1 / sqrt(variance + epsilon), values are followed as
polynomials in x, m and r, whose coefficients are constants, through element-wise operators, Reshapes, Transposes and
Expands. A tensor that holds g x r - g m r + b is a normalization, whatever came between.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.model import Model
from dlarewrite.ir.view import Array, consumers, is_constant, is_op, producer, shape
from dlarewrite.rewrite import atoms, statistics
from dlarewrite.rewrite.normalizing import Norm
from dlarewrite.rewrite.polynomial import MEAN_ROOT, ONE, SQUARES, X_ROOT, M, Value, X, of_constant

_LARGEST = 1 << 22
_MOST = 64
"""Nodes that are followed below x."""


@dataclass(frozen=True)
class Written:
    """``norm`` of the NCHW tensor of shape ``dims`` that ``x`` holds; ``output`` holds its value.

    ``perm`` is that of the Transpose that leads from x's axes to the output's.
    """

    x: gs.Tensor
    dims: tuple[int, ...]
    output: gs.Tensor
    perm: tuple[int, ...]
    nodes: tuple[gs.Node, ...]
    norm: Norm


def read(root: gs.Node, model: Model) -> Written | None:
    """The normalization by the Sqrt (or power of 1/2 or -1/2) ``root``, from [N, C, H, W] or [N, C, L]; or None."""
    start = statistics.read(root)
    form = None if start is None else shape(start.x)
    if start is None or form is None or len(form) not in (3, 4) or not 0 < math.prod(form) <= _LARGEST:
        return None
    walk = _Walk(start, form, model)
    kind = _kind(walk.kept(start.mean), form)
    if kind is None or walk.kept(start.mean) != walk.kept(start.variance):
        return None
    output = walk.end()
    if output is None:
        return None
    perm, gain, bias = output[1]
    groups, pixelwise = kind
    if len(form) == 3 and not pixelwise and groups == form[1] > 1 and not np.ptp(gain) and not bias.any():
        # Rows that share their gain are tokens, [N, T, C], with which products by matrices go on: C are channels.
        return None
    dims = (*form[:2], 1, form[2]) if len(form) == 3 else form
    norm = Norm(groups, pixelwise, start.epsilon, gain, bias)
    return Written(start.x, dims, output[0], perm, walk.between(output[0]), norm)


def _kind(kept: tuple[atoms.Atom, ...] | None, form: tuple[int, ...]) -> tuple[int, bool] | None:
    """(groups, pixelwise) of [N, C, ...] by the atoms that its statistics keep apart."""
    batch, channels = form[:2]
    plane = math.prod(form[2:])
    if channels > 1 and plane > 1 and kept == atoms.joined([(batch, channels * plane), (plane, 1)]):
        return 1, True
    for groups in (g for g in range(1, channels + 1) if channels % g == 0):
        if kept == atoms.joined([(batch, channels * plane), (groups, channels // groups * plane)]):
            return groups, False
    return None


class _Walk:
    """The values of what is made from x, worked out when they are asked for."""

    def __init__(self, start: statistics.Start, form: tuple[int, ...], model: Model) -> None:
        self.start = start
        self.model = model
        self.values: dict[int, Value | None] = {id(start.x): Value(form, atoms.whole(form).axes, {X: np.ones(())})}
        self.nodes = model.ordered(self._below())
        self.ids = {id(n) for n in self.nodes}

    def _below(self) -> list[gs.Node]:
        found: dict[int, gs.Node] = {}
        queue = [self.start.x]
        for tensor in queue:
            for node in consumers(tensor):
                if len(found) < _MOST and id(node) not in found and len(node.outputs) == 1:
                    found[id(node)] = node
                    queue.append(node.outputs[0])
        return list(found.values())

    def value(self, tensor: gs.Tensor) -> Value | None:
        if is_constant(tensor):
            return of_constant(tensor)
        if id(tensor) not in self.values:
            maker = producer(tensor)
            known = maker is not None and id(maker) in self.ids
            self.values[id(tensor)] = self._made(maker) if maker is not None and known else None
        return self.values[id(tensor)]

    def _made(self, node: gs.Node) -> Value | None:
        start = self.start
        read = [self.value(t) for t in node.inputs[: 1 if is_op(node, *atoms.RESHAPES, *statistics.UNARY) else None]]
        first = read[0] if read else None
        if first is None:
            return None
        if node is start.mean:
            return first.reduced(start.axes[0], shape(node.outputs[0]), M) if first.is_x else None
        if node is start.square:
            return first.named(SQUARES) if first.is_centred and self.whole(first) else None
        if node is start.variance:
            return (
                first.reduced(start.axes[1], shape(node.outputs[0]), SQUARES) if set(first.terms) == {SQUARES} else None
            )
        if node is start.add:
            return next((v for v in read if v is not None and SQUARES in v.terms), None)
        if node is start.root:
            return first.named(start.power) if set(first.terms) == {SQUARES} else None
        if any(v is None or SQUARES in v.terms for v in read) and not is_op(node, "Transpose", *atoms.RESHAPES):
            return None
        return first.through(node, [v for v in read[1:] if v is not None])

    def whole(self, value: Value) -> bool:
        """Whether it has an element for each of x, and no more."""
        return math.prod(value.shape) == math.prod(shape(self.start.x) or ())

    def kept(self, mean: gs.Node) -> tuple[atoms.Atom, ...] | None:
        """The atoms of x that a mean keeps apart, the slowest first."""
        value = self.value(mean.outputs[0])
        if value is None:
            return None
        flat = [a for place in value.axes for a in place or ()]
        return atoms.joined(sorted(flat, key=lambda a: -a[1]))

    def end(self) -> tuple[gs.Tensor, tuple[tuple[int, ...], Array, Array]] | None:
        """The first tensor that is a normalization, or the last of a line of those that nobody else reads."""
        found = None
        for node in self.nodes:
            output = node.outputs[0]
            end = self._ends(output)
            if end is None:
                continue
            if found is None or (len(found[0].outputs) == 1 and found[0].outputs[0] is node):
                found = (output, end)
            if self.model.is_pinned(output):
                return found
        return found

    def _ends(self, tensor: gs.Tensor) -> tuple[tuple[int, ...], Array, Array] | None:
        """(perm, gain, bias) where the tensor holds a normalization of whole axes, one gain and bias a channel."""
        value, form = self.value(tensor), self.values[id(self.start.x)]
        if value is None or form is None or len(value.shape) != len(form.shape) or not self.whole(value):
            return None
        terms = {k: v for k, v in value.terms.items() if v.any()}
        if not {X_ROOT, MEAN_ROOT} <= set(terms) <= {X_ROOT, MEAN_ROOT, ONE}:
            return None
        perm = _permutation(value, form)
        if perm is None or not bool((terms[X_ROOT] == -terms[MEAN_ROOT]).all()):
            return None
        rows = [_per_channel(v, perm, form.shape[1]) for v in (terms[X_ROOT], terms.get(ONE, np.zeros(())))]
        return None if rows[0] is None or rows[1] is None else (perm, rows[0], rows[1])

    def between(self, output: gs.Tensor) -> tuple[gs.Node, ...]:
        """The nodes from x to the output."""
        wanted: dict[int, gs.Node] = {}
        queue = [output]
        for tensor in queue:
            maker = None if tensor is self.start.x else producer(tensor)
            if maker is not None and id(maker) in self.ids and id(maker) not in wanted:
                wanted[id(maker)] = maker
                queue.extend(maker.inputs)
        return tuple(n for n in self.nodes if id(n) in wanted)


def _permutation(value: Value, x: Value) -> tuple[int, ...] | None:
    """Which axis of x each axis is; None where one is none."""
    places: list[int] = []
    spare = [i for i, size in enumerate(x.shape) if size == 1]
    for place in value.axes:
        if place is None or (not place and not spare):
            return None
        found = spare.pop(0) if not place else next((i for i, own in enumerate(x.axes) if own == place), None)
        if found is None:
            return None
        places.append(found)
    return tuple(places) if len(set(places)) == len(places) else None


def _per_channel(values: Array, perm: tuple[int, ...], channels: int) -> Array | None:
    """Coefficients of the output as one for each channel of x."""
    ranked = values.reshape((1,) * (len(perm) - values.ndim) + values.shape).transpose(np.argsort(perm))
    if any(size != 1 for i, size in enumerate(ranked.shape) if i != 1):
        return None
    wide: Array = np.broadcast_to(ranked.reshape(-1), (channels,)).copy()
    return wide

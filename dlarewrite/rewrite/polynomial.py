"""Values as polynomials in a tensor x, its mean m and r = 1 / sqrt(variance + epsilon), with constant coefficients."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.view import Array, constant_value, is_op, shape
from dlarewrite.rewrite import atoms

Monomial = tuple[int, int, int]
"""Exponents of x, m and r."""
Place = tuple[atoms.Atom, ...]

X, M, ROOT, ONE = (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)
DEVIATION = (0, 0, -1)
SQUARES = (0, 0, -2)
"""Squares about the mean, their mean, and that with epsilon."""
X_ROOT, MEAN_ROOT = (1, 0, 1), (0, 1, 1)
_KNOWN = frozenset((X, M, ROOT, ONE, DEVIATION, X_ROOT, MEAN_ROOT))


@dataclass(frozen=True)
class Value:
    """``axes``: the atoms of x that each axis runs through; None where only coefficients differ along it.

    ``terms``: coefficients by monomial, which broadcast against ``shape``.
    """

    shape: tuple[int, ...]
    axes: tuple[Place | None, ...]
    terms: dict[Monomial, Array]

    @property
    def is_x(self) -> bool:
        """Whether it is x, moved."""
        return set(self.terms) == {X} and bool((self.terms[X] == 1).all())

    @property
    def is_centred(self) -> bool:
        """Whether it is x - m, or m - x."""
        pair = [self.terms.get(k) for k in (X, M)]
        if set(self.terms) != {X, M} or pair[0] is None or pair[1] is None:
            return False
        return any(bool((pair[0] == sign).all() and (pair[1] == -sign).all()) for sign in (1, -1))

    def named(self, monomial: Monomial) -> Value:
        """The same axes with one term."""
        return replace(self, terms={monomial: np.ones(())})

    def reduced(self, summed: tuple[int, ...], form: tuple[int, ...] | None, monomial: Monomial) -> Value | None:
        """The mean over axes, as one term; ``form`` is its shape, with these axes of size 1 or without them."""
        if form is None:
            return None
        axes = tuple(() if i in summed else place for i, place in enumerate(self.axes))
        if len(form) != len(axes):
            axes = tuple(place for i, place in enumerate(axes) if i not in summed)
        return Value(form, axes, {monomial: np.ones(())}) if len(form) == len(axes) else None

    def through(self, node: gs.Node, others: list[Value]) -> Value | None:
        """What an operator makes of it, and of one other operand; None where that is no such polynomial."""
        form = shape(node.outputs[0])
        if form is None or 0 in form:
            return None
        if is_op(node, "Transpose", *atoms.RESHAPES):
            return self._moved(node, form)
        if is_op(node, "Expand"):
            wide = len(form) - len(self.axes)
            axes = tuple(None if n > 1 and not p else p for n, p in zip(form, ((),) * wide + self.axes, strict=True))
            return Value(form, axes, self.terms)
        if is_op(node, "Neg"):
            return replace(self, terms={k: -v for k, v in self.terms.items()})
        if is_op(node, "Reciprocal"):
            return self._inverse()
        if len(others) != 1 or not is_op(node, "Add", "Sub", "Mul", "Div"):
            return None
        if is_op(node, "Add"):
            return self._plus(others[0], form, 1)
        if is_op(node, "Sub"):
            return self._plus(others[0], form, -1)
        other = others[0] if is_op(node, "Mul") else others[0]._inverse()
        return None if other is None else self._times(other, form)

    def _inverse(self) -> Value | None:
        if len(self.terms) != 1:
            return None
        (monomial, held), *_ = self.terms.items()
        if not held.all():
            return None
        return replace(self, terms={(-monomial[0], -monomial[1], -monomial[2]): 1.0 / held})

    def _joint(self, other: Value, form: tuple[int, ...]) -> tuple[Place | None, ...] | None:
        """The axes of an element-wise result; None where elements of x meet others than themselves."""
        found: list[Place | None] = []
        sides = [((),) * (len(form) - len(v.axes)) + v.axes for v in (self, other)]
        for a, b, size in zip(*sides, form, strict=True):
            if a and b and a != b:
                return None
            found.append(a or b or (() if size == 1 else None))
        return tuple(found)

    def _plus(self, other: Value, form: tuple[int, ...], sign: int) -> Value | None:
        axes = self._joint(other, form)
        terms = dict(self.terms)
        for monomial, held in other.terms.items():
            terms[monomial] = terms[monomial] + sign * held if monomial in terms else sign * held
        return None if axes is None else Value(form, axes, terms)

    def _times(self, other: Value, form: tuple[int, ...]) -> Value | None:
        axes = self._joint(other, form)
        terms: dict[Monomial, Array] = {}
        for (one, a), (two, b) in itertools.product(self.terms.items(), other.terms.items()):
            monomial = (one[0] + two[0], one[1] + two[1], one[2] + two[2])
            terms[monomial] = terms[monomial] + a * b if monomial in terms else a * b
        return None if axes is None or not set(terms) <= _KNOWN else Value(form, axes, terms)

    def _moved(self, node: gs.Node, form: tuple[int, ...]) -> Value | None:
        full = {k: v.reshape((1,) * (len(self.shape) - v.ndim) + v.shape) for k, v in self.terms.items()}
        if is_op(node, "Transpose"):
            perm = [int(p) for p in node.attrs.get("perm", range(len(form))[::-1])]
            axes = tuple(self.axes[p] for p in perm)
            return Value(form, axes, {k: v.transpose(perm) for k, v in full.items()})
        found = self._reshaped(form)
        if found is None:
            return None
        terms = {
            k: _compact(np.broadcast_to(v, self.shape).reshape(form)) if v.size > 1 else v.reshape(())
            for k, v in full.items()
        }
        return Value(form, found, terms)

    def _reshaped(self, form: tuple[int, ...]) -> tuple[Place | None, ...] | None:
        if None not in self.axes:
            known = atoms.Axes(tuple(place or () for place in self.axes))
            found = known.reshaped(form) if known.shape == self.shape else None
            return None if found is None else found.axes
        left = [place for place, size in zip(self.axes, self.shape, strict=True) if size > 1]
        if [n for n in form if n > 1] != [n for n in self.shape if n > 1]:
            return None
        return tuple(left.pop(0) if n > 1 else () for n in form)


def of_constant(tensor: gs.Tensor) -> Value | None:
    """The value of a constant of floats."""
    held = constant_value(tensor)
    if held is None or held.dtype.kind != "f" or 0 in held.shape:
        return None
    return Value(held.shape, tuple(() if n == 1 else None for n in held.shape), {ONE: held.astype(np.float64)})


def _compact(values: Array) -> Array:
    """The same with axes along which nothing differs of size 1."""
    for axis in range(values.ndim):
        first = np.take(values, [0], axis=axis)
        if values.shape[axis] > 1 and bool((values == first).all()):
            values = first
    return values

"""The rule book, one module per family of layers."""

from __future__ import annotations

import functools

from dlarewrite.target.rule import RuleBook
from dlarewrite.target.rules import (
    activation,
    compare,
    concat,
    conv,
    deconv,
    elementwise,
    general,
    io,
    matrix,
    pool,
    quantization,
    reduce_unary,
    resize,
    scale,
    shuffle,
    slicing,
    softmax_lrn,
    sparsity,
    unsupported,
)

_FAMILIES = (
    general,
    conv,
    matrix,
    deconv,
    pool,
    activation,
    elementwise,
    compare,
    scale,
    concat,
    slicing,
    shuffle,
    resize,
    softmax_lrn,
    reduce_unary,
    unsupported,
    quantization,
    io,
    sparsity,
)


@functools.cache
def rulebook() -> RuleBook:
    """All rules in the order of the documentation."""
    return RuleBook(tuple(rule for family in _FAMILIES for rule in family.RULES))

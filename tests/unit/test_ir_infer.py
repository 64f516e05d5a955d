"""Nodes of one form are inferred once: forms that differ are told apart, and nobody shares what was found."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from dlarewrite.ir.infer import infer


def node(op: str, inputs: list[gs.Tensor], **attrs: Any) -> gs.Node:
    return gs.Node(op, attrs=attrs, inputs=inputs, outputs=[gs.Variable("y")])


X = gs.Variable("x", np.dtype("f"), [2, 3, 4])


def test_what_was_found_is_the_callers_own() -> None:
    dims = infer(node("Transpose", [X], perm=[0, 2, 1]), 17)[0][1]
    assert dims == [2, 4, 3]
    dims.append(99)
    assert infer(node("Transpose", [X], perm=[0, 2, 1]), 17)[0][1] == [2, 4, 3]


def test_values_attributes_opsets_and_names_tell_forms_apart() -> None:
    forms = [np.asarray([6, 4]), np.asarray([4, 6])]
    assert [infer(node("Reshape", [X, gs.Constant("s", f)]), 17)[0][1] for f in forms] == [[6, 4], [4, 6]]
    shape = gs.Variable("s", np.dtype(np.int64), [2])
    assert infer(node("Reshape", [X, shape]), 17, known={id(shape): np.asarray([24, 1])})[0][1] == [24, 1]
    assert infer(node("Reshape", [X, shape]), 17)[0][1] not in ([24, 1], [6, 4])
    assert [infer(node("Flatten", [X], axis=a), 17)[0][1] for a in (1, 2)] == [[2, 12], [6, 4]]
    for size in ("n", "m"):
        named = gs.Variable("x", np.dtype("f"), [size, 3])
        assert infer(node("Relu", [named]), 17)[0][1] == [size, 3]


@pytest.mark.parametrize("count", [3, 100_000])
@pytest.mark.parametrize("kind", [np.float16, np.int64])
def test_tensor_attributes_of_any_size(count: int, kind: type) -> None:
    values: np.ndarray[Any, Any] = np.ones((count, 2), kind)
    for value in (values, gs.Constant("v", values)):
        assert infer(node("Constant", [], value=value), 17) == [(np.dtype(kind), [count, 2])]


def test_the_values_of_large_tensor_attributes_are_not_kept() -> None:
    constant = node("Constant", [], value=np.ones((1 << 20, 3), np.float32))
    tracemalloc.start()
    try:
        infer(constant, 17)
        assert tracemalloc.get_traced_memory()[0] < 1 << 20
    finally:
        tracemalloc.stop()

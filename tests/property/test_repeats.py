"""Repetitions of pixels as nearest Resizes, over random shapes, layouts and ways to write them."""

from __future__ import annotations

from collections.abc import Sequence

import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.catalogue import discover
from dlarewrite.rewrite import atoms
from dlarewrite.testing import run

FAST = settings(max_examples=25, deadline=None, derandomize=True)
WAYS = ("Expand", "Tile", "Concat", "Gather", "Mul")


class Writer:
    """Writes repetitions of one axis after another."""

    def __init__(self, opset: int, kind: int) -> None:
        self.opset, self.kind = opset, kind
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, op: str, x: str, *constants: np.ndarray, copies: int = 1, **attrs: int | list[int]) -> str:
        names = [f"c{len(self.constants) + i}" for i in range(len(constants))]
        self.constants += [numpy_helper.from_array(v, n) for v, n in zip(constants, names, strict=True)]
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [*[x] * copies, *names], [name], **attrs))
        return name

    def repeat(self, x: str, form: list[int], where: int, times: int, way: str) -> str:
        """Each element of axis ``where`` ``times`` times; ``form`` takes the new shape."""
        if way == "Gather":
            x = self.add("Gather", x, np.arange(form[where]).repeat(times), axis=where)
            form[where] *= times
            return x
        apart = [*form[: where + 1], 1, *form[where + 1 :]]
        x = self.add("Reshape", x, np.asarray(apart))
        counts = [times if a == where + 1 else 1 for a in range(len(apart))]
        if way == "Concat":
            x = self.add("Concat", x, copies=times, axis=where + 1)
        elif way == "Mul":
            x = self.add("Mul", x, np.ones(counts, helper.tensor_dtype_to_np_dtype(self.kind)))
        else:
            x = self.add(way, x, np.asarray(counts if way == "Tile" else np.multiply(apart, counts)))
        form[where] *= times
        return self.add("Reshape", x, np.asarray(form))

    def model(self, shape: Sequence[int], last: str, form: Sequence[int]) -> onnx.ModelProto:
        graph = helper.make_graph(
            [*self.nodes, helper.make_node("Identity", [last], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", self.kind, shape)],
            [helper.make_tensor_value_info("y", self.kind, form)],
            self.constants,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        return onnx.shape_inference.infer_shapes(made, data_prop=True)


@FAST
@given(
    dims=st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)),
    times=st.tuples(st.integers(1, 4), st.integers(1, 4)).filter(lambda t: max(t) > 1),
    ways=st.tuples(st.sampled_from(WAYS), st.sampled_from(WAYS)),
    last=st.booleans(),
    turned=st.booleans(),
    opset=st.sampled_from((9, 11, 13, 18)),
    half=st.booleans(),
)
def test_repeated_pixels_become_one_resize(
    dims: tuple[int, int, int, int],
    times: tuple[int, int],
    ways: tuple[str, str],
    last: bool,
    turned: bool,
    opset: int,
    half: bool,
) -> None:
    writer = Writer(opset, TensorProto.FLOAT16 if half and opset >= 13 else TensorProto.FLOAT)
    x, form = "x", list(dims)
    first = 1 if last else 2
    for where, count, way in zip((first, first + 1), times, ways, strict=True):
        if count > 1:
            x = writer.repeat(x, form, where, count, way)
    if turned:
        perm = [0, 3, 1, 2] if last else [0, 2, 3, 1]
        x, form = writer.add("Transpose", x, perm=perm), [form[p] for p in perm]
    ran = run(discover().find("repeat-pixels"), writer.model(dims, x, form))
    left = {n.op_type for n in ran.after.graph.node} - {"Identity", "Resize", "Upsample", "Transpose", "Conv"}
    assert ran.changes
    assert not left, ran.text


@pytest.mark.parametrize("way", WAYS)
def test_tiled_pixels_stay(way: str) -> None:
    writer = Writer(17, TensorProto.FLOAT)
    if way == "Gather":
        x = writer.add("Gather", "x", np.tile(np.arange(2), 2), axis=2)
    else:
        x = writer.repeat("x", [1, 2, 2, 3], 1, 2, way)
        x = writer.add("Reshape", x, np.asarray([1, 2, 4, 3]))
    ran = run(discover().find("repeat-pixels"), writer.model((1, 2, 2, 3), x, [1, 2, 4, 3]))
    resized = [n for n in ran.after.graph.node if n.op_type == "Resize"]
    assert not resized


@FAST
@given(data=st.data())
def test_atoms_say_where_elements_come_from(data: st.DataObject) -> None:
    """The same walk over atoms and over the elements' numbers."""
    form = data.draw(st.lists(st.sampled_from((1, 2, 3, 4, 6)), min_size=2, max_size=4))
    held, numbers = atoms.whole(form), np.arange(int(np.prod(form))).reshape(form)
    for _ in range(data.draw(st.integers(1, 5))):
        step = data.draw(st.sampled_from(("move", "cut", "stretch", "tile")))
        where = data.draw(st.integers(0, numbers.ndim - 1))
        if step == "move":
            perm = data.draw(st.permutations(range(numbers.ndim)))
            held, numbers = held.permuted(perm), numbers.transpose(perm)
        elif step == "cut":
            size = numbers.shape[where]
            part = data.draw(st.sampled_from([n for n in (1, 2, 3, 4, 6, 8) if size % n == 0]))
            split = (*numbers.shape[:where], size // part, part, *numbers.shape[where + 1 :])
            cut = held.reshaped(split)
            if cut is None:
                continue
            held, numbers = cut, numbers.reshape(split)
        elif step == "stretch":
            held, numbers = held.stretched(where, 2), numbers.repeat(2, axis=where)
        else:
            counts = [2 if a == where else 1 for a in range(numbers.ndim)]
            held, numbers = held.tiled(where, 2), np.tile(numbers, counts)
    flat: np.ndarray = np.zeros(1, dtype=np.int64)
    for axis in held.axes:
        for size, stride in axis:
            flat = (flat[:, None] + stride * np.arange(size)).reshape(-1)
    assert held.shape == numbers.shape
    assert np.array_equal(flat, numbers.reshape(-1))

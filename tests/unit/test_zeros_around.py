"""Zeros that are put around a tensor in steps: none is wider than the target takes, and together they are all."""

from __future__ import annotations

import pytest

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import constant_value, shape
from dlarewrite.rewrite import convolve
from dlarewrite.testing import parse

MODEL = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,2,5,6] x) => (float[1,2,5,6] y) { y = Relu(x) }"""


@pytest.mark.parametrize("largest", [1, 2, 3, 7, 31])
@pytest.mark.parametrize("pads", [(1, 1, 0, 0), (0, 3, 2, 2), (5, 0, 0, 1), (2, 7, 9, 4)])
def test_steps(pads: tuple[int, int, int, int], largest: int) -> None:
    model = Model.load(parse(MODEL))
    edit = Editor(model)
    with edit.rewrite("zeros"):
        made = convolve.shifted(edit, model.inputs[0], pads, largest)
        assert shape(made) == (1, 2, 5 + pads[0] + pads[1], 6 + pads[2] + pads[3])
        kernels = [n.attrs["kernel_shape"] for n in model.nodes if n.op == "Conv"]
        assert max(k - 1 for kernel in kernels for k in kernel) <= largest
        ones = [constant_value(n.inputs[1]) for n in model.nodes if n.op == "Conv"]
        assert all(one is not None and one.sum() == 2 for one in ones)

"""Pools with counted pads are right in every onnxruntime, whether it needs help or not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import parser

from dlarewrite.verify import faults
from dlarewrite.verify.runner import run


def pool(attributes: str, opset: int = 21) -> onnx.ModelProto:
    return parser.parse_model(f"""<ir_version: 8, opset_import: ["": {opset}]>
        g (float[1,2,9,7] x) => (float[1,2,H,W] y) {{ r = Relu(x) y = AveragePool<{attributes}>(r) }}""")


FAULTY = "kernel_shape=[2,3], strides=[2,2], pads=[0,1,1,2], count_include_pad=1"


@pytest.mark.parametrize("faulty", [False, True])
def test_counted_pads_are_counted(monkeypatch: pytest.MonkeyPatch, faulty: bool) -> None:
    if faulty:
        monkeypatch.setattr(faults, "forgets_pads", lambda: True)
    x = np.random.default_rng(0).uniform(1, 2, (1, 2, 9, 7)).astype(np.float32)
    wide = np.pad(x, ((0, 0), (0, 0), (0, 1), (1, 2)))
    expected = [[wide[..., i : i + 2, j : j + 3].mean((2, 3)) for j in range(0, 8, 2)] for i in range(0, 10, 2)]
    found = run(pool(FAULTY), {"x": x})["y"]
    np.testing.assert_allclose(found, np.transpose(expected, (2, 3, 0, 1)), rtol=1e-6)


def test_a_faulty_runtime_gets_pad_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "forgets_pads", lambda: True)
    model = pool(FAULTY)
    before = model.SerializeToString()
    helped = faults.avoid(model)
    assert [n.op_type for n in helped.graph.node] == ["Relu", "Pad", "AveragePool"]
    assert model.SerializeToString() == before
    onnx.checker.check_model(helped, full_check=True)


@pytest.mark.parametrize(
    ("attributes", "opset"),
    [
        (FAULTY, 18),
        ("kernel_shape=[2,3], pads=[0,1,1,2], count_include_pad=0", 21),
        ("kernel_shape=[2,3], count_include_pad=1", 21),
        ('kernel_shape=[2,3], auto_pad="SAME_UPPER", count_include_pad=1', 21),
        ("kernel_shape=[2,3], pads=[0,1,1,2], count_include_pad=1, ceil_mode=1", 21),
    ],
)
def test_what_is_computed_rightly_is_left(monkeypatch: pytest.MonkeyPatch, attributes: str, opset: int) -> None:
    monkeypatch.setattr(faults, "forgets_pads", lambda: True)
    model = pool(attributes, opset)
    assert faults.avoid(model) is model

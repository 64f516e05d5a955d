"""Tables and ranges over random numbers: round trips keep every bit, and a derived range holds what is computed."""

from __future__ import annotations

import math
import struct

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from dlarewrite.ir.model import Model
from dlarewrite.precision import cache
from dlarewrite.precision.carry import complete
from dlarewrite.precision.files import from_json, to_json
from dlarewrite.precision.scales import Certainty, Scale, ScaleTable
from dlarewrite.testing import parse
from dlarewrite.verify.runner import Session

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
BITS = st.integers(1, 0x7F7FFFFF).filter(lambda b: struct.unpack(">f", b.to_bytes(4, "big"))[0] < 3.4e38)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1)
TABLES = st.dictionaries(NAMES.filter(lambda n: n.strip() == n), BITS, max_size=6)
HEAD = '<ir_version: 8, opset_import: ["": 17]> g (float[1,4,6,6] x) => (float y)'

BODIES = [
    "<float[6,4,3,3] w, float[6] b> { y = Conv<pads=[1,0,1,2], strides=[2,1]>(x, w, b) }",
    "<float[4,2,3,3] w> { y = ConvTranspose<group=2, strides=[2,2], pads=[1,1,0,0], output_padding=[1,1]>(x, w) }",
    "<float[4,3,2,2] w> { y = ConvTranspose<strides=[2,2], dilations=[3,1]>(x, w) }",
    "<float[6,5] w, float[1,5] b> { f = MatMul(x, w) y = Add(f, b) }",
    "<float[4,1,1] w> { y = Mul(x, w) }",
    "<float[4,1,1] w> { y = PRelu(x, w) }",
    "{ a = Sub(x, x) b = Mul(a, x) y = Max(a, b) }",
    "{ y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(x) }",
    "{ a = HardSwish(x) b = Softplus(a) y = Sub(b, a) }",
    "{ a = Tanh(x) b = Exp(a) y = Mul(b, x) }",
    "{ a = LeakyRelu<alpha=0.3>(x) b = Elu<alpha=2.0>(a) y = Neg(b) }",
    "{ y = ReduceSum<keepdims=1>(x) }",
    "{ y = LRN<size=3>(x) }",
]


@QUICK
@given(TABLES)
def test_cache_and_json_keep_every_bit(scales: dict[str, int]) -> None:
    text = "TRT-8600-EntropyCalibration2\n" + "".join(f"{name}: {bits:x}\n" for name, bits in scales.items())
    table = cache.parse(text)
    assert cache.render(table) == text
    assert cache.render(from_json(to_json(table))) == text
    assert {n: s.bits for n, s in table.scales.items()} == scales


@QUICK
@given(st.floats(1e-30, 1e30), st.floats(1e-30, 1e30))
def test_merging_is_symmetric_and_never_clips(one: float, other: float) -> None:
    tables = [ScaleTable({"a": Scale(v, str(v), Certainty.MEASURED)}) for v in (one, other)]
    first, second = tables[0].merge(tables[1]), tables[1].merge(tables[0])
    assert first[0].scales["a"].bits == second[0].scales["a"].bits
    assert math.isclose(first[0].scales["a"].amax, max(one, other), rel_tol=1e-6)


@pytest.mark.parametrize("body", BODIES)
@settings(max_examples=5, deadline=None, derandomize=True)
@given(low=st.floats(-8, 7), width=st.floats(0.5, 8), seed=st.integers(0, 99))
def test_a_derived_range_holds_what_is_computed(body: str, low: float, width: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    proto = parse(f"{HEAD} {body}", seed)
    x = rng.uniform(low, low + width, (1, 4, 6, 6)).astype(np.float32)
    found = complete(
        ScaleTable({"x": Scale(float(np.abs(x).max()), "", Certainty.MEASURED, float(x.min()), float(x.max()))}),
        Model.load(proto),
    )
    assert not found.gaps
    result = Session(proto).run({"x": x})["y"]
    assert np.abs(result).max() <= found.table.scales["y"].amax * (1 + 1e-3)

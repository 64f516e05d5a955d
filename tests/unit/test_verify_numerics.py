from __future__ import annotations

import subprocess
import sys

import pytest
from onnx import parser

from dlarewrite.errors import UsageError
from dlarewrite.numerics import Numerics
from dlarewrite.verify.halves import behind_halves
from dlarewrite.verify.numerics import Tolerance, rounding_of_max, tolerance
from dlarewrite.verify.policy import Policy


def test_importing_the_room_loads_neither_numpy_nor_onnx() -> None:
    code = (
        "import sys, dlarewrite.verify, dlarewrite.verify.numerics\n"
        "sys.exit(' '.join({'numpy', 'onnx', 'onnxruntime'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_weakest_of_several_passes_is_their_maximum() -> None:
    assert max(Numerics.EXACT, Numerics.LOSSY, Numerics.ROUNDING) is Numerics.LOSSY


def test_exact_is_one_ulp_for_floats_and_equality_for_the_rest() -> None:
    assert tolerance(Numerics.EXACT, "float16") == Tolerance(ulps=1, rtol_of_max=4 * 2.0**-10)
    for dtype in ("int64", "uint8", "bool", "str"):
        assert tolerance(Numerics.EXACT, dtype) == Tolerance()
        assert tolerance(Numerics.ROUNDING, dtype) == Tolerance()


def test_rounding_follows_the_dtype_and_is_capped() -> None:
    assert rounding_of_max("float32") == 1e-5
    assert rounding_of_max("float64") == pytest.approx(1e-5 * 2.0**-29)
    assert rounding_of_max("float16") == 1e-2
    assert rounding_of_max("bfloat16") == 4 * 2.0**-7


def test_fp64_that_is_computed_in_fp32_gets_fp32s_tolerance() -> None:
    assert tolerance(Numerics.ROUNDING, "float64", computed_in="float32").rtol_of_max == 1e-5
    assert tolerance(Numerics.EXACT, "float64", computed_in="float32") == Tolerance(ulps=1)


def test_lossy_is_unbounded_without_a_bound_and_absolute_with_one() -> None:
    assert tolerance(Numerics.LOSSY, "float32").limit(1.0) == float("inf")
    assert tolerance(Numerics.LOSSY, "float32", bound=4.8e-4).limit(100.0) == 4.8e-4


def test_overrides_replace_the_declared_tolerance() -> None:
    everywhere = Policy(Numerics.EXACT, atol=1e-3)
    assert everywhere.tolerance("y", "float32") == Tolerance(atol=1e-3)
    assert everywhere.tolerance("y", "int64") == Tolerance()
    named = Policy(Numerics.EXACT, atol={"y": 1.0}, rtol={"z": 1e-3})
    assert named.tolerance("y", "int64") == Tolerance(atol=1.0)
    assert named.tolerance("z", "float32") == Tolerance(rtol_of_max=1e-3)
    assert named.tolerance("other", "float32") == Tolerance(ulps=1)


@pytest.mark.parametrize(("override", "message"), [({"x": 1e-3}, "'x', which is no output"), (-1.0, "0 or more")])
def test_wrong_overrides_are_refused(override: float | dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Policy(Numerics.EXACT, atol=override).check_names(["y"])


def test_tolerances_are_said_in_words() -> None:
    text = Policy(Numerics.ROUNDING).describe({"y": "float32", "n": "int64"})
    assert text == "ROUNDING: n: equal; y: |difference| <= 1e-05 * max|reference|"
    assert Policy(Numerics.EXACT, atol=0.5).describe({"y": "float32"}).endswith("<= 0.5 (given by the user)")


def test_a_float_out_of_halves_is_judged_as_one() -> None:
    exact = Policy(Numerics.EXACT, halves={"y": "float16"})
    assert exact.tolerance("y", "float32").rtol_of_max == 4 * 2.0**-10
    assert exact.tolerance("z", "float32").rtol_of_max == 0.0
    assert exact.tolerance("y", "int64") == Tolerance()
    rounding = Policy(Numerics.ROUNDING, halves={"y": "float16"})
    assert rounding.tolerance("y", "float32") == Policy(Numerics.ROUNDING).tolerance("y", "float32")


def test_outputs_that_come_out_of_halves() -> None:
    model = parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
        g (float[2] x, float16[2] h, bool c)
            => (float[2] plain, float[2] cast, float[2] mixed, float[2] inner, float16[2] t)
        <float16[2] w = {1, 2}> {
            plain = Relu(x) a = Cast<to=10>(x) t = Mul(a, w) cast = Cast<to=1>(t)
            b = Cast<to=16>(x) m = Cast<to=1>(b) mixed = Add(m, cast)
            inner = If(c) <then_branch = g1 () => (float[2] p) { p = Cast<to=1>(h) },
                           else_branch = g2 () => (float[2] q) { q = Identity(x) }>
        }""")
    found = behind_halves(model)
    assert found == {"cast": "float16", "mixed": "bfloat16", "inner": "float16", "t": "float16"}

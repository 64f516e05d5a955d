"""Scales that were carried through the rewriting do as well as they did before it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from dlarewrite.compiler import Options, load_static, optimize
from dlarewrite.precision.calibrate import Settings, calibrate
from dlarewrite.precision.carry import carry
from dlarewrite.precision.data import Data, Sample
from dlarewrite.precision.emulate import emulate

# models/ is no installed package; appended, so that an installed dlarewrite still wins over the source tree.
sys.path.append(str(Path(__file__).parents[2]))
BUILDERS = import_module("models").BUILDERS

MARGIN = 0.5
"""dB: how far roundings that fall elsewhere move the error of a sum of thousands of them."""


@pytest.mark.parametrize(
    ("name", "options", "method"),
    [
        ("resnet50", {"size": (96, 96), "width": 8}, "entropy"),
        ("yolo_focus_spp", {"size": (64, 64), "width": 8}, "minmax"),
        ("mobilenetv2", {"size": (64, 64)}, "entropy"),
    ],
)
def test_the_error_stays_within_that_before_rewriting(name: str, options: dict[str, object], method: str) -> None:
    chosen = Options(precision="int8", verify="off")
    proto = BUILDERS[name](**options)
    original, _ = load_static(proto, chosen)
    entry = original.inputs[0]

    def begin(start: int) -> Iterator[Sample]:
        rng = np.random.default_rng(0)
        for number in range(3):
            array = rng.standard_normal(tuple(entry.shape)).astype(np.float32)
            if number >= start:
                yield Sample(str(number), {entry.name: array})

    data = Data("arrays", "key", 3, begin)
    table = calibrate(original, data, Settings(method)).table
    result = optimize(proto, chosen)
    carried = carry(table, original, result.work)
    assert result.modified and not carried.gaps
    # Of a pool's two scales the DLA uses one, which a mean off the DLA does not have to.
    before, after = (
        emulate(model, known, data, equal_scales=True)
        for model, known in ((original, table), (result.work, carried.table))
    )
    assert not after.missing and after.snr >= before.snr - MARGIN

"""Every golden case that fires: the scales of its tensors reach the rewritten graph, and are large enough there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden_cases import lacking

from dlarewrite import testing
from dlarewrite.catalogue import discover
from dlarewrite.errors import ModelError
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import dtype, is_float, shape
from dlarewrite.numerics import Numerics
from dlarewrite.precision.carry import carry
from dlarewrite.precision.scales import Certainty, Scale, ScaleTable
from dlarewrite.rewrite.context import Settings
from dlarewrite.rewrite.spec import create
from dlarewrite.target import DEFAULT_TARGET, Precision
from dlarewrite.verify.runner import Session

CASES = Path(__file__).parents[1] / "cases"
PASSES = sorted({path.parent.name for path in CASES.glob("*/*.txt")})

KNOWN_GAPS = {
    "conv3d": "the sums of one 3-D layer between the slices of the next",
    "narrow-types": "integers between two Casts",
    "inverse-root": "it refuses INT8",
    "norm-explicit": "it refuses INT8",
    "norm-written": "it refuses INT8",
}
BACK = tuple(f"back through {op}" for op in ("Add", "Sub", "Sum", "Clip", "Relu", "Max", "MaxPool", "Slice"))
"""What these take away may saturate, and a part of a sum takes the sum's scale."""

Ranges = dict[str, tuple[float, float]]


def ranges(model: Model, feeds: dict[str, np.ndarray]) -> Ranges:
    proto = model.to_proto()
    outputs = {o.name for o in proto.graph.output}
    made = dict.fromkeys(t.name for n in model.nodes for t in n.outputs if t.name and dtype(t) is not None)
    for name in (n for n in made if n not in outputs):
        proto.graph.output.add().name = name
    values = {**Session(proto).run(feeds), **feeds}
    return {n: (float(v.min()), float(v.max())) for n, v in values.items() if v.dtype.kind == "f" and v.size}


def fired(path: Path) -> testing.Ran | None:
    """What the pass leaves of a case; None where it leaves it alone or is fed with other things than floats."""
    head, _, expected = path.read_text().partition(f"\n{testing.SEPARATOR}\n")
    if expected.startswith("="):
        return None
    lines = head.splitlines()
    notes = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# ") and ": " in line)
    settings = Settings(native_io=True) if notes.get("native-io") == "true" else None
    if "shape" in notes:
        name, _, dims = notes["shape"].rpartition(":")
        settings = Settings(shapes={name: tuple(int(d) for d in dims.split("x"))})
    return testing.run(
        create(discover().find(path.parent.name), notes.get("options", "")),
        "\n".join(line for line in lines if not line.startswith("#")),
        target=notes.get("target", DEFAULT_TARGET),
        precision=Precision(notes.get("precision", "fp16")),
        settings=settings,
        numeric=False,
    )


@pytest.mark.parametrize("name", PASSES)
def test_scales_survive_the_pass(name: str) -> None:
    lossy = discover().find(name).numerics is Numerics.LOSSY
    for path in sorted((CASES / name).glob("*.txt")):
        ran = None if lacking(path) else fired(path)
        if ran is None:
            continue
        before, after = Model.load(ran.before), Model.load(ran.after)
        inputs = (*before.inputs, *after.inputs)
        if any(shape(t) is None or not is_float(t) for t in inputs):
            continue
        rng = np.random.default_rng(0)
        feeds = {t.name: rng.uniform(-4, 4, shape(t)).astype(dtype(t)) for t in before.inputs}
        same_border = [shape(t) for t in before.inputs] == [shape(t) for t in after.inputs]
        try:
            old = ranges(before, feeds)
            new = ranges(after, feeds) if same_border else {}
        except ModelError:
            continue  # an older onnxruntime does not know the newest operators
        known = {n: Scale(max(-a, b), "", Certainty.MEASURED, a, b) for n, (a, b) in old.items() if max(-a, b) > 1e-30}
        found = carry(ScaleTable(known), before, after)
        assert name in KNOWN_GAPS or not found.gaps, path.name
        assert not found.contradictions, path.name
        small = {
            n: s for n, s in found.table.scales.items() if n in new and s.amax < max(-new[n][0], new[n][1]) * 0.999
        }
        assert lossy or not {n: s for n, s in small.items() if not s.source.endswith(BACK)}, path.name

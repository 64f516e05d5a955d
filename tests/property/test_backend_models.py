"""ONNX's own backend tests through ``optimize``: equal outputs, or untouched with a reason; no crash, no wrong number.

Each node test's own inputs are used, so that operators with narrow domains (indices, shapes, strings) run as their
authors meant them. Models that onnxruntime itself cannot run (newer operators, other domains) must come back unchanged
or fail with one of dlarewrite's own errors.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.backend.test.case.test_case import TestCase

from dlarewrite.compiler import optimize
from dlarewrite.errors import DlarewriteError
from dlarewrite.verify import CannotRun, Numerics, RunFailure, compare, run, tolerance

LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))
SHARDS = 40


@pytest.mark.parametrize("path", LIGHT, ids=lambda p: p.stem)
def test_light_models(path: Path) -> None:
    result = optimize(path, seeds=(0,))
    assert result.evidence.ok, result.evidence.reason
    onnx.checker.check_model(result.model, full_check=True)


@functools.cache
def cases() -> tuple[TestCase, ...]:
    from onnx.backend.test.case.node import collect_testcases

    with np.errstate(all="ignore"):
        found = collect_testcases(None)
    return tuple(c for c in found if c.model is not None and c.data_sets)


def names(values: object) -> list[str]:
    return [v.name for v in values]  # type: ignore[attr-defined]


def tried(case: TestCase) -> str:
    """Why the case went wrong, or an empty string."""
    model = case.model
    fed = dict(zip(names(model.graph.input), case.data_sets[0][0], strict=False))
    shapes = {k: v.shape for k, v in fed.items() if isinstance(v, np.ndarray)}
    copy = model.SerializeToString(deterministic=True)
    try:
        result = optimize(model, verify="off", shapes=shapes)
    except DlarewriteError as error:
        return "" if "raised" not in error.message else f"{type(error).__name__}: {error}"
    except Exception as error:
        return f"crash: {type(error).__name__}: {error}"
    if model.SerializeToString(deterministic=True) != copy:
        return "the caller's model was changed"
    rewritten = result.model
    if not result.modified:
        return ""
    try:
        onnx.checker.check_model(rewritten)
    except onnx.checker.ValidationError as error:
        return f"invalid: {error}"
    try:
        reference = run(model, fed)
    except (CannotRun, RunFailure, DlarewriteError):
        return ""
    try:
        found = run(rewritten, fed)
    except DlarewriteError as error:
        return f"does not run any more: {error}"
    fired = [p for p in result.report.passes if p.fired]
    numerics = max((p.numerics for p in fired), default=Numerics.EXACT)
    # narrow-types declares that it computes doubles in single precision.
    narrowed = "float32" if any(p.name == "narrow-types" for p in fired) else None
    allowed = lambda name, dtype: tolerance(numerics, dtype, computed_in=narrowed)  # noqa: E731
    wrong = [o for o in compare(reference, found, allowed) if not o.ok]
    return f"{[p.name for p in fired]}: {wrong[0].name}: {wrong[0].reason}" if wrong else ""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("shard", range(SHARDS))
def test_node_models(shard: int) -> None:
    chosen = cases()[shard::SHARDS]
    assert chosen
    wrong = {c.name: why for c in chosen if (why := tried(c))}
    assert not wrong

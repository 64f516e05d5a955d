"""Proofs that a rewritten model computes what the original computes.

Names are loaded when they are first asked for, so that importing the package costs neither numpy nor onnx.
"""

from __future__ import annotations

import importlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlarewrite.verify.evidence import Evidence, InputRange, not_proven
    from dlarewrite.verify.failures import CannotRun
    from dlarewrite.verify.inputs import Feeder, feeds, load_npz
    from dlarewrite.verify.numeric import Prover, prove
    from dlarewrite.verify.numerics import Numerics, Tolerance, tolerance
    from dlarewrite.verify.outputs import OutputError, compare
    from dlarewrite.verify.ports import IoChange, noted_changes
    from dlarewrite.verify.runner import RunFailure, Session, run, runtime

__all__ = [
    "CannotRun",
    "Evidence",
    "Feeder",
    "InputRange",
    "IoChange",
    "Numerics",
    "OutputError",
    "Prover",
    "RunFailure",
    "Session",
    "Tolerance",
    "compare",
    "feeds",
    "load_npz",
    "not_proven",
    "noted_changes",
    "prove",
    "run",
    "runtime",
    "tolerance",
]

_HOME = MappingProxyType(
    {
        "CannotRun": "failures",
        "Evidence": "evidence",
        "Feeder": "inputs",
        "InputRange": "evidence",
        "IoChange": "ports",
        "Numerics": "numerics",
        "OutputError": "outputs",
        "Prover": "numeric",
        "RunFailure": "runner",
        "Session": "runner",
        "Tolerance": "numerics",
        "compare": "outputs",
        "feeds": "inputs",
        "load_npz": "inputs",
        "not_proven": "evidence",
        "noted_changes": "ports",
        "prove": "numeric",
        "run": "runner",
        "runtime": "runner",
        "tolerance": "numerics",
    }
)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)

"""The road from a model to a proven one: load, freeze, judge, rewrite, verify, judge again.

:func:`optimize` and :func:`check` are what the command line calls and what ``import dlarewrite`` offers. Neither
changes the caller's model, prints, or writes a file.
"""

from __future__ import annotations

from dlarewrite.compiler.loading import judge_model, load_frozen, load_static
from dlarewrite.compiler.options import Options
from dlarewrite.compiler.road import Result, carry_scales, check, optimize
from dlarewrite.compiler.watch import Watch, tell

__all__ = [
    "Options",
    "Result",
    "Watch",
    "carry_scales",
    "check",
    "judge_model",
    "load_frozen",
    "load_static",
    "optimize",
    "tell",
]

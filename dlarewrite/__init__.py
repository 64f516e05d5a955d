"""dlarewrite: rewrites ONNX graphs so that NVIDIA's DLA takes them, and proves that they stay equal.

``check``, ``optimize``, ``Options``, ``Result`` and ``Report`` are loaded on first use, so that ``import dlarewrite``
costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlarewrite.compiler import Options, Result, check, optimize
    from dlarewrite.outcome import Report
    from dlarewrite.planning import plan

__version__ = "0.1.0"
__all__ = ["Options", "Report", "Result", "__version__", "check", "optimize", "plan"]

_PLACES = {
    "Options": "dlarewrite.compiler",
    "Report": "dlarewrite.outcome",
    "Result": "dlarewrite.compiler",
    "check": "dlarewrite.compiler",
    "optimize": "dlarewrite.compiler",
    "plan": "dlarewrite.planning",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'dlarewrite' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PLACES[name]), name)

"""Objects that TensorRT calls back: subclasses of classes that exist only once the tensorrt module is loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Watch = Callable[[str], None]


def logger(trt: Any, errors: list[str], log: Watch | None) -> Any:
    """A logger that collects errors for the one line the user gets, and passes everything on where ``log`` listens."""

    class Collect(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                errors.append(message)
            if log is not None:
                log(f"TensorRT {getattr(severity, 'name', severity)}: {message}")

    return Collect()


def calibrator(trt: Any, cache: bytes) -> Any:
    """A calibrator that only hands over a cache; the DLA demands the entropy-2 kind (TensorRT up to 10.x)."""

    class FromCache(trt.IInt8EntropyCalibrator2):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IInt8EntropyCalibrator2.__init__(self)

        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: list[str]) -> None:
            return None

        def read_calibration_cache(self) -> bytes:
            return cache

        def write_calibration_cache(self, data: bytes) -> None:
            return None

    return FromCache()


def progress(trt: Any, watch: Watch) -> Any:
    """A progress monitor that tells each phase and its steps; it never stops a build."""

    class Tell(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.steps[phase_name] = num_steps
            watch(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            watch(f"{phase_name} {step + 1}/{self.steps.get(phase_name, 0)}")
            return True

        def phase_finish(self, phase_name: str) -> None:
            self.steps.pop(phase_name, None)

    return Tell()

"""Small expressions that need no library: what the real bindings answer, the fake must answer too.

Run like ``extract.py`` in an interpreter that has the bindings; it imports nothing else.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

EXPRESSIONS = (
    "trt.ILogger.Severity.ERROR <= trt.ILogger.Severity.WARNING",
    "trt.ILogger.Severity.ERROR < 2",
    "trt.DeviceType.DLA < trt.DeviceType.GPU",
    "trt.DeviceType.DLA == 1",
    "trt.BuilderFlag.GPU_FALLBACK == 3",
    "trt.BuilderFlag.GPU_FALLBACK == trt.BuilderFlag.GPU_FALLBACK",
    "trt.BuilderFlag.GPU_FALLBACK == trt.DeviceType.DLA",
    "trt.DeviceType.DLA in {trt.DeviceType.DLA: 1}",
    "int(trt.DeviceType.DLA)",
    "1 << int(trt.TensorFormat.CHW16)",
    "1 << trt.TensorFormat.CHW16",
    "trt.DeviceType.DLA.name",
    "trt.DeviceType.DLA.value",
    "repr(trt.DeviceType.DLA)",
    "str(trt.DeviceType.DLA)",
    "trt.DeviceType(1)",
    "trt.DeviceType('DLA')",
    "trt.DeviceType['DLA']",
    "list(trt.DeviceType)",
    "sorted(trt.DeviceType.__members__)",
    "trt.float16",
    "trt.Logger.ERROR",
    "trt.Nonesuch",
    "trt.BuilderFlag.FP16",
    "trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH",
    "trt.IBuilderConfig()",
    "trt.INetworkDefinition()",
    "trt.Builder()",
    "trt.Builder(1)",
    "trt.OnnxParser(1, 2)",
    "trt.Runtime(None, 1)",
    "trt.Logger('x')",
    "trt.Logger(min_severity=trt.Logger.ERROR).min_severity",
    "trt.Logger(severity=trt.Logger.ERROR)",
    "trt.Logger().log('a')",
    "setattr(trt.Logger(), 'x', 1)",
    "trt.IBuilderConfig.nonesuch",
    "trt.IBuilderConfig.set_flag(1, 2)",
    "trt.IBuilderConfig.progress_monitor.fset is None",
    "trt.Builder.num_DLA_cores.fset is None",
    "trt.IBuilderConfig.int8_calibrator.fset is None",
    "trt.ILayer.precision.fset is None",
    "tuple(trt.Dims((1, 2)))",
    "len(trt.Dims([1, 2, 3]))",
    "trt.Dims((1, 2, 3))[1]",
    "trt.Dims((1, 2, 3))[0:2]",
    "trt.Dims((1, 2, 3))[5]",
    "trt.Dims((1, 2)) == (1, 2)",
    "trt.Dims((1, 'a'))",
    "trt.Dims(1, 2)",
    "repr(trt.Dims((1, 2)))",
    "trt.volume((2, 3))",
    "type('L', (trt.ILogger,), {'__init__': lambda self: None})()",
    "type('L', (trt.ILogger,), {'__init__': lambda self: trt.ILogger.__init__(self)})().__class__.__name__",
    "setattr(type('L', (trt.ILogger,), {})(), 'x', 1)",
    "type('C', (trt.IInt8EntropyCalibrator2,), {})().__class__.__name__",
    "type('P', (trt.IProgressMonitor,), {})().__class__.__name__",
)


def outcomes(trt: Any) -> dict[str, str]:
    """What each expression gives: its value as text, or the name of the exception."""
    found = {}
    for text in EXPRESSIONS:
        try:
            found[text] = repr(eval(text, {"trt": trt}))
        except Exception as error:
            found[text] = type(error).__name__
    return found


if __name__ == "__main__":
    json.dump(outcomes(importlib.import_module("tensorrt_bindings")), sys.stdout)

"""What the fake does with plain values: shapes, flags, loggers, and interfaces that only wait to be called."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorrt_api.classes import Action, Surface


def set_flag(surface: Surface, owner: Any, flag: Any) -> None:
    """Raise a flag of a configuration or a parser."""
    owner._held["on"].add(int(flag))


def clear_flag(surface: Surface, owner: Any, flag: Any) -> None:
    """Lower it."""
    owner._held["on"].discard(int(flag))


def get_flag(surface: Surface, owner: Any, flag: Any) -> bool:
    """Whether it is raised."""
    return int(flag) in owner._held["on"]


def flags(surface: Surface, owner: Any) -> int:
    """All raised flags as bits."""
    return sum(1 << f for f in owner._held["on"])


def set_flags(surface: Surface, owner: Any, value: int) -> None:
    """Raise exactly the flags of these bits."""
    owner._held["on"] = {b for b in range(64) if int(value) >> b & 1}


def flag_actions(owner: str) -> dict[str, Action]:
    """The table of a class whose objects have flags."""
    return {
        f"{owner}.set_flag": set_flag,
        f"{owner}.clear_flag": clear_flag,
        f"{owner}.get_flag": get_flag,
        f"get {owner}.flags": flags,
        f"set {owner}.flags": set_flags,
    }


def item(key: str) -> Action:
    """An element of a held list by its index; None beyond its end, as TensorRT answers."""

    def get(surface: Surface, owner: Any, index: int) -> Any:
        values = owner._held[key]
        return values[int(index)] if 0 <= int(index) < len(values) else None

    return get


def count(key: str) -> Action:
    """The length of a held list."""
    return lambda surface, owner: len(owner._held[key])


def actions() -> dict[str, Action]:
    """Plain values: shapes, loggers, interfaces with nothing to do at construction."""

    def dims(surface: Surface, owner: Any, shape: Any = ()) -> None:
        owner._held["dims"] = [int(d) for d in shape]

    def part(surface: Surface, owner: Any, index: Any) -> Any:
        found = owner._held["dims"][index]
        return tuple(found) if isinstance(index, slice) else found

    def logger(surface: Surface, owner: Any, severity: Any = None) -> None:
        owner._held["min_severity"] = severity

    table: dict[str, Action] = {
        "Dims.__init__": dims,
        "Dims.__len__": lambda surface, owner: len(owner._held["dims"]),
        "Dims.__getitem__": part,
        "Dims.__eq__": lambda surface, owner, other: owner._held["dims"] == list(other),
        "Dims.__repr__": lambda surface, owner: f"({', '.join(map(str, owner._held['dims']))})",
        "Dims.__str__": lambda surface, owner: f"({', '.join(map(str, owner._held['dims']))})",
        "ILogger.__init__": logger,
        "Logger.__init__": logger,
        "Logger.log": lambda surface, owner, severity, text: None,
        "volume": lambda surface, shape: int(np.prod(list(shape), dtype=np.int64)),
        "nptype": nptype,
        "init_libnvinfer_plugins": lambda surface, logger, namespace: True,
    }
    for name in [
        "IInt8EntropyCalibrator2",
        "IInt8EntropyCalibrator",
        "IInt8MinMaxCalibrator",
        "IProgressMonitor",
        "IGpuAllocator",
        "IProfiler",
        "IErrorRecorder",
        "IOutputAllocator",
        "IStreamReader",
        "IAlgorithmSelector",
        "IDebugListener",
    ]:
        table[f"{name}.__init__"] = lambda surface, owner: None
    return table


def nptype(surface: Surface, kind: Any) -> Any:
    """The numpy type of a DataType, as the bindings' own function maps it."""
    names = {"FLOAT": "float32", "HALF": "float16", "INT8": "int8", "INT32": "int32", "INT64": "int64"}
    names |= {"BOOL": "bool", "UINT8": "uint8"}
    if kind.name not in names:
        raise TypeError(f"Could not resolve TensorRT datatype to an equivalent numpy datatype: {kind}")
    return np.dtype(names[kind.name]).type

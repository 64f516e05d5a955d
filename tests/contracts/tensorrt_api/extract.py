"""Describes the loaded ``tensorrt_bindings`` as JSON: enums, classes, functions and the signatures in their docstrings.

Run by :mod:`rebuild` in an interpreter that has the bindings; it imports nothing else, so that it runs anywhere.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from typing import Any

# The Caffe and UFF parsers, the plugins' insides and the refitter: no builder for the DLA touches them.
_UNUSED = re.compile(
    r"^I?(Plugin|V2|Uff|Caffe|Field|Blob|KernelL|SubGraph|NodeInd|SymI?E|DimsE|Refit|Parallel|OnnxParserRefit)"
)
_UNUSED_ENUMS = {"PluginFieldType", "PluginCreatorVersion", "UffInputOrder"}
_INTERNALS = {
    "__module__",
    "__doc__",
    "__dict__",
    "__weakref__",
    "__entries",
    "__members__",
    "__new__",
    "__reduce_ex__",
}
_NUMBERED = re.compile(r"^\s*\d+\. (?=\w+\()")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def _plain(text: str) -> str:
    return _ADDRESS.sub("", text.replace("tensorrt_bindings.tensorrt.", "").replace("typing.", ""))


def _signatures(name: str, doc: str | None) -> list[str]:
    """What follows the name in every signature line of a pybind11 docstring; overloads are numbered lines."""
    lines = (doc or "").splitlines()
    if "Overloaded function." in (doc or ""):
        found = [_NUMBERED.sub("", line) for line in lines if _NUMBERED.match(line)]
    else:
        found = lines[:1]
    return [_plain(line.strip()[len(name) :]) for line in found if line.strip().startswith(f"{name}(")]


def _callable(name: str, value: Any) -> list[str]:
    if inspect.isfunction(value):
        return ["(" + ", ".join(_python_arguments(value)) + ")"]
    return _signatures(name, value.__doc__)


def _python_arguments(value: Any) -> list[str]:
    found = []
    for parameter in inspect.signature(value).parameters.values():
        default = "" if parameter.default is inspect.Parameter.empty else f" = {parameter.default!r}"
        found.append(f"{parameter.name}{default}")
    return found


def _property(value: property) -> dict[str, str | None]:
    """The type that a property returns and, where it can be set, the type that it takes."""
    get = re.search(r"->\s*(.+?)\s*$", (value.fget.__doc__ or "").strip().split("\n")[0]) if value.fget else None
    entry: dict[str, str | None] = {"get": _plain(get.group(1)) if get else "object"}
    if value.fset is not None:
        line = (value.fset.__doc__ or "").strip().split("\n")[0]
        taken = re.search(r"arg1: (.+)\) -> ", line)
        entry["set"] = _plain(taken.group(1)) if taken else "object"
    return entry


def _is_enum(value: Any) -> bool:
    return isinstance(value, type) and isinstance(getattr(value, "__members__", None), dict)


def _orders(enum: Any) -> bool:
    """Whether the members of a pybind11 enum can be compared by size; only those bound as arithmetic can."""
    return "__lt__" in vars(enum)


def _describe_class(cls: type, path: str, surface: dict[str, Any]) -> None:
    entry: dict[str, Any] = {
        "bases": [_plain(b.__qualname__) for b in cls.__bases__ if "pybind11" not in b.__qualname__]
    }
    entry["bases"] = [b for b in entry["bases"] if b != "object"]
    methods: dict[str, list[str]] = {}
    properties: dict[str, Any] = {}
    constants: dict[str, str] = {}
    for name, value in sorted(vars(cls).items()):
        if name in _INTERNALS or name.startswith("_pybind11"):
            continue
        if _is_enum(value):
            if value.__qualname__ == f"{path}.{name}":
                _describe_enum(value, f"{path}.{name}", surface)
            else:
                constants[name] = value.__qualname__
        elif isinstance(value, type):
            _describe_class(value, f"{path}.{name}", surface)
        elif isinstance(value, property):
            properties[name] = _property(value)
        elif _is_enum(type(value)):
            constants[name] = f"{type(value).__qualname__}.{value.name}"
        elif callable(value) or isinstance(value, staticmethod):
            bound = getattr(cls, name)
            found = _callable(name, bound)
            if found:
                methods[name] = found
    for key, table in (("methods", methods), ("properties", properties), ("constants", constants)):
        if table:
            entry[key] = table
    surface["classes"][path] = entry


def _describe_enum(enum: Any, path: str, surface: dict[str, Any]) -> None:
    surface["enums"][path] = {name: int(member) for name, member in enum.__members__.items()}
    if _orders(enum):
        surface["ordered"].append(path)


def describe(module: Any) -> dict[str, Any]:
    """The surface of the bindings: ``{version, enums, ordered, classes, functions, constants}``, all plain values."""
    surface: dict[str, Any] = {"version": module.__version__, "ordered": []}
    for key in ("enums", "classes", "functions", "constants"):
        surface[key] = {}
    for name in sorted(vars(module)):
        value = getattr(module, name)
        if name.startswith("_") or _UNUSED.match(name) or inspect.ismodule(value):
            continue
        if _is_enum(value):
            if name not in _UNUSED_ENUMS:
                _describe_enum(value, name, surface)
        elif isinstance(value, type):
            _describe_class(value, name, surface)
        elif _is_enum(type(value)):
            surface["constants"][name] = f"{type(value).__qualname__}.{value.name}"
        elif callable(value):
            found = _callable(name, value)
            if found:
                surface["functions"][name] = found
    return surface


if __name__ == "__main__":
    json.dump(describe(importlib.import_module("tensorrt_bindings")), sys.stdout)

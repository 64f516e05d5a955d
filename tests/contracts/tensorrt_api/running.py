"""What the fake does with an engine: it is read back, inspected, and run through the callable given."""

from __future__ import annotations

import ctypes
import json
from typing import Any

import numpy as np

from tensorrt_api.building import MAGIC
from tensorrt_api.classes import Action, Surface
from tensorrt_api.parsing import say
from tensorrt_api.values import nptype


class _Running:
    """The actions of runtime, engine, context and inspector."""

    def __init__(self, behaviour: Any) -> None:
        self.behaviour = behaviour

    def runtime(self, surface: Surface, runtime: Any, logger: Any) -> None:
        runtime._held.update(logger=logger, DLA_core=-1, num_DLA_cores=self.behaviour.dla_cores, error_recorder=None)

    def deserialize(self, surface: Surface, runtime: Any, data: Any) -> Any:
        raw = bytes(data)
        if not raw.startswith(MAGIC):
            say(surface, runtime._held["logger"], "ERROR", "Serialization assertion plan->header.magicTag failed.")
            return None
        note = json.loads(raw[len(MAGIC) :])
        return surface.new(
            "ICudaEngine", note=note, name="", num_io_tensors=len(note["io"]), num_layers=len(note["layers"])
        )

    def tensor_name(self, surface: Surface, engine: Any, index: int) -> str:
        return str(engine._held["note"]["io"][int(index)]["name"])

    def tensor_mode(self, surface: Surface, engine: Any, name: str) -> Any:
        return surface.constant(f"TensorIOMode.{_io(engine, name)['mode']}")

    def tensor_dtype(self, surface: Surface, engine: Any, name: str) -> Any:
        return surface.constant(f"DataType.{_io(engine, name)['dtype']}")

    def tensor_shape(self, surface: Surface, owner: Any, name: str) -> Any:
        engine = owner._held.get("engine", owner)
        return surface.module.Dims(owner._held.get("shapes", {}).get(name) or _io(engine, name)["shape"])

    def tensor_format(self, surface: Surface, engine: Any, name: str) -> Any:
        return surface.constant(f"TensorFormat.{_io(engine, name).get('format', 'LINEAR')}")

    def context(self, surface: Surface, engine: Any, *options: Any) -> Any:
        return surface.new("IExecutionContext", engine=engine, addresses={}, shapes={})

    def set_address(self, surface: Surface, context: Any, name: str, address: int) -> bool:
        _io(context._held["engine"], name)
        context._held["addresses"][name] = int(address)
        return True

    def set_input_shape(self, surface: Surface, context: Any, name: str, shape: Any) -> bool:
        context._held["shapes"][name] = [int(d) for d in shape]
        return True

    def execute(self, surface: Surface, context: Any, stream: int) -> bool:
        engine = context._held["engine"]
        addresses = context._held["addresses"]
        views = {}
        for entry in engine._held["note"]["io"]:
            if entry["name"] not in addresses:
                return False
            views[entry["name"]] = _view(surface, entry, addresses[entry["name"]])
        if self.behaviour.execute is None:
            return False
        inputs = {e["name"]: views[e["name"]].copy() for e in engine._held["note"]["io"] if e["mode"] == "INPUT"}
        for name, value in self.behaviour.execute(inputs).items():
            views[name][...] = value
        return True

    def inspector(self, surface: Surface, engine: Any) -> Any:
        return surface.new("EngineInspector", engine=engine, error_recorder=None, execution_context=None)

    def engine_information(self, surface: Surface, inspector: Any, format_: Any) -> str:
        if self.behaviour.layer_information is not None:
            return json.dumps(self.behaviour.layer_information)
        note = inspector._held["engine"]._held["note"]
        return json.dumps(information(note))


def information(note: dict[str, Any]) -> dict[str, Any]:
    """The engine inspector's JSON: names only, unless the engine was built with detailed profiling verbosity."""
    found: list[Any] = []
    for entry in note["layers"]:
        names = entry["names"]
        name = names[0]
        if entry["device"] == "DLA":
            name = f"{{ForeignNode[{names[0]}...{names[-1]}]}}" if len(names) > 1 else f"{{ForeignNode[{names[0]}]}}"
        detail = {
            "Name": name,
            "LayerType": "DLA" if entry["device"] == "DLA" else entry["type"].title().replace("_", ""),
            "Inputs": [],
            "Outputs": [],
            "Metadata": "\x1e".join(f"[ONNX Layer: {n}]" for n in names),
        }
        found.append(detail if note["verbosity"] == "DETAILED" else name)
    return {"Layers": found, "Bindings": [e["name"] for e in note["io"]]}


def _io(engine: Any, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = next(e for e in engine._held["note"]["io"] if e["name"] == name)
    return entry


def _view(surface: Surface, entry: dict[str, Any], address: int) -> Any:
    dtype = np.dtype(nptype(surface, surface.constant(f"DataType.{entry['dtype']}")))
    count = int(np.prod(entry["shape"], dtype=np.int64))
    memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(address)
    return np.frombuffer(memory, dtype).reshape(entry["shape"])


def actions(behaviour: Any) -> dict[str, Action]:
    """The table of actions of everything after the build."""
    r = _Running(behaviour)
    return {
        "Runtime.__init__": r.runtime,
        "Runtime.deserialize_cuda_engine": r.deserialize,
        "ICudaEngine.get_tensor_name": r.tensor_name,
        "ICudaEngine.get_tensor_mode": r.tensor_mode,
        "ICudaEngine.get_tensor_dtype": r.tensor_dtype,
        "ICudaEngine.get_tensor_shape": r.tensor_shape,
        "ICudaEngine.get_tensor_format": r.tensor_format,
        "ICudaEngine.create_execution_context": r.context,
        "ICudaEngine.create_engine_inspector": r.inspector,
        "IExecutionContext.set_tensor_address": r.set_address,
        "IExecutionContext.set_input_shape": r.set_input_shape,
        "IExecutionContext.get_tensor_shape": r.tensor_shape,
        "IExecutionContext.execute_async_v3": r.execute,
        "EngineInspector.get_engine_information": r.engine_information,
    }

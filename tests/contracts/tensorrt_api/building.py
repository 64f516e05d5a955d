"""What the fake does when a network is configured and built."""

from __future__ import annotations

import json
from typing import Any

from tensorrt_api.classes import Action, Surface
from tensorrt_api.parsing import say
from tensorrt_api.values import count, flag_actions, item

MAGIC = b"fake TensorRT engine\n"
# The settings of a fresh configuration, as plain values or enum members by path.
_FRESH: dict[str, Any] = {
    "DLA_core": -1,
    "avg_timing_iterations": 1,
    "builder_optimization_level": 3,
    "max_aux_streams": -1,
    "max_num_tactics": -1,
    "num_optimization_profiles": 0,
    "quantization_flags": 0,
    "flags": 0,
    "int8_calibrator": None,
    "progress_monitor": None,
    "algorithm_selector": None,
    "plugins_to_serialize": [],
    "default_device_type": "DeviceType.GPU",
    "engine_capability": "EngineCapability.STANDARD",
    "profiling_verbosity": "ProfilingVerbosity.LAYER_NAMES_ONLY",
    "hardware_compatibility_level": "HardwareCompatibilityLevel.NONE",
}


class _Building:
    """The actions of builder, network, configuration and caches."""

    def __init__(self, behaviour: Any) -> None:
        self.behaviour = behaviour

    # Builder -----------------------------------------------------------------------------------------------

    def builder(self, surface: Surface, builder: Any, logger: Any) -> None:
        builder._held.update(
            logger=logger,
            num_DLA_cores=self.behaviour.dla_cores,
            max_DLA_batch_size=4096 if self.behaviour.dla_cores else 1,
            platform_has_fast_fp16=True,
            platform_has_fast_int8=True,
            platform_has_tf32=True,
            max_threads=1,
            error_recorder=None,
        )

    def network(self, surface: Surface, builder: Any, flags: int) -> Any:
        return surface.new("INetworkDefinition", builder=builder, creation=int(flags), layers=[], inputs=[], outputs=[])

    def config(self, surface: Surface, builder: Any) -> Any:
        held: dict[str, Any] = {"on": set(), "pools": {}, "devices": {}, "profiles": [], "cache": None, "features": {}}
        for name, value in _FRESH.items():
            if name in surface.data["classes"]["IBuilderConfig"]["properties"]:
                held[name] = surface.constant(value) if isinstance(value, str) else value
        return surface.new("IBuilderConfig", **held)

    def profile(self, surface: Surface, builder: Any) -> Any:
        return surface.new("IOptimizationProfile", shapes={})

    def set_shape(self, surface: Surface, profile: Any, name: str, *shapes: Any) -> None:
        profile._held["shapes"][name] = tuple(tuple(s) for s in shapes)

    def build(self, surface: Surface, builder: Any, network: Any, config: Any) -> Any:
        logger = builder._held["logger"]
        monitor = config._held.get("progress_monitor")
        if monitor is not None:
            monitor.phase_start("Building Engine", None, 1)
            monitor.step_complete("Building Engine", 0)
            monitor.phase_finish("Building Engine")
        calibrator = config._held.get("int8_calibrator")
        if calibrator is not None:
            calibrator.read_calibration_cache()
        for severity, text in self.behaviour.messages:
            say(surface, logger, severity, text)
        if not network._held["layers"]:
            say(surface, logger, "ERROR", "Network must have at least one output")
            return None
        if not self.behaviour.builds:
            say(surface, logger, "ERROR", "Could not find any implementation for node {ForeignNode[...]}.")
            return None
        note = engine_note(network, config)
        return surface.memory(MAGIC + json.dumps(note).encode())

    # IBuilderConfig ----------------------------------------------------------------------------------------

    def can_run(self, surface: Surface, config: Any, layer: Any) -> bool:
        return bool(self.behaviour.can_run_on_dla(layer, config))

    def set_device(self, surface: Surface, config: Any, layer: Any, device: Any) -> None:
        config._held["devices"][id(layer)] = device

    def get_device(self, surface: Surface, config: Any, layer: Any) -> Any:
        return config._held["devices"].get(id(layer), config._held["default_device_type"])

    def device_is_set(self, surface: Surface, config: Any, layer: Any) -> bool:
        return id(layer) in config._held["devices"]

    def reset_device(self, surface: Surface, config: Any, layer: Any) -> None:
        config._held["devices"].pop(id(layer), None)

    def set_pool(self, surface: Surface, config: Any, pool: Any, size: int) -> None:
        config._held["pools"][int(pool)] = int(size)

    def get_pool(self, surface: Surface, config: Any, pool: Any) -> int:
        return int(config._held["pools"].get(int(pool), 0))

    def make_cache(self, surface: Surface, config: Any, data: bytes) -> Any:
        return surface.new("ITimingCache", data=bytes(data) or b"fake timing cache")

    def set_cache(self, surface: Surface, config: Any, cache: Any, ignore_mismatch: bool) -> bool:
        config._held["cache"] = cache
        return True

    def get_cache(self, surface: Surface, config: Any) -> Any:
        return config._held["cache"]

    def serialize_cache(self, surface: Surface, cache: Any) -> Any:
        return surface.memory(cache._held["data"])

    def add_profile(self, surface: Surface, config: Any, profile: Any) -> int:
        config._held["profiles"].append(profile)
        config._held["num_optimization_profiles"] = len(config._held["profiles"])
        return len(config._held["profiles"]) - 1

    def set_calibration_profile(self, surface: Surface, config: Any, profile: Any) -> bool:
        config._held["calibration_profile"] = profile
        return True

    def set_tactics(self, surface: Surface, config: Any, sources: int) -> bool:
        config._held["tactics"] = int(sources)
        return True

    def set_feature(self, surface: Surface, config: Any, feature: Any, enable: bool) -> None:
        config._held["features"][int(feature)] = enable

    def set_quantization(self, surface: Surface, config: Any, flag: Any) -> None:
        config._held["quantization_flags"] |= 1 << int(flag)

    # INetworkDefinition, ILayer, ITensor --------------------------------------------------------------------

    def mark_output(self, surface: Surface, network: Any, made: Any) -> None:
        made._held["is_network_output"] = True
        network._held["outputs"].append(made)

    def unmark_output(self, surface: Surface, network: Any, made: Any) -> None:
        made._held["is_network_output"] = False
        network._held["outputs"] = [t for t in network._held["outputs"] if t is not made]

    def set_output_type(self, surface: Surface, layer: Any, index: int, dtype: Any) -> None:
        layer._held.setdefault("output_types", {})[int(index)] = dtype

    def output_type_is_set(self, surface: Surface, layer: Any, index: int) -> bool:
        return int(index) in layer._held.get("output_types", {})

    def get_output_type(self, surface: Surface, layer: Any, index: int) -> Any:
        return layer._held.get("output_types", {}).get(int(index), layer._held["outputs"][int(index)]._held["dtype"])

    def set_precision(self, surface: Surface, layer: Any, precision: Any) -> None:
        layer._held["precision_is_set"] = True

    def reset_precision(self, surface: Surface, layer: Any) -> None:
        layer._held["precision_is_set"] = False

    def set_dynamic_range(self, surface: Surface, made: Any, low: float, high: float) -> bool:
        made._held["dynamic_range"] = (float(low), float(high))
        return True


def engine_note(network: Any, config: Any) -> dict[str, Any]:
    """What an engine is here: inputs, outputs and the layers with their devices, DLA runs fused into one."""
    held, devices = network._held, config._held["devices"]
    default = config._held["default_device_type"]
    entries: list[dict[str, Any]] = []
    for layer in held["layers"]:
        device = str(devices.get(id(layer), default)).partition(".")[2]
        name = layer._held["name"]
        if device == "DLA" and entries and entries[-1]["device"] == "DLA":
            entries[-1]["names"].append(name)
        else:
            entries.append({"device": device, "names": [name], "type": layer._held["type"].name})
    return {
        "layers": entries,
        "verbosity": config._held["profiling_verbosity"].name,
        "io": [
            {
                "name": t._held["name"],
                "dtype": t._held["dtype"].name,
                "shape": list(t._held["shape"]._held["dims"]),
                "mode": mode,
            }
            for mode, tensors in (("INPUT", held["inputs"]), ("OUTPUT", held["outputs"]))
            for t in tensors
        ],
    }


def actions(behaviour: Any) -> dict[str, Action]:
    """The table of actions, by ``Class.method``, ``get Class.property`` and ``set Class.property``."""
    b = _Building(behaviour)
    table: dict[str, Action] = {
        "Builder.__init__": b.builder,
        "Builder.create_network": b.network,
        "Builder.create_builder_config": b.config,
        "Builder.create_optimization_profile": b.profile,
        "Builder.build_serialized_network": b.build,
        "IOptimizationProfile.set_shape": b.set_shape,
        "IBuilderConfig.can_run_on_DLA": b.can_run,
        "IBuilderConfig.set_device_type": b.set_device,
        "IBuilderConfig.get_device_type": b.get_device,
        "IBuilderConfig.is_device_type_set": b.device_is_set,
        "IBuilderConfig.reset_device_type": b.reset_device,
        "IBuilderConfig.set_memory_pool_limit": b.set_pool,
        "IBuilderConfig.get_memory_pool_limit": b.get_pool,
        "IBuilderConfig.create_timing_cache": b.make_cache,
        "IBuilderConfig.set_timing_cache": b.set_cache,
        "IBuilderConfig.get_timing_cache": b.get_cache,
        "ITimingCache.serialize": b.serialize_cache,
        "IBuilderConfig.add_optimization_profile": b.add_profile,
        "IBuilderConfig.set_calibration_profile": b.set_calibration_profile,
        "IBuilderConfig.set_tactic_sources": b.set_tactics,
        "IBuilderConfig.set_preview_feature": b.set_feature,
        "IBuilderConfig.set_quantization_flag": b.set_quantization,
        "get INetworkDefinition.num_layers": count("layers"),
        "get INetworkDefinition.num_inputs": count("inputs"),
        "get INetworkDefinition.num_outputs": count("outputs"),
        "INetworkDefinition.__len__": count("layers"),
        "INetworkDefinition.__getitem__": item("layers"),
        "INetworkDefinition.get_layer": item("layers"),
        "INetworkDefinition.get_input": item("inputs"),
        "INetworkDefinition.get_output": item("outputs"),
        "INetworkDefinition.mark_output": b.mark_output,
        "INetworkDefinition.unmark_output": b.unmark_output,
        "ILayer.get_input": item("inputs"),
        "ILayer.get_output": item("outputs"),
        "ILayer.set_output_type": b.set_output_type,
        "ILayer.get_output_type": b.get_output_type,
        "ILayer.output_type_is_set": b.output_type_is_set,
        "set ILayer.precision": b.set_precision,
        "ILayer.reset_precision": b.reset_precision,
        "ITensor.set_dynamic_range": b.set_dynamic_range,
    }
    return table | flag_actions("IBuilderConfig")

"""Builds an engine through TensorRT's Python API: carries the steps of a recipe out, one by one.

TensorRT is loaded here alone, and only when an engine is built. Checked against the real bindings' signatures of
8.6 to 11.4; not run on a device.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlarewrite.build.loadable import check_loadable
from dlarewrite.build.placement import Disagreement, Placement
from dlarewrite.build.recipe import build_steps
from dlarewrite.build.release import detect, refusal
from dlarewrite.build.request import BuildRequest
from dlarewrite.build.steps import (
    Assign,
    Bits,
    Build,
    BuildStep,
    Call,
    DemandCore,
    FileBytes,
    Helper,
    Hooks,
    Inspect,
    LayerTypes,
    Member,
    Parse,
    Place,
    Port,
    Ref,
    Save,
    SaveTimings,
)
from dlarewrite.build.tensorrt_callbacks import Watch, calibrator, logger, progress
from dlarewrite.build.tensorrt_errors import BuildError
from dlarewrite.build.tensorrt_layers import inspect_engine, place_layers, set_layer_types
from dlarewrite.errors import EnvironmentMissing, UsageError
from dlarewrite.ir.exporter import atomic

Hook = Callable[[Any], Any]

__all__ = ["BuildError", "Built", "Disagreement", "build_engine", "load_tensorrt"]


@dataclass(frozen=True)
class Built:
    """What a build did: layers per device as set before it, disagreements, and the finished engine's placement."""

    dla_layers: int
    gpu_layers: int
    disagreements: tuple[Disagreement, ...]
    placement: Placement | None = None


def load_tensorrt() -> Any:
    """The tensorrt module; raises :class:`EnvironmentMissing` where it, or a DLA, is not here."""
    try:
        trt = importlib.import_module("tensorrt")
        builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    except (ImportError, OSError, AttributeError, RuntimeError, TypeError) as error:
        reason = next(iter(str(error).splitlines()), "")
        raise EnvironmentMissing(
            f"TensorRT's Python package is not usable here ({type(error).__name__}: {reason})",
            hint="run this on the Jetson, with the TensorRT of its JetPack",
        ) from error
    why = refusal(detect(trt).version)
    if why:
        raise EnvironmentMissing(why, hint="build with the TensorRT of the target's JetPack")
    if builder.num_DLA_cores == 0:
        raise EnvironmentMissing("TensorRT sees no DLA on this machine", hint="build on a Jetson Xavier or Orin")
    return trt


def build_engine(
    request: BuildRequest,
    core: int = 0,
    *,
    trt: Any | None = None,
    hooks: Sequence[Hook] = (),
    watch: Watch | None = None,
    log: Watch | None = None,
) -> Built:
    """Build and write one core's engine atomically.

    ``trt`` is the tensorrt module (loaded when not given). Each of ``hooks`` receives the parsed network and may
    change it, or return another. ``watch`` is told TensorRT's progress (10.0 and later), ``log`` every message of the
    builder where the request is verbose. Raises :class:`BuildError` with TensorRT's own words.
    """
    module = trt if trt is not None else load_tensorrt()
    request = request.built_by(detect(module))
    execution = _Execution(module, request, tuple(hooks), watch or _ignore, log or _ignore)
    for step in build_steps(request, core, len(hooks)):
        execution.carry_out(step)
    return execution.outcome()


def _ignore(text: str) -> None:
    """For callers who do not listen."""


class _Execution:
    """The objects of one build, filled step by step."""

    def __init__(self, trt: Any, request: BuildRequest, hooks: tuple[Hook, ...], watch: Watch, log: Watch) -> None:
        self.trt = trt
        self.request = request
        self.hooks = hooks
        self.watch = watch
        self.log = log
        self.errors: list[str] = []
        self.objects: dict[str, Any] = {}
        self.placed: tuple[int, int, tuple[Disagreement, ...]] = (0, 0, ())
        self.placement: Placement | None = None
        self._doers: Mapping[type, Callable[[Any], None]] = {
            Call: self.call,
            Assign: self.assign,
            DemandCore: self.demand_core,
            Parse: self.parse,
            Hooks: self.call_hooks,
            LayerTypes: self.layer_types,
            Place: self.place,
            Build: self.build,
            Save: self.save,
            SaveTimings: self.save_timings,
            Inspect: self.inspect,
        }

    def carry_out(self, step: BuildStep) -> None:
        self._doers[type(step)](step)

    def outcome(self) -> Built:
        dla, gpu, disagreements = self.placed
        return Built(dla, gpu, disagreements, self.placement)

    def call(self, step: Call) -> None:
        args = [self.value(arg) for arg in step.args]
        if step.on is None:
            made = args[0]
        else:
            owner = self.value(step.on)
            made = getattr(owner, step.method)(*args) if step.method else owner(*args)
        if made is False:
            raise BuildError(f"TensorRT refuses {step}: {self.reason()}", hint=step.cure)
        if step.makes:
            if made is None:
                raise BuildError(f"TensorRT made no {step.makes}: {self.reason()}")
            self.objects[step.makes] = made

    def assign(self, step: Assign) -> None:
        value = self.value(step.value)
        if isinstance(step.value, Helper):
            self.objects[step.value.kind] = value  # TensorRT keeps no reference that Python counts
        setattr(self.value(step.on), step.name, value)

    def demand_core(self, step: DemandCore) -> None:
        cores = self.objects["builder"].num_DLA_cores
        if cores == 0:
            raise EnvironmentMissing("TensorRT sees no DLA on this machine", hint="build on a Jetson Xavier or Orin")
        if step.core >= cores:
            raise UsageError(f"--dla-core {step.core} does not exist: this machine has {cores} DLA cores, from 0 on")

    def parse(self, step: Parse) -> None:
        parser = self.objects["parser"]
        if parser.parse_from_file(str(step.model)):
            return
        errors = [str(parser.get_error(i)) for i in range(parser.num_errors)]
        raise BuildError(f"TensorRT's parser refuses {str(step.model)!r}: {'; '.join(errors) or self.reason()}")

    def call_hooks(self, step: Hooks) -> None:
        for hook in self.hooks:
            network = hook(self.objects["network"])
            if network is not None:
                self.objects["network"] = network

    def layer_types(self, step: LayerTypes) -> None:
        members = {name: self.value(Member(path)) for name, path in step.members.items()}
        set_layer_types(self.objects["network"], members, self.request)

    def place(self, step: Place) -> None:
        self.placed = place_layers(self.trt, self.objects["network"], self.objects["config"], self.request, step)

    def build(self, step: Build) -> None:
        builder, network, config = (self.objects[name] for name in ("builder", "network", "config"))
        built = builder.build_serialized_network(network, config)
        if built is None:
            raise BuildError(f"TensorRT could not build the engine: {self.reason()}")
        self.objects["built"] = bytes(built)

    def save(self, step: Save) -> None:
        if step.loadable:
            check_loadable(self.objects["built"])
        with atomic(step.engine) as file:
            file.write(self.objects["built"])

    def save_timings(self, step: SaveTimings) -> None:
        cache = self.objects["config"].get_timing_cache()
        if cache is None:
            return
        with atomic(step.path) as file:
            file.write(bytes(cache.serialize()))

    def inspect(self, step: Inspect) -> None:
        self.placement = inspect_engine(
            self.trt, self.objects["logger"], self.objects["built"], step.core, self.request
        )

    def reason(self) -> str:
        """TensorRT's last errors in one line."""
        return "; ".join(" ".join(text.split()) for text in self.errors[-3:]) or "no reason given"

    def value(self, value: Any) -> Any:
        """The real thing behind a step's word for it."""
        if isinstance(value, Member):
            return _reach(self.trt, value.path)
        if isinstance(value, Bits):
            return sum(1 << int(_reach(self.trt, path)) for path in value.paths)
        if isinstance(value, Ref):
            return self.objects[value.name]
        if isinstance(value, Port):
            return self.port(value)
        if isinstance(value, FileBytes):
            return value.path.read_bytes() if value.path.is_file() else b""
        if isinstance(value, Helper):
            return self.helper(value)
        return value

    def helper(self, helper: Helper) -> Any:
        if helper.kind == "logger":
            return logger(self.trt, self.errors, self.log if self.request.options.verbose else None)
        if helper.kind == "progress":
            return progress(self.trt, self.watch)
        return calibrator(self.trt, helper.file.read_bytes() if helper.file is not None else b"")

    def port(self, port: Port) -> Any:
        network = self.objects["network"]
        count, get = network.num_inputs, network.get_input
        if port.direction == "output":
            count, get = network.num_outputs, network.get_output
        for tensor in (get(i) for i in range(count)):
            if tensor.name == port.name:
                return tensor
        raise BuildError(f"the parsed network has no {port.direction} {port.name!r}")


def _reach(root: Any, path: str) -> Any:
    for part in path.split("."):
        root = getattr(root, part)
    return root

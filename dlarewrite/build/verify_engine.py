"""An engine on its board against the ONNX model in onnxruntime: the same inputs, output by output.

Checked against the real bindings' signatures of 8.6 to 11.4; not run on a device.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlarewrite.build.cuda import Cuda, DeviceMemory
from dlarewrite.build.tensorrt_callbacks import logger
from dlarewrite.build.tensorrt_errors import BuildError
from dlarewrite.errors import EnvironmentMissing, ModelError, UsageError
from dlarewrite.verify import Evidence, Feeder, Session, Tolerance, compare, load_npz
from dlarewrite.verify.evidence import ranges
from dlarewrite.verify.numerics import LARGEST_ROUNDING
from dlarewrite.verify.outputs import OutputError
from dlarewrite.verify.shell import open_model

_SUFFIXES = (".engine", ".plan", ".trt")
_MAGIC = (b"ftrt", b"ptrt")
_LOADABLE = b"NVDA"
ENGINE_RTOL = LARGEST_ROUNDING
"""Share of max|reference| that an FP16 engine may differ unless the user says otherwise; INT8 engines need more."""


def is_engine(path: Path) -> bool:
    """Whether a file is an engine, by its name or its first bytes; raises :class:`UsageError` for a DLA loadable."""
    if not path.is_file():
        raise UsageError(f"file {str(path)!r} does not exist")
    with path.open("rb") as file:
        head = file.read(8)
    if head[4:8] == _LOADABLE:
        raise UsageError(
            f"{str(path)!r} is a DLA loadable, which cuDLA runs and TensorRT does not",
            hint="verify an engine built from the same model without --standalone",
        )
    return path.suffix in _SUFFIXES or head[:4] in _MAGIC


class Engine:
    """A deserialised engine whose inputs and outputs lie in ``memory`` (CUDA's, when not given)."""

    def __init__(self, trt: Any, path: Path, core: int = 0, memory: DeviceMemory | None = None) -> None:
        self._trt, self._errors = trt, list[str]()
        self._logger = logger(trt, self._errors, None)
        self._runtime = trt.Runtime(self._logger)
        cores = self._runtime.num_DLA_cores
        if not 0 <= core < cores:
            raise UsageError(f"--dla-core {core} does not exist here", hint=f"this board has {cores}")
        self._runtime.DLA_core = core
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise BuildError(
                f"TensorRT {trt.__version__} cannot load {str(path)!r}: {self._why()}",
                hint="an engine runs on the board and the release that built it",
            )
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        self.inputs = [n for n in names if self._engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
        self.outputs = [n for n in names if n not in self.inputs]
        for name in names:
            kind = self._engine.get_tensor_format(name)
            if kind != trt.TensorFormat.LINEAR:
                raise UsageError(
                    f"{name!r} of {str(path)!r} has format {kind.name}; only linear tensors can be compared",
                    hint="build the engine to verify without --input-format and --output-format",
                )
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise BuildError(f"TensorRT cannot make a context for {str(path)!r}: {self._why()}")
        self._memory = memory if memory is not None else Cuda()
        self._places: dict[tuple[str, int], int] = {}

    def run(self, feed: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name; inputs are cast to the engine's types. Raises :class:`BuildError` where execution fails."""
        for name in self.inputs:
            _demand_kin(name, self._dtype(name), feed[name])
            values = np.ascontiguousarray(feed[name], self._dtype(name))
            if tuple(self._engine.get_tensor_shape(name)) != values.shape:
                self._context.set_input_shape(name, values.shape)
            address = self._place(name, values.nbytes)
            self._memory.upload(address, values)
            self._context.set_tensor_address(name, address)
        found: dict[str, tuple[NDArray[Any], int]] = {}
        for name in self.outputs:
            values = np.empty(tuple(self._context.get_tensor_shape(name)), self._dtype(name))
            found[name] = values, self._place(name, values.nbytes)
            self._context.set_tensor_address(name, found[name][1])
        if not self._context.execute_async_v3(self._memory.stream):
            raise BuildError(f"TensorRT cannot run the engine: {self._why()}")
        self._memory.wait()
        for values, address in found.values():
            self._memory.download(values, address)
        return {name: values for name, (values, _) in found.items()}

    def close(self) -> None:
        """Free the device's memory."""
        self._memory.close()

    def _place(self, name: str, size: int) -> int:
        """The tensor's address, the same one for the next sample of that size."""
        if (name, size) not in self._places:
            self._places[name, size] = self._memory.allocate(size)
        return self._places[name, size]

    def _dtype(self, name: str) -> Any:
        return np.dtype(self._trt.nptype(self._engine.get_tensor_dtype(name)))

    def _why(self) -> str:
        return "; ".join(self._errors[-3:]) or "no reason given"


def verify_engine(
    trt: Any,
    model: Path,
    engine: Path,
    *,
    core: int = 0,
    inputs: Path | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    atol: float | Mapping[str, float] | None = None,
    rtol: float | Mapping[str, float] | None = None,
    memory: DeviceMemory | None = None,
) -> Evidence:
    """Run both on the same inputs and compare every output; ``trt`` is the tensorrt module.

    ``rtol`` is a share of max|reference|; without tolerances it is :data:`ENGINE_RTOL`. A difference is evidence whose
    ``ok`` is false, never raised.
    """
    proto, folder = open_model(model)
    feeder = Feeder(proto, shapes=shapes)
    feeds = list(load_npz(inputs, proto)) if inputs is not None else [feeder.draw(seed) for seed in seeds]
    names = [f"sample {i}" for i in range(len(feeds))] if inputs is not None else [f"seed {s}" for s in seeds]
    reference = Session(proto, base_dir=folder)
    candidate = Engine(trt, engine, core, memory)
    try:
        _same("input", candidate.inputs, reference.input_names, engine)
        _same("output", candidate.outputs, reference.output_names, engine)
        worst: dict[str, OutputError] = {}
        for feed in feeds:
            wanted = reference.run(feed)
            given = {name: _like(name, values, wanted[name]) for name, values in candidate.run(feed).items()}
            for error in compare(wanted, given, lambda name, dtype: _tolerance(name, atol, rtol)):
                known = worst.get(error.name)
                if known is None or (not error.ok, error.max_rel_of_max) > (not known.ok, known.max_rel_of_max):
                    worst[error.name] = error
    finally:
        candidate.close()
    bad = [error for error in worst.values() if not error.ok]
    return Evidence(
        ok=not bad,
        numerics="the engine's precision",
        tolerance="; ".join(sorted({error.tolerance for error in worst.values()})),
        outputs=tuple(worst.values()),
        seeds=() if inputs is not None else tuple(seeds),
        inputs_from=str(inputs) if inputs is not None else "",
        inputs=ranges(feeds),
        runtime=f"TensorRT {trt.__version__}, DLA core {core}, against onnxruntime ({', '.join(names)})",
        reason="; ".join(f"output {error.name!r}: {error.reason}" for error in bad),
    )


def _same(what: str, engine: Sequence[str], model: Sequence[str], path: Path) -> None:
    if set(engine) != set(model):
        raise ModelError(
            f"{str(path)!r} has the {what}s {', '.join(engine)}; the model has {', '.join(model)}",
            hint="verify an engine against the model that it was built from",
        )


def _demand_kin(name: str, kind: Any, values: Any) -> None:
    """An INT8 border holds numbers times a scale that the engine does not tell."""
    if np.dtype(kind) != np.int8 or np.asarray(values).dtype.kind != "f":
        return
    raise UsageError(
        f"{name!r} is INT8 in the engine and floating-point in the model, and an engine does not tell its scale",
        hint="build the engine to verify without --io-formats auto, --input-format and --output-format",
    )


def _like(name: str, values: NDArray[Any], reference: Any) -> NDArray[Any]:
    """An engine's output in the model's type, so that their values are compared and not their types."""
    _demand_kin(name, values.dtype, reference)
    return values.astype(np.asarray(reference).dtype, copy=False)


def _tolerance(name: str, atol: Any, rtol: Any) -> Tolerance:
    chosen = [value.get(name) if isinstance(value, Mapping) else value for value in (atol, rtol)]
    if chosen == [None, None]:
        return Tolerance(atol=0.0, rtol_of_max=ENGINE_RTOL)
    return Tolerance(atol=chosen[0] or 0.0, rtol_of_max=chosen[1] or 0.0)


def layer_wise(trt: Any, model: Path, *, atol: float, rtol: float) -> list[str]:
    """Polygraphy's command line that compares every tensor; raises :class:`EnvironmentMissing` without Polygraphy.

    An engine shows its outputs alone, so Polygraphy builds the model anew with every tensor an output: what TensorRT
    fuses, and so what runs on the DLA, may differ from the engine.
    """
    program = shutil.which("polygraphy")
    if program is None:
        raise EnvironmentMissing("Polygraphy is not installed here", hint="install it, or leave --layers out")
    words = [program, "run", str(model), "--onnxrt", "--trt", "--use-dla", "--allow-gpu-fallback"]
    if hasattr(trt.BuilderFlag, "FP16"):
        words.append("--fp16")
    for option in ("--onnx-outputs", "--trt-outputs"):
        words += [option, "mark", "all"]
    return [*words, "--atol", str(atol), "--rtol", str(rtol)]


def run_layer_wise(command: Sequence[str]) -> tuple[bool, str]:
    """Run Polygraphy; whether every tensor agreed, and what it printed."""
    done = subprocess.run(list(command), capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr

"""Run a model in onnxruntime as it is written: on the CPU, nothing optimised, nothing printed."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
import onnx

from dlarewrite.errors import ModelError
from dlarewrite.verify.boundary import lower_stamps, name_nodes, wrap_exotic
from dlarewrite.verify.failures import CannotRun, on_load, one_line
from dlarewrite.verify.faults import avoid
from dlarewrite.verify.ports import input_ports, output_ports
from dlarewrite.verify.shell import EXOTIC, Source, open_model
from dlarewrite.verify.weights import MAX_BYTES, loadable

__all__ = ["CannotRun", "RunFailure", "Session", "run", "runtime"]

_SILENT = 4
_ATTEMPTS = 4
_FOLDER_ENTRY = "session.model_external_initializers_file_folder_path"


class RunFailure(ModelError):  # noqa: N818 - the name states the condition, not an error class
    """The model loads, and onnxruntime stops while it runs on the inputs given."""


class Session:
    """A model loaded once and run on any number of feeds, with the same result for the same feed.

    `model` is a ModelProto or a path; `base_dir` is where a ModelProto's external data lies. Initializers of models
    over `max_bytes` pass through a temporary folder. The session uses `threads` threads (0: one per core).

    Raises CannotRun where onnxruntime lacks an operator or is older than the model, ModelError where it refuses the
    model for another reason.
    """

    def __init__(
        self,
        model: Source,
        *,
        base_dir: str | PathLike[str] | None = None,
        threads: int = 1,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        proto, directory = open_model(model, base_dir)
        self.input_names = [port.name for port in input_ports(proto)]
        self.output_names = [port.name for port in output_ports(proto)]
        exotic = any(port.elem_type in EXOTIC for port in (*input_ports(proto), *output_ports(proto)))
        with loadable(proto, directory, max_bytes) as (given, folder):
            candidate = avoid(_copy(given) if exotic else given)
            self._exotic = wrap_exotic(candidate) if exotic else {}
            self._session = _load(candidate, str(folder) if folder is not None else None, threads)

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs by name: arrays, or lists and dicts where the model's outputs are sequences and maps.

        Raises RunFailure where onnxruntime stops or refuses the feed.
        """
        import onnxruntime as ort

        options = ort.RunOptions()
        options.log_severity_level = _SILENT
        given = {name: self._carried(name, value) for name, value in feeds.items()}
        try:
            values = self._session.run(self.output_names, given, options)
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise RunFailure(f"onnxruntime stops: {one_line(error)}") from error
        return {name: self._restored(name, value) for name, value in zip(self.output_names, values, strict=True)}

    def _carried(self, name: str, value: Any) -> Any:
        if name not in self._exotic:
            return value
        return np.asarray(value).astype(np.int8 if "int" in np.asarray(value).dtype.name else np.float32)

    def _restored(self, name: str, value: Any) -> Any:
        if name not in self._exotic:
            return value
        return value.astype(onnx.helper.tensor_dtype_to_np_dtype(self._exotic[name]))


def run(
    model: Source, feeds: Mapping[str, Any], *, base_dir: str | PathLike[str] | None = None, threads: int = 1
) -> dict[str, Any]:
    """Run `model` once; see Session."""
    return Session(model, base_dir=base_dir, threads=threads).run(feeds)


def runtime() -> str:
    """What proofs are made with, for people and reports."""
    import onnxruntime as ort

    return f"onnxruntime {ort.__version__} CPU, optimisations off"


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _load(model: onnx.ModelProto, folder: str | None, threads: int) -> Any:
    """A session, after lowering version stamps or naming nodes where onnxruntime's first answer asks for it."""
    original = model
    for _ in range(_ATTEMPTS):
        try:
            return _session(model, folder, threads)
        except Exception as error:  # onnxruntime's exceptions share no base class
            candidate = _copy(model)
            nameless = "node with name ''" in str(error) and any(not node.name for node in model.graph.node)
            if nameless:
                name_nodes(candidate)
            elif not lower_stamps(candidate, str(error)):
                raise on_load(error, model) from error
            model = candidate
    raise ModelError(f"onnxruntime cannot load the graph {original.graph.name!r}")


def _session(model: onnx.ModelProto, folder: str | None, threads: int) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = _SILENT
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    # A weight packed beforehand goes through another kernel, with other rounding, than one computed in the graph.
    options.add_session_config_entry("session.disable_prepacking", "1")
    if folder is not None:
        options.add_session_config_entry(_FOLDER_ENTRY, folder)
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

"""Run a model that was cut into parts, and prove that the parts together compute what the whole computes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import onnx

from dlarewrite.errors import ModelError
from dlarewrite.verify.cut import CutPair
from dlarewrite.verify.numeric import Prover
from dlarewrite.verify.runner import Session
from dlarewrite.verify.shell import Source, open_model

Heard = Callable[[int, float], None]
"""Told the number of a part and the seconds that it took."""


class Pipeline(Session):
    """Parts loaded once and run one after another; a tensor goes from part to part by its name.

    ``parts`` are paths or ModelProtos in order of execution, ``inputs`` and ``outputs`` are the whole's. Raises what
    :class:`Session` raises.
    """

    def __init__(
        self,
        parts: Sequence[Source],
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        threads: int = 1,
        heard: Heard | None = None,
    ) -> None:
        self.input_names, self.output_names = list(inputs), list(outputs)
        self._parts = [Session(part, threads=threads) for part in parts]
        self._heard = heard
        last = {name: number for number, part in enumerate(self._parts) for name in part.input_names}
        self._last = {name: number for name, number in last.items() if name not in self.output_names}

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """The whole's outputs by name; a tensor is let go after the last part that reads it."""
        known = dict(feeds)
        for number, part in enumerate(self._parts):
            missing = [name for name in part.input_names if name not in known]
            if missing:
                raise ModelError(f"part {number} reads {missing[0]!r}, which neither the inputs nor earlier parts give")
            start = time.perf_counter()
            known.update(part.run({name: known[name] for name in part.input_names}))
            if self._heard is not None:
                self._heard(number, time.perf_counter() - start)
            for name in [n for n, last in self._last.items() if last == number]:
                known.pop(name, None)
        return {name: known[name] for name in self.output_names}


class PipelineProver(Prover):
    """Compares a model with its parts, run one after another as they are.

    Where a model has nodes that onnxruntime cannot run, the parts are joined and cut there like any other model.
    """

    def __init__(self, before: Source, parts: Sequence[Source], *, threads: int = 1, **given: Any) -> None:
        super().__init__(before, threads=threads, **given)
        self._stages = list(parts)

    def _rewritten(self, pair: CutPair, directory: Path | None) -> Session | ModelError:
        if pair.nodes:
            return super()._rewritten(pair, directory)
        inputs = [value.name for value in pair.after.graph.input]
        outputs = [value.name for value in pair.after.graph.output]
        return Pipeline(self._stages, inputs, outputs, threads=self._threads)


def join(
    parts: Sequence[Source], inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
) -> onnx.ModelProto:
    """The parts as one model again; what several parts hold (weights, shapes) is in it once."""
    whole = onnx.ModelProto()
    seen: set[str] = set()
    for source in parts:
        proto, _ = open_model(source)
        if not whole.HasField("graph"):
            for name in ("ir_version", "producer_name", "producer_version", "domain", "model_version"):
                setattr(whole, name, getattr(proto, name))
            whole.opset_import.extend(proto.opset_import)
            whole.metadata_props.extend(proto.metadata_props)
            whole.graph.name = proto.graph.name
            whole.graph.input.extend(inputs)
            whole.graph.output.extend(outputs)
        whole.ir_version = max(whole.ir_version, proto.ir_version)
        known = {entry.domain for entry in whole.opset_import}
        whole.opset_import.extend(entry for entry in proto.opset_import if entry.domain not in known)
        for node in proto.graph.node:
            names = {name for name in node.output if name}
            if not names & seen:
                whole.graph.node.append(node)
            seen |= names
        for tensor in proto.graph.initializer:
            if tensor.name not in seen:
                whole.graph.initializer.append(tensor)
            seen.add(tensor.name)
        for sparse in proto.graph.sparse_initializer:
            if sparse.values.name not in seen:
                whole.graph.sparse_initializer.append(sparse)
            seen.add(sparse.values.name)
        described = {value.name for value in whole.graph.value_info}
        whole.graph.value_info.extend(v for v in proto.graph.value_info if v.name not in described)
    return whole


def folder_of(parts: Sequence[str | PathLike[str]]) -> Path | None:
    """Where the external data of parts on disk lies."""
    return Path(parts[0]).parent if parts else None

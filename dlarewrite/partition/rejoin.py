"""The parts of a split as one thing again: what goes in and comes out, runs, and proofs against a whole model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from dlarewrite.ir.exporter import atomic
from dlarewrite.ir.types import tensor_type
from dlarewrite.partition.manifest import Manifest, TensorEntry
from dlarewrite.verify import Evidence, Numerics, noted_changes
from dlarewrite.verify.outputs import parts
from dlarewrite.verify.pipeline import Pipeline, PipelineProver, join
from dlarewrite.verify.shell import Source, open_model


@dataclass(frozen=True)
class Runs:
    """What a pipeline yields per sample, and the seconds of each part in each run."""

    outputs: tuple[dict[str, Any], ...]
    seconds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def whole(folder: Path, manifest: Manifest) -> onnx.ModelProto:
    """The parts joined to one model; its external data lie in ``folder``."""
    paths = _paths(folder, manifest)
    known = {}
    for path in paths:
        proto, _ = open_model(path)
        known.update({value.name: value for value in (*proto.graph.input, *proto.graph.output)})
    return join(paths, *([_value(t, known) for t in side] for side in (manifest.inputs, manifest.outputs)))


def _paths(folder: Path, manifest: Manifest) -> list[Path]:
    return [folder / part.file for part in manifest.parts]


def _value(tensor: TensorEntry, known: Mapping[str, onnx.ValueInfoProto]) -> onnx.ValueInfoProto:
    found = known.get(tensor.name)
    if found is not None:
        return found
    kind: Any = onnx.TensorProto.STRING if tensor.dtype == "str" else np.dtype(tensor.dtype)
    return onnx.helper.make_value_info(tensor.name, tensor_type(kind, tensor.shape))


def run(folder: Path, manifest: Manifest, feeds: Sequence[Mapping[str, Any]], *, threads: int = 1) -> Runs:
    """Run the parts one after another on each feed (arrays by input name), in onnxruntime as they are written."""
    took: dict[str, list[float]] = {part.name: [] for part in manifest.parts}
    line = Pipeline(
        _paths(folder, manifest),
        [t.name for t in manifest.inputs],
        [t.name for t in manifest.outputs],
        threads=threads,
        heard=lambda number, seconds: took[manifest.parts[number].name].append(seconds),
    )
    outputs = tuple(line.run(feed) for feed in feeds)
    return Runs(outputs, {name: tuple(seconds) for name, seconds in took.items()})


def prove(
    folder: Path,
    manifest: Manifest,
    against: Source,
    *,
    numerics: Numerics = Numerics.EXACT,
    seeds: Sequence[int] = (0, 1, 2),
    feeds: Any = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    base_dir: str | PathLike[str] | None = None,
    atol: float | Mapping[str, float] | None = None,
    rtol: float | Mapping[str, float] | None = None,
) -> Evidence:
    """Compare the parts, run one after another, with the model ``against``; see :class:`dlarewrite.verify.Prover`."""
    joined = whole(folder, manifest)
    prover = PipelineProver(
        against, _paths(folder, manifest), seeds=seeds, feeds=feeds, shapes=shapes, base_dir=base_dir
    )
    reference, _ = open_model(against)
    changed = noted_changes(joined)
    if noted_changes(reference) == changed:
        changed = {}
    return prover.prove(joined, numerics=numerics, atol=atol, rtol=rtol, io_changed=changed, base_dir=folder)


def static_shapes(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    """The inputs' shapes, which are static where a model was split."""
    found = {}
    for tensor in manifest.inputs:
        dims = tuple(d for d in tensor.shape or () if isinstance(d, int))
        if tensor.shape is not None and len(dims) == len(tensor.shape):
            found[tensor.name] = dims
    return found


def save_outputs(runs: Runs, path: Path) -> None:
    """Write outputs as a numpy archive: by name, or ``0/name``, ``1/name`` … for several samples.

    Parts of sequences are named ``name[0]``; a dtype that numpy lacks is written as float32 (4-bit integers as int8).
    """
    arrays: dict[str, Any] = {}
    for number, sample in enumerate(runs.outputs):
        prefix = f"{number}/" if len(runs.outputs) > 1 else ""
        for name, value in sample.items():
            arrays.update({f"{prefix}{part}": _plain(array) for part, array in parts(name, value)})
    with atomic(path) as file:
        np.savez(file, **arrays)


def _plain(array: Any) -> Any:
    if array.dtype.kind == "O":
        return array.astype(str)
    if array.dtype.kind == "V" or array.dtype.isbuiltin != 1:
        return array.astype(np.int8 if "int" in array.dtype.name else np.float32)
    return array

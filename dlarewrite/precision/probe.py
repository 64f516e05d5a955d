"""Runs a model in onnxruntime and hands out its activations, a bounded number of bytes at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_graphsurgeon as gs

from dlarewrite.analysis.cost import elements
from dlarewrite.ir.types import tensor_type
from dlarewrite.ir.view import dtype
from dlarewrite.verify.runner import Session

BUDGET = 256 << 20
"""Bytes of activations that one session gives at once."""


class Probe:
    """A model whose inner tensors can be seen. ``names`` are shown in the order of the graph.

    One session per 256 MiB of activations (float32, batch included), each cut off behind its last tensor, so that
    memory depends on the model alone and not on the number of samples.
    """

    def __init__(self, proto: onnx.ModelProto, tensors: Sequence[gs.Tensor], folder: Path | None, threads: int) -> None:
        made_at = {name: place for place, node in enumerate(proto.graph.node) for name in node.output}
        self.inputs = [t for t in tensors if t.name not in made_at]
        made = sorted((t for t in tensors if t.name in made_at), key=lambda t: made_at[t.name])
        self._sessions: list[tuple[Session, list[str]]] = []
        for group in _groups(made):
            cut = _showing(proto, group, made_at[group[-1].name])
            self._sessions.append((Session(cut, base_dir=folder, threads=threads), [t.name for t in group]))

    def run(self, feed: Mapping[str, Any]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        """Each tensor's name and value for one feed, inputs first; a value is dropped when the next group is run.

        float32 and float64 come as they are, smaller floats as float32. Raises RunFailure where onnxruntime stops.
        """
        for tensor in self.inputs:
            yield tensor.name, _plain(feed[tensor.name])
        for session, names in self._sessions:
            given = {name: value for name, value in feed.items() if name in session.input_names}
            values = session.run(given)
            for name in names:
                yield name, _plain(values.pop(name))


def _plain(values: Any) -> npt.NDArray[Any]:
    array = np.asarray(values)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def _groups(tensors: Sequence[gs.Tensor]) -> list[list[gs.Tensor]]:
    groups: list[list[gs.Tensor]] = []
    held = BUDGET
    for tensor in tensors:
        size = 4 * elements(tensor)
        if held + size > BUDGET:
            groups.append([])
            held = 0
        groups[-1].append(tensor)
        held += size
    return groups


def _showing(proto: onnx.ModelProto, tensors: Sequence[gs.Tensor], last: int) -> onnx.ModelProto:
    """The model up to node ``last``, with ``tensors`` as its outputs."""
    cut = onnx.ModelProto()
    cut.CopyFrom(proto)
    del cut.graph.node[last + 1 :]
    del cut.graph.output[:]
    for tensor in tensors:
        value = cut.graph.output.add(name=tensor.name)
        value.type.CopyFrom(tensor_type(dtype(tensor), tensor.shape))
    return cut

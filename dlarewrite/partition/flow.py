"""The run-time graph: which layer feeds which, with what TensorRT folds or drops left out.

A folded node has no layer, a no-op's output is its input's tensor: both are looked through here, once, so that
regions and crossings are those of the network that TensorRT builds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from dlarewrite.ir.model import Model
from dlarewrite.target import NodeVerdict, Verdict


@dataclass(frozen=True)
class Flow:
    """``nodes`` are the layers in topological order; ``makers[i]`` are the positions of those that feed layer i.

    ``sources[i]`` maps the position of a feeding layer to the tensors that come from it.
    """

    nodes: tuple[gs.Node, ...]
    makers: tuple[tuple[int, ...], ...]
    readers: tuple[tuple[int, ...], ...]
    sources: tuple[Mapping[int, tuple[gs.Tensor, ...]], ...]


def flow(model: Model, verdicts: Mapping[int, NodeVerdict]) -> Flow:
    """Build the run-time graph of a judged model; linear in its edges."""
    nodes: list[gs.Node] = []
    place: dict[int, int] = {}
    origin: dict[int, gs.Tensor] = {}
    makers: list[tuple[int, ...]] = []
    sources: list[Mapping[int, tuple[gs.Tensor, ...]]] = []
    for node in model.nodes:
        verdict = verdicts[id(node)].verdict
        if verdict is Verdict.FOLDED:
            continue
        if verdict is Verdict.NOOP:
            kept = node.inputs[0]
            for tensor in node.outputs:
                origin[id(tensor)] = origin.get(id(kept), kept)
            continue
        feeds: dict[int, dict[int, gs.Tensor]] = {}
        for tensor in model.reads(node):
            real = origin.get(id(tensor), tensor)
            if real.inputs and id(real.inputs[0]) in place:
                feeds.setdefault(place[id(real.inputs[0])], {})[id(real)] = real
        place[id(node)] = len(nodes)
        nodes.append(node)
        makers.append(tuple(sorted(feeds)))
        sources.append({maker: tuple(tensors.values()) for maker, tensors in feeds.items()})
    readers: list[list[int]] = [[] for _ in nodes]
    for position, found in enumerate(makers):
        for maker in found:
            readers[maker].append(position)
    return Flow(tuple(nodes), tuple(makers), tuple(map(tuple, readers)), tuple(sources))

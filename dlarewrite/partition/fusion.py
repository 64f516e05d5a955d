"""Layers that a compiler makes one operation of, so that no device border may come between them."""

from __future__ import annotations

from dlarewrite.partition.flow import Flow

_HEADS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_FOLLOWERS = frozenset({"BatchNormalization", "Relu", "Clip", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "Add"})


def fusion_groups(graph: Flow) -> list[tuple[int, ...]]:
    """Convolutions (or matrix products) with the scale, sum and activation that follow them, as layer positions.

    A chain goes on while the tensor has one reader; a sum ends up with the later of the two convolutions that feed it.
    """
    group: dict[int, list[int]] = {}
    for position, node in enumerate(graph.nodes):
        if node.op in _HEADS:
            group[position] = [position]
            continue
        feeding = [m for m in graph.makers[position] if len(graph.readers[m]) == 1 and m in group]
        if node.op in _FOLLOWERS and feeding:
            chain = group[feeding[-1]]
            chain.append(position)
            group[position] = chain
    return [tuple(chain) for head, chain in group.items() if chain[0] == head and len(chain) > 1]

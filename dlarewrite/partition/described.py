"""A region of a plan in words and figures: what enters and leaves it, what it costs on either device, where it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dlarewrite.analysis.cost import macs, nbytes
from dlarewrite.ir.view import label
from dlarewrite.partition.cost import Cost
from dlarewrite.partition.instance import Instance, weight_bytes
from dlarewrite.partition.plan import Region
from dlarewrite.partition.pricing import rounded
from dlarewrite.partition.summary import Placement, element_bytes

_NEIGHBOURS = 2


def describe_region(
    instance: Instance, placed: Placement, name: str, region: Sequence[int], core: int, gpu: Mapping[str, str]
) -> Region:
    """The region of a plan whose nodes on the GPU are ``gpu``, with their reasons."""
    graph, model, inside = placed.flow, instance.model, set(region)
    width = element_bytes(instance.target.precision)
    entering: dict[str, None] = {}
    leaving: dict[str, None] = {}
    inner = 0
    for position in region:
        node = graph.nodes[position]
        outer = {t.name for m, ts in graph.sources[position].items() if m not in inside for t in ts}
        roots = {t.name for t in node.inputs if t.name and model.is_input(t)}
        entering.update(dict.fromkeys(t.name for t in node.inputs if t.name in outer | roots))
        entering.update(dict.fromkeys(sorted(outer)))
        read_outside = {t.name for r in graph.readers[position] if r not in inside for t in graph.sources[r][position]}
        for tensor in node.outputs:
            if tensor.name in read_outside or (tensor.name and model.is_output(tensor)):
                leaving[tensor.name] = None
            else:
                inner += nbytes(tensor, width)
    members = [graph.nodes[i] for i in region]
    cost = sum((instance.dla[i] for i in region), instance.cost.loadable())
    other = sum((instance.gpu[i] for i in region), Cost())
    return Region(
        name=name,
        nodes=tuple(label(n) for n in members),
        inputs=tuple(entering),
        outputs=tuple(leaving),
        macs=sum(map(macs, members)),
        weight_bytes=sum(weight_bytes(n, width) for n in members),
        inner_bytes=inner,
        core=core,
        milliseconds=rounded(1e3 * cost.seconds),
        millijoules=rounded(1e3 * cost.joules),
        gpu_milliseconds=rounded(1e3 * other.seconds),
        gpu_millijoules=rounded(1e3 * other.joules),
        why=_borders(placed, inside, gpu),
    )


def _borders(placed: Placement, inside: set[int], gpu: Mapping[str, str]) -> str:
    """The nodes on the GPU right before and after a region, with the rules that hold them there."""
    graph = placed.flow
    said = ["the DLA takes every node"]
    for word, near in (("begins after", graph.makers), ("ends before", graph.readers)):
        found = dict.fromkeys(label(graph.nodes[n]) for i in sorted(inside) for n in near[i] if n not in inside)
        named = [f"{name} ({gpu[name].partition(': ')[0]})" for name in found if name in gpu]
        if named:
            rest = f" and {len(named) - _NEIGHBOURS} more" if len(named) > _NEIGHBOURS else ""
            said.append(f"{word} {', '.join(named[:_NEIGHBOURS])}{rest}")
    return "; ".join(said)

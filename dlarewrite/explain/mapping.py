"""Layers of a log -> nodes of the ONNX model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dlarewrite.explain.reading import Reading, Region
from dlarewrite.outcome import NodeEntry
from dlarewrite.target.layer_names import anonymous, ends, foreign, parts, stems

_HOWS = ("name", "tensor", "stem", "beside")


@dataclass(frozen=True)
class Mapped:
    """``nodes`` are positions in the model's order; ``how`` says by what they were found, or why they were not.

    ``own`` are those whose own layer it is, not one that TensorRT put beside them.
    """

    nodes: tuple[int, ...]
    how: str
    own: tuple[int, ...] = ()


class NodeIndex:
    """The nodes of a model, findable by what TensorRT calls them."""

    def __init__(self, nodes: Sequence[NodeEntry]) -> None:
        self.nodes = nodes
        self._names: dict[str, list[int]] = {}
        self._outputs: dict[str, int] = {}
        for position, node in enumerate(nodes):
            self._names.setdefault(node.name, []).append(position)
            for output in node.outputs:
                self._outputs[output] = position

    def knows(self, name: str) -> bool:
        """Whether a node or a tensor of the model has exactly this name."""
        return name in self._names or name in self._outputs

    def find(self, name: str) -> Mapped:
        """The nodes behind a layer's name, which may join several."""
        found: dict[int, None] = {}
        own: dict[int, None] = {}
        hows: list[str] = []
        inside = foreign(name)
        names = parts(name, self.knows) if inside is None else ends(inside, self.knows)
        for part in (p for joined in names for p in parts(joined, self.knows)):
            mapped = self._one(part)
            found.update(dict.fromkeys(mapped.nodes))
            own.update(dict.fromkeys(mapped.own))
            hows.append(mapped.how)
        if found:
            used = [how for how in hows if how in _HOWS]
            return Mapped(tuple(found), max(used, key=_HOWS.index), tuple(own))
        return Mapped((), hows[0] if hows else "has no name")

    def _one(self, name: str) -> Mapped:
        kind = anonymous(name)
        if kind:
            return Mapped((), f"made by TensorRT's parser without a name ({kind})")
        for stem, how in stems(name):
            if stem in self._names:
                positions = self._names[stem]
                if len(positions) > 1:
                    return Mapped((), f"{len(positions)} nodes are called {stem}")
                return _mapped(positions[0], how)
            if stem in self._outputs:
                return _mapped(self._outputs[stem], "tensor" if how == "name" else how)
        return Mapped((), "no node or tensor of the model has this name")

    def span(self, region: Region) -> tuple[int, int] | None:
        """The positions of a region's first and last node; None where an end is not found."""
        if region.layers:
            inner = [p for layer in region.layers for p in self.find(layer).nodes]
            return (min(inner), max(inner)) if inner else None
        first, last = (self.find(end).nodes for end in ends(region.name, self.knows))
        if not first or not last or min(first) > max(last):
            return None
        return min(first), max(last)


def _mapped(position: int, how: str) -> Mapped:
    return Mapped((position,), how, () if how == "beside" else (position,))


@dataclass(frozen=True)
class Placing:
    """Where the log puts nodes: ``device`` and ``region`` by position, ``by_name`` for those that it names itself.

    ``regions`` are positions per region, None where its ends are not in the model; ``layers`` say how each was found.
    """

    device: dict[int, str]
    region: dict[int, int]
    by_name: frozenset[int]
    regions: tuple[tuple[int, ...] | None, ...]
    layers: dict[str, Mapped]


def place(reading: Reading, index: NodeIndex) -> Placing:
    """Give every node of the model the device that the log says; linear in layers and nodes.

    Nodes between the ends of a region (in the model's order) are taken to be in it, unless the log names them on the
    GPU or a shorter region holds them; a ``ForeignNode`` in the list of GPU layers is a region of the GPU's compiler.
    """
    layers = {layer.name: index.find(layer.name) for layer in reading.layers}
    device: dict[int, str] = {}
    for layer in reading.layers:
        if layer.device:
            device.update(dict.fromkeys(layers[layer.name].own, layer.device))
    by_name = set(device)
    home: dict[int, int] = {}
    spans = [index.span(region) for region in reading.regions]
    gpu = [foreign(layer.name) for layer in reading.layers if layer.listed]
    gpu_spans = [index.span(Region(inside, 0, compiled=False)) for inside in gpu if inside is not None]
    for number, region in enumerate(reading.regions):
        for name in region.layers or ends(region.name, index.knows):
            for position in index.find(name).nodes:
                if device.get(position) != "gpu":
                    home.setdefault(position, number)
                    device[position] = "dla"
                    by_name.add(position)
    for position, number in _fill([*spans, *gpu_spans], device, index).items():
        if number < len(spans):
            home[position], device[position] = number, "dla"
        else:
            device[position] = "gpu"
    members: list[list[int]] = [[] for _ in reading.regions]
    for position in sorted(home):
        members[home[position]].append(position)
    return Placing(
        device,
        home,
        frozenset(by_name),
        tuple(tuple(m) if span is not None or m else None for m, span in zip(members, spans, strict=True)),
        layers,
    )


def _fill(spans: Sequence[tuple[int, int] | None], device: dict[int, str], index: NodeIndex) -> dict[int, int]:
    """Nodes inside the spans that nobody has claimed; every node is looked at once however the spans overlap."""
    free = list(range(len(index.nodes) + 1))

    def next_free(position: int) -> int:
        root = position
        while free[root] != root:
            root = free[root]
        while free[position] != root:
            free[position], position = root, free[position]
        return root

    filled: dict[int, int] = {}
    order = sorted((span[1] - span[0], number) for number, span in enumerate(spans) if span is not None)
    for _, number in order:
        span = spans[number]
        if span is None:
            continue
        position = next_free(span[0])
        while position <= span[1]:
            free[position] = position + 1
            if position not in device and index.nodes[position].verdict not in ("folded", "noop"):
                filled[position] = number
            position = next_free(position + 1)
    return filled

"""What a log names: layers, regions and tensors, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from dlarewrite.explain.reading import Layer, Region, Said
from dlarewrite.target.layer_names import foreign, is_reformat, old_regions

MOST = 200_000
"""Layers, regions and tensors of each kind that are kept; more are counted only."""
LONGEST_NAME = 4096


@dataclass
class LayerSoFar:
    """What has been said of one layer up to now."""

    line: int
    device: str = ""
    type: str = ""
    left: bool = False
    capped: bool = False
    listed: bool = False
    count: int = 0
    said: dict[tuple[str, tuple[str, ...]], Said] = field(default_factory=dict)


@dataclass
class _RegionSoFar:
    line: int
    compiled: bool = False
    layers: tuple[str, ...] = ()


class Named:
    """What has been named up to now.

    ``lost`` counts what was too much to keep, ``reformats`` the engine's own layers; ``placed`` is whether the log says
    where anything runs.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, None] = {}
        self.lost = self.reformats = 0
        self.placed = False
        self._layers: dict[str, LayerSoFar] = {}
        self._regions: dict[str, _RegionSoFar] = {}

    def layer(self, name: str, number: int) -> LayerSoFar | None:
        """What is said of a layer, which is named once more; None where there are too many."""
        layer = self._layers.get(name)
        if layer is None:
            if len(self._layers) >= MOST:
                self.lost += 1
                return None
            layer = self._layers[name] = LayerSoFar(number)
        layer.count += 1
        return layer

    def region(self, text: str, number: int, *, compiled: bool) -> None:
        """Note what a line names; ``compiled``: it says that a loadable was made, which does not place anything."""
        self.placed = self.placed or not compiled
        inside = foreign(text)
        if inside is None:
            for name in old_regions(text) or (text,):
                layers = tuple(part.strip() for part in name.split(",") if part.strip())
                self._keep_region(name, number, compiled, layers if len(layers) > 1 else ())
            return
        self._keep_region(inside, number, compiled, ())

    def _keep_region(self, name: str, number: int, compiled: bool, layers: tuple[str, ...]) -> None:
        name = name[:LONGEST_NAME]
        if name not in self._regions and len(self._regions) >= MOST:
            self.lost += 1
            return
        region = self._regions.setdefault(name, _RegionSoFar(number))
        region.compiled, region.layers = region.compiled or compiled, region.layers or layers

    def on_gpu(self, name: str, kind: str, number: int) -> None:
        """Note a layer that runs on the GPU."""
        self.placed = True
        if is_reformat(name):
            self.reformats += 1
            return
        layer = self.layer(name, number)
        if layer is not None:
            layer.device, layer.type, layer.listed = "gpu", layer.type or kind, True

    def tensor(self, name: str) -> None:
        """Note a tensor without a scale."""
        name = name[:LONGEST_NAME]
        if name in self.tensors or len(self.tensors) < MOST:
            self.tensors[name] = None
        else:
            self.lost += 1

    def layers(self) -> tuple[Layer, ...]:
        """All layers, in order of appearance."""
        return tuple(
            Layer(
                name=name,
                device="gpu" if found.left else found.device,
                type=found.type,
                left=found.left,
                capped=found.capped,
                listed=found.listed,
                said=tuple(found.said.values()),
                count=found.count,
                line=found.line,
            )
            for name, found in self._layers.items()
        )

    def regions(self) -> tuple[Region, ...]:
        """All regions, in order of appearance."""
        return tuple(Region(name, f.line, f.compiled, f.layers) for name, f in self._regions.items())

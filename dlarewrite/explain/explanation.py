"""A log with everything that was made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dlarewrite.explain.comparison import Comparison
from dlarewrite.explain.reading import Layer, Reading
from dlarewrite.explain.refusal import Refusal, refusals
from dlarewrite.target import Profile
from dlarewrite.target.layer_names import anonymous, parts


@dataclass(frozen=True)
class Explanation:
    """``profile``: what rules and cures are taken for; ``assumed``: how it was chosen, "" where nothing was open."""

    source: str
    reading: Reading
    profile: Profile
    assumed: str
    refusals: tuple[Refusal, ...]
    comparison: Comparison | None = None

    @property
    def silent(self) -> tuple[Layer, ...]:
        """Layers that the log lists on the GPU without saying why, neither of them nor of a layer fused into them."""
        told = {layer.name for layer in self.reading.refused}
        listed = (layer for layer in self.reading.layers if layer.listed and layer.name not in told)
        return tuple(layer for layer in listed if told.isdisjoint(parts(layer.name, told.__contains__)))

    def unmapped(self) -> list[tuple[str, str]]:
        """Layers and regions that belong to no node of the model, each with why; without a model, those that cannot."""
        if self.comparison is None:
            return [
                (layer.name, f"made by TensorRT's parser without a name ({anonymous(layer.name)})")
                for layer in self.reading.layers
                if anonymous(layer.name)
            ]
        placing = self.comparison.placing
        missing = [(name, mapped.how) for name, mapped in placing.layers.items() if not mapped.nodes]
        for region, members in zip(self.reading.regions, placing.regions, strict=True):
            if members is None:
                missing.append((region.name, "an end of the region is not in the model"))
        return missing

    def figures(self) -> dict[str, Any]:
        """Counts: ``gpu_layers`` are None where the log lists no placed layers."""
        reading = self.reading
        return {
            "lines": reading.lines,
            "dla_lines": reading.dla_lines,
            "loadables": len(reading.regions),
            "loadables_compiled": sum(region.compiled for region in reading.regions),
            "candidates": list(reading.candidates) if reading.candidates is not None else None,
            "left_dla": sum(layer.left for layer in reading.layers),
            "capped": sum(layer.capped for layer in reading.layers),
            "gpu_layers": sum(layer.listed for layer in reading.layers) if reading.placed else None,
            "gpu_without_reason": len(self.silent),
            "reformats": reading.reformats,
            "missing_scales": reading.scales.count,
            "unmapped": len(self.unmapped()),
            "unrecognised_lines": reading.strange_lines,
            "not_kept": reading.lost,
            "cut_lines": reading.cut,
        }


def explain(
    source: str, reading: Reading, profile: Profile, assumed: str = "", comparison: Comparison | None = None
) -> Explanation:
    """Put a reading, the profile it is judged for and its comparison with a model together."""
    return Explanation(source, reading, profile, assumed, refusals(reading, profile, comparison), comparison)

"""Planned against real: what TensorRT says about each layer before the build, and where it put them afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dlarewrite.build.facts import NodeFacts
from dlarewrite.build.request import BuildRequest

_ONNX_NAME = re.compile(r"\[ONNX Layer: ([^\]\x1e\x1f]*)\]")
_FOREIGN = re.compile(r"ForeignNode\[(.*?)(?:\.\.\.(.*?))?\]")


@dataclass(frozen=True)
class Disagreement:
    """A layer that the rule book and ``can_run_on_DLA`` judge differently; ``planned`` is the plan's device."""

    layer: str
    kind: str
    node: str
    op: str
    inputs: tuple[tuple[int, ...] | None, ...]
    outputs: tuple[tuple[int, ...] | None, ...]
    planned: str
    verdict: str
    rules: tuple[str, ...]
    tensorrt: str

    def __str__(self) -> str:
        why = f" by {', '.join(self.rules)}" if self.rules else ""
        return (
            f"layer {self.layer!r} of {self.op} {self.node!r}: the rules say {self.verdict}{why}, "
            f"TensorRT says {self.tensorrt} (planned on the {self.planned})"
        )


def disagreement(
    layer: str, kind: str, node: str, facts: NodeFacts, planned_dla: bool, able: bool
) -> Disagreement | None:
    """What there is to report on one layer; None where rule book and TensorRT agree."""
    ours = facts.verdict == "dla"
    if ours == able or facts.verdict in ("folded", "noop"):
        return None
    return Disagreement(
        layer=layer,
        kind=kind,
        node=node,
        op=facts.op,
        inputs=facts.inputs,
        outputs=facts.outputs,
        planned="dla" if planned_dla else "gpu",
        verdict=facts.verdict,
        rules=facts.rules,
        tensorrt="dla" if able else "gpu",
    )


def export_disagreements(request: BuildRequest, release: str, found: Collection[Disagreement]) -> str:
    """JSON text: the target, the TensorRT that was asked, and each disagreement with rule ids and dims."""
    data = {
        "schema_version": 1,
        "target": request.profile.name,
        "precision": request.options.precision,
        "tensorrt": release,
        "disagreements": [asdict(d) for d in found],
    }
    return json.dumps(data, indent=2) + "\n"


def node_of(name: str, metadata: str, nodes: Collection[str]) -> str:
    """The ONNX node that a layer was made for, or "" for a layer of TensorRT's own.

    The metadata tells (8.6 and later); before, the parser names layers after nodes, and numbers or marks further ones.
    """
    for found in _ONNX_NAME.findall(metadata):
        if found in nodes:
            return str(found)
    for candidate in (name, name.split(" [", 1)[0], name.split(" + ", 1)[0], re.sub(r"_\d+$", "", name)):
        if candidate in nodes:
            return candidate
    return ""


@dataclass(frozen=True)
class EngineLayer:
    """One layer of a finished engine: on "dla" or "gpu", with the nodes it holds (of a loadable the first and last)."""

    name: str
    device: str
    nodes: tuple[str, ...]
    reformat: bool = False


@dataclass(frozen=True)
class Placement:
    """Where an engine's layers run: loadables, GPU layers, reformats, and planned nodes found elsewhere.

    ``homes`` maps each planned region to the loadables that begin or end with one of its nodes.
    """

    layers: tuple[EngineLayer, ...]
    homes: Mapping[str, tuple[str, ...]]
    strayed: tuple[str, ...]

    @property
    def loadables(self) -> tuple[EngineLayer, ...]:
        return tuple(layer for layer in self.layers if layer.device == "dla")

    @property
    def reformats(self) -> tuple[EngineLayer, ...]:
        return tuple(layer for layer in self.layers if layer.reformat)

    @property
    def gpu(self) -> tuple[EngineLayer, ...]:
        return tuple(layer for layer in self.layers if layer.device == "gpu" and not layer.reformat)


def read_placement(information: str, request: BuildRequest) -> Placement:
    """Read the engine inspector's JSON; names alone (a low profiling verbosity) are enough."""
    known = set(request.facts.nodes) or {*request.plan.dla_nodes, *request.plan.gpu}
    data = json.loads(information)
    layers = tuple(_layer(entry, known) for entry in data.get("Layers", ()))
    homes: dict[str, tuple[str, ...]] = {}
    for region in request.plan.regions:
        members = set(region.nodes)
        homes[region.name] = tuple(x.name for x in layers if x.device == "dla" and members & set(x.nodes))
    planned = set(request.dla)
    on_gpu = {n for x in layers if x.device == "gpu" and not x.reformat for n in x.nodes}
    return Placement(layers, homes, tuple(sorted(planned & on_gpu)))


def _layer(entry: Any, known: Collection[str]) -> EngineLayer:
    name = str(entry["Name"] if isinstance(entry, dict) else entry)
    kind = str(entry.get("LayerType", "")) if isinstance(entry, dict) else ""
    metadata = str(entry.get("Metadata", "")) if isinstance(entry, dict) else ""
    foreign = _FOREIGN.search(name)
    if foreign is not None or kind == "DLA":
        ends = [part for part in (foreign.groups() if foreign is not None else ()) if part]
        nodes = [node_of(part, "", known) for part in ends] + _named(metadata, known)
        return EngineLayer(name, "dla", tuple(dict.fromkeys(n for n in nodes if n)))
    reformat = kind == "Reformat" or name.startswith(("Reformatting CopyNode", "reformat"))
    nodes = _named(metadata, known) or [node_of(part, "", known) for part in name.split(" + ")]
    return EngineLayer(name, "gpu", tuple(dict.fromkeys(n for n in nodes if n)), reformat)


def _named(metadata: str, known: Collection[str]) -> list[str]:
    return [n for n in _ONNX_NAME.findall(metadata) if n in known]

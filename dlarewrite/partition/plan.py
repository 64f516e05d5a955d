"""The plan: which nodes go to the DLA, in which regions, and what crosses; a YAML file that people can edit.

The plan takes every convex region that the verdicts allow, drops islands that are too small to be worth a loadable,
and keeps at most as many as the target can load (16 on all present releases but TensorRT 8.4's 4), largest first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dlarewrite.analysis.cost import macs, weight_bytes
from dlarewrite.errors import UsageError
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import label
from dlarewrite.partition.summary import Placement, place
from dlarewrite.target import Judgement, Target

VERSION = 1

ISLAND_SHARE = 0.02
"""Share of the DLA's MACs below which a region beside a larger one is an island: about what a loadable of a mid-size
network has to hold to pay for 0.1 ms of transition (trtutils' default model)."""


@dataclass(frozen=True)
class Region:
    """One loadable: its nodes in order, the tensors that enter and leave it, MACs and bytes of weights."""

    name: str
    nodes: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    macs: int
    weight_bytes: int


@dataclass(frozen=True)
class Plan:
    """Where every node goes. ``gpu`` maps each node off the DLA to the reason."""

    target: str
    precision: str
    regions: tuple[Region, ...]
    gpu: Mapping[str, str]
    crossings: Mapping[str, int]
    version: int = VERSION
    dropped: tuple[str, ...] = field(default=())

    @property
    def dla_nodes(self) -> tuple[str, ...]:
        """Names of all nodes in regions, in order of the regions."""
        return tuple(n for r in self.regions for n in r.nodes)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for YAML and JSON."""
        found = asdict(self)
        found["regions"] = [{k: list(v) if isinstance(v, tuple) else v for k, v in r.items()} for r in found["regions"]]
        found["dropped"] = list(self.dropped)
        found["gpu"], found["crossings"] = dict(self.gpu), dict(self.crossings)
        return found

    def dump(self) -> str:
        """YAML text that :func:`load_plan` reads back."""
        return yaml.safe_dump({"version": self.version, **self.to_dict()}, sort_keys=False, width=120)


def worthwhile_macs(work: Collection[int]) -> float:
    """MACs below which one of the regions with ``work`` MACs is an island; never more than the largest has."""
    return min(ISLAND_SHARE * sum(work), max(work, default=0))


def make_plan(
    model: Model,
    judgement: Judgement,
    target: Target,
    *,
    min_macs: int | None = None,
    max_loadables: int | None = None,
) -> Plan:
    """Plan a judged model.

    Regions with fewer than ``min_macs`` MACs stay on the GPU; by default those with less than ``ISLAND_SHARE`` of the
    DLA's MACs beside a larger one. ``max_loadables`` defaults to the target's cap; over it, the regions with the most
    MACs are kept.
    """
    placed = place(model, judgement, target)
    layers = placed.flow.nodes
    work = {region: sum(macs(layers[i]) for i in region) for region in placed.regions}
    cap = target.profile.max_loadables if max_loadables is None else max_loadables
    least = worthwhile_macs(work.values()) if min_macs is None else min_macs
    large = [r for r in placed.regions if work[r] >= least]
    kept = set(sorted(large, key=lambda r: (-work[r], -len(r), r))[:cap])
    small = [r for r in placed.regions if r not in kept]
    dropped = {i: "island too small to be worth a loadable" if r not in large else f"over the cap of {cap} loadables"
               for r in small for i in r}  # fmt: skip
    final = place(model, judgement, target, [i not in dropped for i in range(len(layers))]) if dropped else placed
    regions = tuple(_region(model, final, number, region) for number, region in enumerate(final.regions))
    on_dla = {i for region in final.regions for i in region}
    gpu = {label(n): dropped.get(i) or _reason(judgement, n) for i, n in enumerate(layers) if i not in on_dla}
    return Plan(
        target=target.profile.name,
        precision=target.precision.value,
        regions=regions,
        gpu=gpu,
        crossings={c.tensor.name: c.bytes for c in final.crossings},
        dropped=tuple(label(layers[i]) for i in sorted(dropped)),
    )


def _reason(judgement: Judgement, node: Any) -> str:
    verdict = judgement.verdicts[id(node)]
    finding = next((f for f in verdict.findings if f.effect != "note"), None)
    return f"{finding.rule}: {finding.message}" if finding is not None else verdict.verdict.value


def _region(model: Model, placed: Placement, number: int, region: tuple[int, ...]) -> Region:
    graph, inside = placed.flow, set(region)
    entering: dict[str, None] = {}
    leaving: dict[str, None] = {}
    for position in region:
        node = graph.nodes[position]
        outer = {t.name for m, ts in graph.sources[position].items() if m not in inside for t in ts}
        roots = {t.name for t in node.inputs if t.name and model.is_input(t)}
        entering.update(dict.fromkeys(t.name for t in node.inputs if t.name in outer | roots))
        entering.update(dict.fromkeys(sorted(outer)))
        read_outside = {t.name for r in graph.readers[position] if r not in inside for t in graph.sources[r][position]}
        leaving.update(
            dict.fromkeys(t.name for t in node.outputs if t.name in read_outside or (t.name and model.is_output(t)))
        )
    members = [graph.nodes[i] for i in region]
    return Region(
        name=f"dla_{number}",
        nodes=tuple(label(n) for n in members),
        inputs=tuple(entering),
        outputs=tuple(leaving),
        macs=sum(map(macs, members)),
        weight_bytes=sum(map(weight_bytes, members)),
    )


def load_plan(path: Path) -> Plan:
    """Read a plan file; raises :class:`UsageError` that names what is wrong with it."""
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read plan {str(path)!r}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"plan {str(path)!r} is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(data, dict) or data.get("version") != VERSION:
        raise UsageError(
            f"plan {str(path)!r} is not a plan of version {VERSION}", hint="write one with `dlarewrite plan`"
        )
    try:
        regions = tuple(
            Region(
                name=str(r["name"]),
                nodes=tuple(map(str, r["nodes"])),
                inputs=tuple(map(str, r.get("inputs", ()))),
                outputs=tuple(map(str, r.get("outputs", ()))),
                macs=int(r.get("macs", 0)),
                weight_bytes=int(r.get("weight_bytes", 0)),
            )
            for r in data["regions"]
        )
        return Plan(
            target=str(data["target"]),
            precision=str(data["precision"]),
            regions=regions,
            gpu={str(k): str(v) for k, v in (data.get("gpu") or {}).items()},
            crossings={str(k): int(v) for k, v in (data.get("crossings") or {}).items()},
            dropped=tuple(map(str, data.get("dropped") or ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"plan {str(path)!r} lacks or misspells {error}") from error

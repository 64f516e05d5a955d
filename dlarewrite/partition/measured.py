"""Measured layer times: what trtexec's ``--exportProfile`` wrote, divided over the ONNX nodes that its layers cover."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_graphsurgeon as gs

from dlarewrite.errors import UsageError
from dlarewrite.ir.view import label
from dlarewrite.target.layer_names import anonymous, ends, foreign, is_reformat, parts, stems

if TYPE_CHECKING:
    from dlarewrite.partition.cost import CostModel, Device

_ONNX_LAYER = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
_HINT = "trtexec writes it with --exportProfile=layers.json --dumpProfile"


@dataclass(frozen=True)
class Timing:
    """One layer of a profile: TensorRT's name, mean seconds, its kind, and the ONNX layers it was made of, if told."""

    name: str
    seconds: float
    kind: str = ""
    made_of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """Seconds by device and node; ``unmatched`` are the layers that name no node, reformats among them."""

    seconds: Mapping[tuple[Device, str], float]
    unmatched: Mapping[str, float]


def read_profile(path: Path, layers: Path | None = None) -> tuple[Timing, ...]:
    """The layers of an ``--exportProfile`` file, with what the ``--exportLayerInfo`` file ``layers`` knows of them.

    Raises :class:`UsageError` for a file that cannot be read or is something else.
    """
    data = _json(path)
    if isinstance(data, dict) and "Layers" in data:
        raise UsageError(f"profile {str(path)!r} lists layers without times", hint=_HINT)
    if not isinstance(data, list):
        raise UsageError(f"profile {str(path)!r} is no list of layers", hint=_HINT)
    known = _layer_info(layers) if layers is not None else {}
    rows = [row for row in data if isinstance(row, dict) and "name" in row]
    if not rows:
        raise UsageError(f"profile {str(path)!r} has no layers", hint=_HINT)
    found = []
    for row in rows:
        spent = row.get("averageMs")
        if not isinstance(spent, int | float) or isinstance(spent, bool) or not 0 <= spent < float("inf"):
            raise UsageError(f"profile {str(path)!r}: layer {row['name']!r} has no averageMs", hint=_HINT)
        kind, made_of = known.get(str(row["name"]), ("", ()))
        found.append(Timing(str(row["name"]), spent / 1e3, kind, made_of))
    return tuple(found)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read profile {str(path)!r}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"profile {str(path)!r} is not JSON: {str(error).splitlines()[0]}", hint=_HINT) from error


def _layer_info(path: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Name -> LayerType and the ONNX layers of its metadata; a list of bare names tells nothing more."""
    data = _json(path)
    if not isinstance(data, dict) or not isinstance(data.get("Layers"), list):
        hint = "trtexec writes it with --exportLayerInfo=info.json --profilingVerbosity=detailed"
        raise UsageError(f"layer info {str(path)!r} has no list of Layers", hint=hint)
    rows = [row for row in data["Layers"] if isinstance(row, dict) and "Name" in row]
    return {
        str(row["Name"]): (str(row.get("LayerType", "")), tuple(_ONNX_LAYER.findall(str(row.get("Metadata", "")))))
        for row in rows
    }


def spread(model: CostModel, timings: Sequence[Timing], nodes: Sequence[gs.Node]) -> Measured:
    """Divide each layer's time over its nodes in the model's proportions; several layers of one node add up.

    A region's name tells its first and last node: those between them in order belong to it, unless another layer or a
    shorter region has them. Its time holds one launch, which the model charges for itself.
    """
    index = _Index(nodes)
    seconds: dict[tuple[Device, str], float] = defaultdict(float)
    unmatched: dict[str, float] = defaultdict(float)
    taken: set[int] = set()
    spans: list[tuple[Timing, int, int]] = []
    for timing in timings:
        covered = index.layer(timing)
        span = index.region(timing.name) if not covered else None
        if covered:
            taken.update(covered)
            _divide(seconds, model, timing, [nodes[i] for i in covered])
        elif span is not None:
            spans.append((timing, *span))
        elif timing.seconds:
            unmatched[timing.name] += timing.seconds
    for timing, first, last in sorted(spans, key=lambda span: span[2] - span[1]):
        inside = [i for i in range(first, last + 1) if i not in taken]
        taken.update(inside)
        if inside:
            _divide(seconds, model, timing, [nodes[i] for i in inside])
        else:
            unmatched[timing.name] += timing.seconds
    return Measured(dict(seconds), dict(unmatched))


def _device(timing: Timing) -> Device:
    """The layer info's word for it; without one a ForeignNode is the DLA's, as in every build with a DLA."""
    from dlarewrite.partition.cost import Device

    if timing.kind:
        return Device.DLA if "dla" in timing.kind.lower() else Device.GPU
    return Device.GPU if foreign(timing.name) is None else Device.DLA


def _divide(
    seconds: dict[tuple[Device, str], float], model: CostModel, timing: Timing, covered: Sequence[gs.Node]
) -> None:
    from dlarewrite.partition.cost import Device
    from dlarewrite.partition.work import of_node

    device = _device(timing)
    spent = timing.seconds
    if device is Device.DLA:
        # The partition charges for the launch; at least half is left to the layers where the model overrates it.
        spent -= min(model.loadable().seconds, spent / 2)
    shares = [model.seconds(of_node(node, dla=device is Device.DLA), device) for node in covered]
    whole = sum(shares)
    for node, share in zip(covered, shares, strict=True):
        seconds[device, label(node)] += spent * (share / whole if whole else 1 / len(covered))


class _Index:
    """Nodes by the names that TensorRT may call them: their own, and their results'."""

    def __init__(self, nodes: Sequence[gs.Node]) -> None:
        self._found: dict[str, int] = {}
        for position, node in enumerate(nodes):
            for tensor in node.outputs:
                self._found.setdefault(str(tensor.name), position)
        for position, node in enumerate(nodes):
            self._found[label(node)] = position
        self._found.pop("", None)

    def layer(self, timing: Timing) -> tuple[int, ...]:
        """Positions of the nodes that an ordinary layer covers; none for regions and reformats."""
        if is_reformat(timing.name) or foreign(timing.name) is not None:
            return ()
        named = [self._found[name] for name in timing.made_of if name in self._found]
        return tuple(dict.fromkeys(named or self._named(timing.name)))

    def region(self, name: str) -> tuple[int, int] | None:
        """Positions of a region's first and last node; None where one of them is not in the model.

        A reformat before a region is called after it, and is none.
        """
        inside = foreign(name)
        if inside is None or is_reformat(name):
            return None
        first, last = (list(self._named(end)) for end in ends(inside, self._knows))
        return (min(first), max(last)) if first and last and min(first) <= max(last) else None

    def _knows(self, name: str) -> bool:
        return name in self._found

    def _named(self, name: str) -> Iterator[int]:
        for part in parts(name, self._knows):
            if not anonymous(part):
                yield from (self._found[stem] for stem in _first_known(part, self._found))


def _first_known(name: str, known: Mapping[str, int]) -> Iterator[str]:
    for stem, how in stems(name):
        if stem in known:
            if how != "beside":
                yield stem
            return

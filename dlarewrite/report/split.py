"""A split, and a run of its parts, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dlarewrite.report.figures import percent
from dlarewrite.report.tables import section, table

if TYPE_CHECKING:
    from dlarewrite.partition.manifest import Manifest, PartEntry, TensorEntry
    from dlarewrite.partition.rejoin import Runs
    from dlarewrite.verify import Evidence

_SHOWN = 6
_LISTED = 3


def render(manifest: Manifest, evidence: Evidence, width: int) -> str:
    """What each part holds, what crosses between them, and what DLA work was left out."""
    total = sum(part.macs for part in manifest.parts)
    on_dla = sum(part.macs for part in manifest.parts if part.device == "dla")
    loadables = sum(part.loadables for part in manifest.parts)
    share = f"{percent(on_dla / total)} of the MACs" if total else "no MACs"
    rows = [(part.name, part.device.upper(), str(part.nodes), f"{part.macs:,}") for part in manifest.parts]
    blocks = [
        f"{_count(len(manifest.parts), 'part')}, {share} on the DLA in {_count(loadables, 'loadable')}",
        table(("part", "device", "nodes", "MACs"), rows, width, right=("nodes", "MACs")),
        "\n".join(line for part in manifest.parts for line in _borders(part)),
    ]
    if manifest.empty:
        blocks.append(f"Nothing to do for {' and '.join(manifest.empty)}: not written")
    blocks.append(section("Parts against the model:", f"  {evidence}"))
    if manifest.left_out:
        blocks.append(_left_out(manifest.left_out))
    if manifest.notes:
        blocks.append(section("The plan does not fit everywhere:", "\n".join(f"  {n}" for n in manifest.notes)))
    return "\n\n".join(blocks)


def _borders(part: PartEntry) -> Iterator[str]:
    yield part.name
    for verb, tensors in (("reads ", part.inputs), ("yields", part.outputs)):
        for number, tensor in enumerate(tensors[:_SHOWN]):
            ends = f"from {tensor.source}" if verb == "reads " else f"to {', '.join(tensor.readers)}"
            yield f"  {verb if not number else '      '} {_described(tensor)} {ends}"
        if len(tensors) > _SHOWN:
            yield f"         … and {len(tensors) - _SHOWN} more"


def _left_out(groups: Sequence[Mapping[str, Any]]) -> str:
    """Groups with work each on a line; those without in a sum."""
    working = [group for group in groups if group["macs"]]
    work = sum(group["macs"] for group in working)
    idle = sum(len(group["nodes"]) for group in groups if not group["macs"])
    lines = []
    if working:
        count = sum(len(group["nodes"]) for group in working)
        lines.append(f"The DLA would take {_count(count, 'more layer')} ({work:,} MACs), which stay off it:")
    for group in working[:_SHOWN]:
        names = ", ".join(group["nodes"][:_LISTED]) + (" …" if len(group["nodes"]) > _LISTED else "")
        size = f"{_count(len(group['nodes']), 'layer')}, {group['macs']:,} MACs"
        lines.append(f"  {group['part']}: {size} ({names}): {group['why']}")
    if len(working) > _SHOWN:
        lines.append(f"  … and {_count(len(working) - _SHOWN, 'smaller group')}; manifest.json names them all")
    if idle:
        lines.append(f"{_count(idle, 'layer')} without MACs that the DLA would take: off it too; see manifest.json")
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def _described(tensor: TensorEntry) -> str:
    dims = "?" if tensor.shape is None else ",".join("?" if d is None else str(d) for d in tensor.shape)
    return f"{tensor.name} {tensor.dtype}[{dims}]"


def run_text(manifest: Manifest, runs: Runs | None, evidence: Evidence | None, width: int) -> str:
    """What a run of the parts yielded, and how it compares."""
    blocks: list[str] = []
    if runs is not None:
        rows = [
            (part.name, part.device.upper(), f"{1e3 * sum(runs.seconds[part.name]) / len(runs.outputs):.1f}")
            for part in manifest.parts
        ]
        blocks.append(table(("part", "planned for", "ms in onnxruntime"), rows, width, right=("ms in onnxruntime",)))
        named = [(i, *item) for i, sample in enumerate(runs.outputs) for item in sample.items()]
        blocks.append("\n".join(_output(i, name, value, len(runs.outputs)) for i, name, value in named))
    if evidence is not None:
        blocks.append(section("Parts against the model:", f"  {evidence}"))
    return "\n\n".join(blocks)


def _output(number: int, name: str, value: Any, samples: int) -> str:
    prefix = f"sample {number}, " if samples > 1 else ""
    shape = getattr(value, "shape", None)
    if shape is None:
        return f"{prefix}{name}: {type(value).__name__} of {len(value) if value is not None else 0}"
    what = f"{prefix}{name}: {value.dtype}[{','.join(map(str, shape))}]"
    if value.dtype.kind in "OUSV" or not value.size:
        return what
    return f"{what} from {float(value.min()):.6g} to {float(value.max()):.6g}"

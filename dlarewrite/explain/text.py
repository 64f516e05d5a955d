"""An explained log as people read it."""

from __future__ import annotations

from collections.abc import Sequence

from dlarewrite.explain.comparison import AGREE, CAPPED, LENIENT, SETTLED, STRICT, Comparison, Row
from dlarewrite.explain.explanation import Explanation
from dlarewrite.explain.reading import Event
from dlarewrite.explain.refusal import Refusal
from dlarewrite.explain.sources import address
from dlarewrite.target import rulebook

_FEW = 6
_VERBOSE = (
    "trtexec prints where layers run with: "
    "trtexec --onnx=model.onnx --useDLACore=0 --allowGPUFallback --fp16 --verbose > build.log 2>&1"
)


def render(found: Explanation) -> str:
    """The whole explanation, most pressing first."""
    reading = found.reading
    if not reading.about_dla:
        return f"{found.source}: {reading.lines:,} lines, and none says anything about the DLA.\n{_VERBOSE}"
    parts = [_head(found)]
    parts += [_event("failure", event) for event in reading.failures]
    parts += [_refusal(refusal, found.comparison is not None) for refusal in found.refusals]
    parts += [_event("note", event) for event in reading.context if event.said.pattern.id != "candidates"]
    parts += [text for text in (_scales(found), _silent(found), _loadables(found)) if text]
    if found.comparison is not None:
        parts.append(_comparison(found.comparison))
    parts += [text for text in (_unmapped(found), _strange(found)) if text]
    if not reading.placed:
        parts.append(f"The log does not list where layers run in the end.\n{_VERBOSE}")
    return "\n\n".join(parts)


def _head(found: Explanation) -> str:
    reading = found.reading
    version = ".".join(map(str, reading.version)) or "unknown"
    lines = [f"{found.source}: TensorRT {version}, read for {found.profile.name} (TensorRT {found.profile.version})"]
    if found.assumed:
        lines.append(f"assumed: {found.assumed}")
    if reading.command:
        lines.append(f"command: {reading.command}")
    compiled = sum(region.compiled for region in reading.regions)
    figures = [
        f"{_plural(len(reading.regions), 'loadable')} on the DLA" + (f" ({compiled} compiled)" if compiled else ""),
        f"{_plural(sum(layer.left for layer in reading.layers), 'layer')} left the DLA",
    ]
    if reading.candidates is not None:
        figures.append(f"{reading.candidates[0]} of {reading.candidates[1]} DLA regions offloaded")
    if reading.placed:
        figures.append(f"{_plural(sum(layer.listed for layer in reading.layers), 'layer')} listed on the GPU")
    if reading.reformats:
        figures.append(_plural(reading.reformats, "reformat"))
    if reading.outcome:
        figures.append(f"the build {reading.outcome}")
    lines.append("; ".join(figures))
    if reading.lost or reading.cut:
        lines.append(f"not kept: {reading.lost:,} layers beyond the limit, the ends of {reading.cut:,} overlong lines")
    return "\n".join(lines)


def _event(word: str, event: Event) -> str:
    said, pattern = event.said, event.said.pattern
    lines = [f"{word}[{said.rules[0] if said.rules else pattern.id}]: {pattern.meaning}"]
    if event.region:
        lines.append(f"  --> {event.region}")
    lines.append(f"   = log: line {said.line}{f', {event.count} times' if event.count > 1 else ''}: {said.message}")
    lines += _rules(said.rules)
    if pattern.cure:
        lines.append(f"   = help: {pattern.cure}")
    lines.append(f"   = source: {'; '.join(address(key) for key in pattern.sources)} ({pattern.evidence.value})")
    return "\n".join(lines)


def _refusal(refusal: Refusal, mapped: bool) -> str:
    kind = f" ({refusal.type})" if refusal.type else ""
    word = "refused" if refusal.left else "note"
    lines = [f"{word}[{refusal.code}]: {_plural(len(refusal.layers), 'layer')}{kind}: {refusal.meaning}"]
    lines.append(f"  --> {_some([layer.name for layer in refusal.layers])}")
    lines += [f"   = log: line {said.line}: {said.message}" for said in refusal.said]
    if refusal.nodes:
        lines.append(f"   = nodes: {_some(refusal.nodes)}")
    lines += _rules(refusal.rules)
    if refusal.cures:
        lines.append(f"   = help: {_passes(refusal)}")
    if refusal.advice:
        lines.append(f"   = help: {refusal.advice}")
    if refusal.basis in ("type", "name") and not mapped:
        lines.append("   = help: --onnx model.onnx tells which of these rules it is")
    elif not refusal.cures and not refusal.advice:
        lines.append("   = help: no pass is known to cure it")
    if refusal.sources:
        lines.append(f"   = source: {'; '.join(refusal.sources)} ({refusal.evidence})")
    return "\n".join(lines)


def _rules(rules: Sequence[str]) -> list[str]:
    book = rulebook()
    return [f"   = rule: {name}: {book.get(name).title}" for name in rules[:_FEW] if name in book]


def _passes(refusal: Refusal) -> str:
    names = refusal.cures
    if len(names) == 1:
        return f"pass {names[0]} of `dlarewrite optimize`"
    return f"passes {_some(names)} of `dlarewrite optimize`; `dlarewrite explain {refusal.rules[0]}` says more"


def _scales(found: Explanation) -> str:
    scales = found.reading.scales
    if scales.said is None:
        return ""
    pattern = scales.said.pattern
    head = f"note[{pattern.rules[0]}]: {_plural(scales.count, 'tensor')} without a scale: {pattern.meaning}"
    more = f", and {scales.count - len(scales.tensors):,} more" if scales.count > len(scales.tensors) else ""
    return "\n".join(
        [head, f"  --> {', '.join(scales.tensors)}{more}", *_rules(pattern.rules), f"   = help: {pattern.cure}"]
    )


def _silent(found: Explanation) -> str:
    layers = found.silent
    if not layers:
        return ""
    shown = [f"{layer.name} ({layer.type})" if layer.type else layer.name for layer in layers]
    return f"On the GPU, and the log does not say why: {_plural(len(layers), 'layer')}\n  {_some(shown, 12)}"


def _loadables(found: Explanation) -> str:
    if not found.reading.regions:
        return ""
    lines = ["Loadables on the DLA"]
    for number, region in enumerate(found.reading.regions[:16]):
        members = found.comparison.placing.regions[number] if found.comparison is not None else None
        nodes = f": {_plural(len(members), 'node')}" if members is not None else ""
        lines.append(f"  {_short(region.name)}{nodes}")
    if len(found.reading.regions) > 16:
        lines.append(f"  and {len(found.reading.regions) - 16:,} more")
    return "\n".join(lines)


_KINDS = {
    STRICT: "The log has them on the DLA, the rule book says GPU",
    LENIENT: "They left the DLA, the rule book says DLA",
    SETTLED: "Uncertain in the rule book, settled by the log",
    CAPPED: "Dropped for want of loadables, which no rule on a single layer can see",
}


def _comparison(comparison: Comparison) -> str:
    agreed = comparison.of_kind(AGREE)
    lines = [
        f"Rule book against log, for {comparison.report.target}",
        f"  {len(agreed):,} of {_plural(len(comparison.rows), 'placed node')} agree"
        f"{f'; {len(comparison.unplaced):,} nodes are not placed by the log' if comparison.unplaced else ''}",
    ]
    for kind, title in _KINDS.items():
        rows = comparison.of_kind(kind)
        if rows:
            lines.append(f"  {title}: {_plural(len(rows), 'node')}")
            lines += [f"    {_row(row)}" for row in rows[:_FEW]]
            lines += [f"    and {len(rows) - _FEW:,} more"] if len(rows) > _FEW else []
    if comparison.rules:
        lines.append("  Rules that nodes broke: how many of them left the DLA, how many stayed")
        lines += [f"    {r.rule}: {r.left} left, {r.stayed} stayed" for r in comparison.rules[:12]]
    return "\n".join(lines)


def _row(row: Row) -> str:
    ours = f"; ours: {', '.join(row.rules)}" if row.rules else ""
    theirs = f"; log: {', '.join(row.logged)}" if row.logged else ""
    place = "" if row.named else " by its place in a region"
    return f"{row.name} ({row.op}) is on the {row.device.upper()}{place}{ours}{theirs}"


def _unmapped(found: Explanation) -> str:
    missing = found.unmapped()
    if not missing:
        return ""
    groups: dict[str, list[str]] = {}
    for name, why in missing:
        groups.setdefault(why, []).append(_short(name))
    lines = ["Not mapped to a node"]
    lines += [f"  {why}: {_plural(len(names), 'layer')}: {_some(names)}" for why, names in groups.items()]
    return "\n".join(lines)


def _strange(found: Explanation) -> str:
    reading = found.reading
    if not reading.strange:
        return ""
    lines = [f"Not understood: {_plural(reading.strange_lines, 'line')} about the DLA"]
    for strange in reading.strange[:12]:
        lines.append(f"  line {strange.line}{f' ({strange.count} times)' if strange.count > 1 else ''}: {strange.text}")
    if len(reading.strange) > 12:
        lines.append(f"  and {len(reading.strange) - 12:,} more")
    return "\n".join(lines)


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _short(name: str, most: int = 160) -> str:
    return name if len(name) <= most else f"{name[: most - 40]} ... {name[-35:]}"


def _some(names: Sequence[str], most: int = _FEW) -> str:
    shown = ", ".join(_short(name) for name in names[:most])
    return f"{shown}, and {len(names) - most:,} more" if len(names) > most else shown

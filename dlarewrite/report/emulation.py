"""Errors of an emulated INT8 run, and proposals of layer precisions, as people and as programs read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dlarewrite.report.figures import number, percent, plural, some
from dlarewrite.report.tables import section, table

if TYPE_CHECKING:
    from dlarewrite.precision.emulate import Emulation, Error
    from dlarewrite.precision.proposal import Proposal
    from dlarewrite.precision.sensitivity import Sensitivity

SCHEMA_VERSION = 1


def decibels(value: float | None) -> str:
    """An SNR: ``28.2``; ``exact`` where nothing differs, ``none`` where no signal is left."""
    if value is None or value == math.inf:
        return "exact"
    return "none" if value == -math.inf else f"{value:.1f}"


def _worst(snr: float) -> str:
    """With its unit, or in words where there is no number."""
    words = {math.inf: "without any difference", -math.inf: "lost: nothing of the signal is left, or it is not finite,"}
    return words.get(snr) or f"{decibels(snr)} dB"


def emulated(found: Emulation, width: int, top: int) -> str:
    """The outputs' errors, the worst layers', what is not in INT8 and why."""
    counts = ", ".join(f"{n} in {kind}" for kind, n in _counts(found).items() if n)
    parts = [
        f"worst output {_worst(found.snr)} over {plural(found.samples, 'sample')}; "
        f"{plural(len(found.groups), 'operation')}: {counts}",
        section("Outputs", _errors(found.outputs, width)),
        section(_title(found, top), _errors(found.layers[:top], width)),
    ]
    if found.missing:
        parts.append(
            f"{plural(len(found.missing), 'tensor')} of DLA layers without a scale, so that these run in FP16: "
            + some([f"{tensor} ({group})" for tensor, group in found.missing.items()])
        )
    reasons: dict[tuple[str, str], list[str]] = {}
    for group in found.groups:
        if group.why and not group.why.startswith("tensor "):
            reasons.setdefault((group.arithmetic.value, group.why), []).append(group.name)
    if reasons:
        rows = [[kind, why, str(len(names)), some(names)] for (kind, why), names in reasons.items()]
        parts.append(section("Not in INT8", table(["In", "Why", "Count", "Operations"], rows, width, ["Count"])))
    return "\n\n".join(parts)


def _title(found: Emulation, top: int) -> str:
    shown = f"the {top} worst of " if len(found.layers) > top else ""
    return f"Tensors, worst scale first ({shown}{plural(len(found.layers), 'tensor')})"


def _errors(errors: Sequence[Error], width: int) -> str:
    columns = ["Tensor", "Operation", "In", "SNR dB", "Own dB", "Max/amax", "Cosine", "Clipped", "amax"]
    rows = [
        [
            e.tensor,
            e.op,
            e.arithmetic,
            decibels(e.snr),
            "-" if e.arithmetic != "int8" and e.own_snr is None else decibels(e.own_snr),
            number(e.worst),
            "-" if e.cosine is None else f"{e.cosine:.5f}",
            "-" if e.clipped is None else percent(e.clipped),
            number(e.amax),
        ]
        for e in errors
    ]
    return table(columns, rows, width, columns[3:])


def proposal(found: Proposal, measured: float, width: int, top: int) -> str:
    """What to take out of INT8, what it costs, what it gives, and the options for trtexec."""
    rows = [
        [s.group.name, s.group.op, decibels(found.snr(s)), f"{s.seconds * 1e6:.1f}", s.device.value, _mark(s, found)]
        for s in found.ranked[:top]
    ]
    columns = ["Layer", "Operation", "SNR dB", "Added us", "On", "Chosen"]
    more = f", the first {top}" if len(found.ranked) > top else ""
    parts = [section(f"Layers by error removed per time{more}", table(columns, rows, width, ["SNR dB", "Added us"]))]
    if not found.chosen:
        return "\n\n".join([*parts, "Nothing is worth taking out of INT8 within the bounds given."])
    parts.append(
        f"{plural(len(found.chosen), 'layer')} out of INT8: worst output {decibels(found.predicted)} dB predicted, "
        f"{decibels(measured)} dB measured; {found.seconds * 1e3:.3f} ms predicted become "
        f"{(found.seconds + found.added) * 1e3:.3f} ms"
    )
    parts.append(trtexec(found))
    return "\n\n".join(parts)


def trtexec(found: Proposal) -> str:
    """``--layerPrecisions`` (and ``--layerDeviceTypes``) as trtexec takes them."""
    lines = ["--layerPrecisions=" + ",".join(f"{n}:{p}" for n, p in found.layer_precisions.items())]
    if found.on_gpu:
        lines.append("--layerDeviceTypes=" + ",".join(f"{n}:GPU" for n in found.on_gpu))
    return "\n".join(lines)


def _mark(one: Sensitivity, found: Proposal) -> str:
    return "yes" if any(s is one for s in found.chosen) else ""


def document(found: Emulation, proposed: Proposal | None = None, measured: float | None = None) -> dict[str, Any]:
    """Plain data for JSON; infinite and absent figures are null."""
    made: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "samples": found.samples,
        "operations": _counts(found),
        "outputs": [_plain(e) for e in found.outputs],
        "tensors": [_plain(e) for e in found.layers],
        "missing": found.missing,
    }
    if proposed is not None:
        made["precision_plan"] = {
            "layer_precisions": proposed.layer_precisions,
            "gpu": list(proposed.on_gpu),
            "predicted_seconds": proposed.seconds,
            "added_seconds": proposed.added,
            "predicted_snr_db": _finite(proposed.predicted),
            "measured_snr_db": _finite(measured),
            "layers": [
                {
                    "layer": s.group.name,
                    "op": s.group.op,
                    "snr_db": _finite(proposed.snr(s)),
                    "noise": [_finite(float(n)) for n in proposed.measured.alone(s)],
                    "fp16_seconds": s.fp16,
                    "gpu_seconds": s.gpu,
                    "chosen": bool(_mark(s, proposed)),
                }
                for s in proposed.ranked
            ],
        }
    return made


def _counts(found: Emulation) -> dict[str, int]:
    kinds = [group.arithmetic.value for group in found.groups]
    return {kind: kinds.count(kind) for kind in ("int8", "fp16", "float")}


def _plain(error: Error) -> dict[str, Any]:
    return {
        "tensor": error.tensor,
        "layer": error.group,
        "op": error.op,
        "in": error.arithmetic,
        "snr_db": _finite(error.snr),
        "max_over_amax": _finite(error.worst),
        "cosine": _finite(error.cosine),
        "own_snr_db": _finite(error.own_snr),
        "clipped": error.clipped,
        "amax": error.amax,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None

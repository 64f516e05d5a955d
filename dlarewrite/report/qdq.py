"""What came out of a Q/DQ model, and what went into a typed one, as people and programs read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dlarewrite.precision.unary import between
from dlarewrite.report.figures import number, plural, some
from dlarewrite.report.scales import contradictions, summary
from dlarewrite.report.tables import section, table

if TYPE_CHECKING:
    from dlarewrite.precision.qdq_in import Plain
    from dlarewrite.precision.qdq_out import Quantised
    from dlarewrite.precision.typed_out import Typed
    from dlarewrite.verify import Evidence

_SHOWN = 10


def imported(found: Plain, proofs: Sequence[Evidence], width: int) -> str:
    """Counts, proofs, FP16 layers, and everything that an INT8 build will do otherwise than the model."""
    parts = [
        f"{plural(found.pairs, 'quantised activation')} and {plural(found.weights, 'quantised constant')} read\n"
        f"{summary(found.table)}\n{_proofs(proofs)}"
    ]
    half = [name for name, p in found.table.layer_precisions.items() if p == "fp16"]
    if half:
        parts.append(f"{plural(len(half), 'layer')} set to FP16, beside a tensor without a scale: {some(half)}")
        tensors = [t for n in found.model.nodes for t in n.outputs if t.name not in found.table.scales and between(t)]
        if tensors:
            parts[-1] += (
                f"\n{plural(len(tensors), 'tensor')} between a Conv and its Add: with --unary, DLA software 3.13 "
                "(JetPack 6) fuses these in INT8"
            )
    if found.relus:
        parts.append(f"{plural(found.relus, 'Relu')} put back, for zero points that took negative values away")
    if found.kept:
        parts.append(f"Dequantised integers that the graph computes are left as arithmetic: {some(found.kept)}")
    if found.mixed:
        rows = [[name, some(readers)] for name, readers in found.mixed[:_SHOWN]]
        title = "Read both quantised and as they are; INT8 has one value for both"
        parts.append(section(title, table(["Tensor", "Read as it is by"], rows, width) + _more(found.mixed)))
    if found.requantised:
        rows = [[r.node, f"{r.channels} of {r.of}", number(r.worst)] for r in found.requantised[:_SHOWN]]
        title = "Weights that TensorRT puts on another grid (max|w| / 127 per channel)"
        columns = ["Layer", "Channels", "Steps"]
        parts.append(section(title, table(columns, rows, width, right=columns[1:]) + _more(found.requantised)))
    if found.contradictions:
        parts.append(contradictions(found.contradictions))
    return "\n\n".join(parts)


def plain_data(found: Plain, proofs: Sequence[Evidence]) -> dict[str, Any]:
    """The same as plain data for JSON."""
    names = ("plain", "scales_put_back")
    return {
        "activations": found.pairs,
        "constants": found.weights,
        "scales": len(found.table.scales),
        "layer_precisions": dict(found.table.layer_precisions),
        "mixed": {name: list(readers) for name, readers in found.mixed},
        "requantised": [
            {"layer": r.node, "channels": r.channels, "of": r.of, "worst_steps": r.worst} for r in found.requantised
        ],
        "kept": list(found.kept),
        "relus": found.relus,
        "contradictions": [str(c) for c in found.contradictions],
        "proofs": {name: proof.to_dict() for name, proof in zip(names, proofs, strict=False)},
    }


def typed(found: Typed, width: int) -> str:
    """What is FP16 now, what is not and why, what will not fit."""
    layers = len(found.model) - found.casts
    parts = [
        f"FP16 but for {plural(len(found.single), 'layer')} of {layers}; {plural(found.casts, 'Cast')}; "
        f"{plural(found.vanished, 'weight')} too small for FP16 became 0"
    ]
    if found.single:
        rows = [[name, why] for name, why in list(found.single.items())[:_SHOWN]]
        parts.append(section("FP32, so not for the DLA", table(["Layer", "Why"], rows, width) + _more(found.single)))
    if found.overflow:
        rows = [[name, number(amax)] for name, amax in list(found.overflow.items())[:_SHOWN]]
        title = "Activations beyond 65504 become infinite in FP16"
        parts.append(section(title, table(["Tensor", "amax"], rows, width, right=["amax"]) + _more(found.overflow)))
    return "\n\n".join(parts)


def quantised(found: Quantised, width: int) -> str:
    """How many pairs there are, which tensors got none."""
    parts = [f"{plural(found.activations, 'activation')} and {plural(found.weights, 'weight')} quantised"]
    if found.skipped:
        rows = [[name, why] for name, why in list(found.skipped.items())[:_SHOWN]]
        parts.append(section("Left alone", table(["Tensor", "Why"], rows, width) + _more(found.skipped)))
    return "\n\n".join(parts)


def errors(proof: Evidence) -> str:
    """One line of measured errors, the worst output first."""
    worst = sorted(proof.outputs, key=lambda o: -(o.max_rel_of_max or 0.0))
    return "; ".join(f"{o.name}: {number(o.max_abs)}, {number(o.max_rel_of_max)} of max" for o in worst[:3])


def _proofs(proofs: Sequence[Evidence]) -> str:
    if not proofs:
        return "Not proven"
    lines = ["Equal to the original without rounding (EXACT)"]
    lines += [f"With the scales put back, off the original by: {errors(proof)}" for proof in proofs[1:]]
    return "\n".join(lines)


def _more(found: Sequence[object] | Mapping[str, object]) -> str:
    return f"\n  and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""

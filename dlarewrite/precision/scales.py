"""The table of INT8 scales: what each tensor's largest magnitude is, where that is known from, and how sure it is."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from dlarewrite.errors import UsageError

LEVELS = 127
"""Steps of symmetric INT8 on each side of zero: scale = amax / 127, as TensorRT turns a dynamic range into a scale."""

FIXED_SIGMOID = 1.0
"""The amax of a Sigmoid's output by NVIDIA's rule for the DLA: scale 1/127 whatever was measured."""

PRECISIONS = ("int8", "fp16", "fp32")


class Certainty(str, Enum):
    """How a scale is known, from the surest to the least sure."""

    EXACT = "exact"
    """Read from QuantizeLinear/DequantizeLinear or from a calibration cache."""
    MEASURED = "measured"
    """Computed from the values that the tensor took on calibration data."""
    INHERITED = "inherited"
    """The tensor holds (some of) the values of another one."""
    FIXED = "fixed"
    """Set by rule, such as 1/127 behind a Sigmoid."""
    BOUND = "bound"
    """An upper bound that the operator gives; never too small, perhaps too large."""

    @property
    def rank(self) -> int:
        """0 for the surest."""
        return list(Certainty).index(self)


@dataclass(frozen=True)
class Scale:
    """One tensor's quantisation: the float32 ``scale`` is ``amax / 127``, and ``127 * scale`` is ``amax``, exactly.

    ``amax`` (finite, above 0) is in the tensor's own units, as are ``low`` and ``high``, the range that was observed.
    ``zero_point`` is 0 except where an asymmetric model was read. It counts as in signed INT8, -128 … 127: that of a
    UINT8 model is kept less 128, and written plus 128, so that 0 is symmetric in either. Raises :class:`UsageError` for
    an amax that gives no finite float32 scale above 0.
    """

    amax: float
    source: str
    certainty: Certainty
    low: float | None = None
    high: float | None = None
    zero_point: int = 0

    def __post_init__(self) -> None:
        scale = as_float32(self.amax / LEVELS)
        if not 0 < scale < math.inf:
            raise UsageError(f"{self.amax!r} is no amax: it has to be finite, above 0, and a float32 after / {LEVELS}")
        # float32 has 24 bits and 127 has 7, so that the product is exact in double precision and gives the scale back.
        object.__setattr__(self, "amax", scale * LEVELS)

    @classmethod
    def from_bits(cls, bits: int, source: str, certainty: Certainty = Certainty.EXACT) -> Scale:
        """From the 32 bits of a float32 scale, as a calibration cache has them."""
        return cls.from_scale(float(struct.unpack(">f", bits.to_bytes(4, "big"))[0]), source, certainty)

    @classmethod
    def from_scale(cls, scale: float, source: str, certainty: Certainty = Certainty.EXACT) -> Scale:
        """From the step between two levels."""
        return cls(scale * LEVELS, source, certainty)

    @property
    def scale(self) -> float:
        """The step between two levels: a float32."""
        return as_float32(self.amax / LEVELS)

    @property
    def bits(self) -> int:
        """The 32 bits of the float32 scale."""
        return int.from_bytes(struct.pack(">f", self.scale), "big")

    def same_as(self, other: Scale) -> bool:
        """Whether both quantise alike."""
        return (self.bits, self.zero_point) == (other.bits, other.zero_point)


@dataclass(frozen=True)
class Contradiction:
    """Two scales for one tensor, or for tensors that must share one: which was taken, and why."""

    tensor: str
    kept: Scale
    dropped: Scale
    why: str

    def __str__(self) -> str:
        return (
            f"{self.tensor}: {self.dropped.amax:.6g} ({self.dropped.source}) against {self.kept.amax:.6g} "
            f"({self.kept.source}): {self.why}"
        )


@dataclass(frozen=True)
class ScaleTable:
    """Tensor name -> :class:`Scale` in file order, and node name -> precision ("int8", "fp16", "fp32").

    ``method`` says how the scales were made; ``model`` is the :func:`~dlarewrite.precision.fingerprint.fingerprint` of
    the model they belong to, or ""; ``header`` is the first line of the calibration cache they came from, or "".
    """

    scales: Mapping[str, Scale] = field(default_factory=dict)
    layer_precisions: Mapping[str, str] = field(default_factory=dict)
    method: str = ""
    model: str = ""
    header: str = ""

    def __post_init__(self) -> None:
        for node, precision in self.layer_precisions.items():
            if precision not in PRECISIONS:
                raise UsageError(f"layer {node!r} has precision {precision!r}; there are {', '.join(PRECISIONS)}")

    @classmethod
    def load(cls, path: str | Path) -> ScaleTable:
        """Read JSON or a calibration cache, whichever it is; raises :class:`UsageError` with the line at fault."""
        from dlarewrite.precision import files

        return files.load(Path(path))

    def save(self, path: str | Path) -> None:
        """Write atomically: JSON where the name ends in ``.json``, else a calibration cache."""
        from dlarewrite.precision import files

        files.save(self, Path(path))

    def get(self, tensor: str) -> Scale | None:
        return self.scales.get(tensor)

    def merge(self, other: ScaleTable) -> tuple[ScaleTable, tuple[Contradiction, ...]]:
        """Both as one: of two scales the surer is taken, of equally sure ones the larger, which clips nothing.

        ``model`` is empty where the two disagree about it; a layer's precision in ``other`` wins.
        """
        models = {m for m in (self.model, other.model) if m}
        base = ScaleTable(
            self.scales,
            {**self.layer_precisions, **other.layer_precisions},
            "; ".join(dict.fromkeys(m for m in (self.method, other.method) if m)),
            models.pop() if len(models) == 1 else "",
            self.header or other.header,
        )
        return _joined(base, other.scales.items())

    def renamed(self, names: Mapping[str, str]) -> tuple[ScaleTable, tuple[Contradiction, ...]]:
        """The table under new tensor names (old -> new; others stay); two that meet are merged."""
        return _joined(
            replace(self, scales={}), ((names.get(name, name), scale) for name, scale in self.scales.items())
        )


def as_float32(value: float) -> float:
    """``value`` rounded to float32; infinity where it is too large."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def surer(one: Scale, other: Scale) -> tuple[Scale, Scale, str]:
    """The one to keep, the one to drop, and the reason."""
    if one.certainty is not other.certainty:
        kept, dropped = (one, other) if one.certainty.rank < other.certainty.rank else (other, one)
        return kept, dropped, f"{kept.certainty.value} is surer than {dropped.certainty.value}"
    kept, dropped = (one, other) if one.amax >= other.amax else (other, one)
    return kept, dropped, "the larger clips nothing"


def _joined(table: ScaleTable, others: Iterable[tuple[str, Scale]]) -> tuple[ScaleTable, tuple[Contradiction, ...]]:
    scales, found = dict(table.scales), []
    for name, new in others:
        old = scales.setdefault(name, new)
        if old is new:
            continue
        scales[name], dropped, why = surer(old, new)
        if not old.same_as(new):
            found.append(Contradiction(name, scales[name], dropped, why))
    return replace(table, scales=scales), tuple(found)

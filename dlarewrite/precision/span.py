"""The values that a tensor can take, as an interval, and how sure that is: what rules of operators reckon with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dlarewrite.ir.view import Array
from dlarewrite.precision.scales import Certainty, Scale


@dataclass(frozen=True)
class Span:
    """All values lie in [low, high]; ``certainty`` is INHERITED, FIXED or BOUND, ``of`` the tensors it is made from.

    ``note`` says what else was done to them, such as a factor.
    """

    low: float
    high: float
    certainty: Certainty
    of: tuple[str, ...] = ()
    note: str = ""

    @property
    def amax(self) -> float:
        return max(abs(self.low), abs(self.high))

    def with_zero(self) -> Span:
        """The hull with 0, which padding adds."""
        return Span(min(self.low, 0.0), max(self.high, 0.0), self.certainty, self.of, self.note)

    def scale(self, through: str) -> Scale:
        """As a table entry; ``through`` is the operator's name."""
        more = f" and {len(self.of) - 1} more" if len(self.of) > 1 else ""
        note = f" {self.note}" if self.note else ""
        if self.certainty is Certainty.FIXED or not self.of:
            return Scale(self.amax, f"by the range of {through}{note}", self.certainty)
        how = "bound from" if self.certainty is Certainty.BOUND else "of"
        return Scale(self.amax, f"{how} tensor {self.of[0]}{more} through {through}{note}", self.certainty)


Operand = Span | Array | None
"""What a rule knows of an input: where its values lie, its values themselves, or nothing."""


def of_scale(name: str, scale: Scale) -> Span:
    """Where the values of a tensor lie that is quantised with ``scale``: what is beyond saturates."""
    amax = scale.amax
    low = -amax if scale.low is None else min(max(scale.low, -amax), amax)
    high = amax if scale.high is None else max(min(scale.high, amax), -amax)
    certainty = Certainty.BOUND if scale.certainty is Certainty.BOUND else Certainty.INHERITED
    return Span(low, high, certainty, (name,))


def first(operands: Sequence[Operand]) -> Span | None:
    """The first operand, where it is an activation of which something is known."""
    return operands[0] if isinstance(operands[0], Span) else None


def spans(operands: Iterable[Operand]) -> list[Span]:
    """Those operands that are activations of which something is known."""
    return [o for o in operands if isinstance(o, Span)]


def passed(low: float, high: float, operands: Sequence[Operand], note: str = "") -> Span:
    """The operands' own values within [low, high]; as sure as the least sure of them."""
    return _made(low, high, operands, Certainty.INHERITED, note)


def bound(low: float, high: float, operands: Sequence[Operand], note: str = "") -> Span:
    """What the operator cannot leave, given its operands."""
    return _made(low, high, operands, Certainty.BOUND, note)


def union(operands: Sequence[Operand]) -> Span | None:
    """The values of all operands together; None where one is unknown."""
    if any(o is None for o in operands):
        return None
    ends = [(o.low, o.high) if isinstance(o, Span) else (float(o.min()), float(o.max())) for o in _filled(operands)]
    return passed(min(low for low, _ in ends), max(high for _, high in ends), operands) if spans(operands) else None


def ends(operand: Span | Array) -> tuple[float, float]:
    """Lowest and highest value."""
    return (operand.low, operand.high) if isinstance(operand, Span) else (float(operand.min()), float(operand.max()))


def _filled(operands: Sequence[Operand]) -> list[Span | Array]:
    return [o for o in operands if o is not None and (isinstance(o, Span) or o.size)]


def _made(low: float, high: float, operands: Sequence[Operand], certainty: Certainty, note: str) -> Span:
    known = spans(operands)
    weakest = Certainty.BOUND if any(s.certainty is Certainty.BOUND for s in known) else certainty
    names = tuple(dict.fromkeys(name for s in known for name in s.of))
    if max(abs(low), abs(high)) > 0:
        return Span(low, high, weakest, names, note)
    # Nothing but zeros: any scale holds them, and the operand's spares a rescaling.
    amax = max((s.amax for s in known), default=1.0)
    return Span(-amax, amax, weakest, names, note)

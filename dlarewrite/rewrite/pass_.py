"""The pass API: what a rewrite is, what it found, and why it declined.

A :class:`Pass` looks at one anchor node at a time: ``match`` says what it found (a :class:`Match`), why a near miss
is none (a :class:`Refusal`), or that this is not its business (None); ``apply`` edits. The driver does the rest: it
asks the target, enforces the laws, undoes what does not help, and keeps the log. A :class:`GraphPass` sees the whole
model at once, for the few rewrites that have no anchor. Options are dataclass fields: ``fold-constants{max_bytes=64}``.
"""

from __future__ import annotations

import abc
import dataclasses
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import onnx_graphsurgeon as gs

from dlarewrite.numerics import Numerics

if TYPE_CHECKING:
    from dlarewrite.ir.editor import Editor
    from dlarewrite.rewrite.context import Context

F = TypeVar("F")


class Phase(enum.IntEnum):
    """When a pass runs in the default pipeline, and which law it answers to."""

    PREPARE = 0
    """Once, first: shapes frozen, old operator forms brought up to date."""

    CLEAN = 1
    """To a fixpoint: removes work, or folds it into weights, on every target."""

    LEGALISE = 2
    """To a fixpoint, with CLEAN: fires only where the target refuses a node, and only if less is refused after."""

    FINISH = 3
    """Once, last."""


@dataclass(frozen=True)
class Match(Generic[F]):
    """What ``match`` found: the nodes that the rewrite replaces, and the facts that ``apply`` needs.

    ``detail`` is shown to the user, e.g. ``"13x13 -> 5x5, 5x5, 5x5"``.
    """

    nodes: tuple[gs.Node, ...]
    facts: F
    detail: str = ""


@dataclass(frozen=True)
class Refusal:
    """A near miss: the one sentence why, and the nodes concerned."""

    reason: str
    nodes: tuple[gs.Node, ...]


class AnyPass(abc.ABC):
    """What every pass declares. ``bound`` states the error bound and input range of a LOSSY pass."""

    name: ClassVar[str]
    numerics: ClassVar[Numerics]
    phase: ClassVar[Phase] = Phase.LEGALISE
    after: ClassVar[tuple[str, ...]] = ()
    bound: ClassVar[str] = ""

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return (cls.__doc__ or "").strip().splitlines()[0] if cls.__doc__ else ""


class Pass(AnyPass, Generic[F]):
    """A rewrite around one anchor node; ``anchors`` are the standard-domain operators it starts from."""

    anchors: ClassVar[tuple[str, ...]]

    @abc.abstractmethod
    def match(self, node: gs.Node, context: Context) -> Match[F] | Refusal | None:
        """Look, do not touch: what could be done at ``node``."""

    @abc.abstractmethod
    def apply(self, match: Match[F], edit: Editor) -> None:
        """Edit. Replaced nodes that nobody reads any more are erased by the driver."""


class GraphPass(AnyPass):
    """A rewrite without an anchor; it opens its own ``edit.rewrite`` groups."""

    @abc.abstractmethod
    def run(self, context: Context, edit: Editor) -> list[Refusal]:
        """Rewrite the whole model once; returns the near misses."""


def options(pass_class: type[AnyPass]) -> dict[str, Any]:
    """Option names and defaults of a pass, from its dataclass fields."""
    declared: dict[str, dataclasses.Field[Any]] = getattr(pass_class, "__dataclass_fields__", {})
    real = {f.name for f in dataclasses.fields(pass_class)} if declared else set()  # type: ignore[arg-type]
    return {name: field.default for name, field in declared.items() if name in real}

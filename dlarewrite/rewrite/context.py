"""What a pass may ask: the model, the target's verdicts (cached), hypothetical legality, the user's permissions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx_graphsurgeon as gs

from dlarewrite.errors import EditError
from dlarewrite.ir.editor import Editor, Group
from dlarewrite.ir.model import Model
from dlarewrite.target import Judge, NodeVerdict, Target, Verdict


@dataclass(frozen=True)
class Settings:
    """The user's choices that bear on rewriting.

    ``shapes``: input name -> dims to freeze; ``batch``: size for the leading symbolic dim; ``native_io``: graph inputs
    and outputs may change rank and type; ``lossy``: LOSSY passes allowed; ``limit``: stop after so many rewrites;
    ``growth_macs`` (share of the model's MACs) and ``growth_bytes`` (weights): the budget of added cost. ``declined``:
    (pass, anchor) pairs that were tried and are not worth it; ``left``: nodes that a plan leaves to the GPU.
    """

    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    batch: int | None = None
    native_io: bool = False
    lossy: bool = False
    limit: int | None = None
    growth_macs: float = 0.25
    growth_bytes: int = 64 * 2**20
    declined: frozenset[tuple[str, str]] = frozenset()
    left: frozenset[str] = frozenset()


@dataclass
class Budget:
    """What rewrites may still add: MACs and bytes of weights."""

    macs: int
    bytes: int


class Context:
    """Shared by all passes of one run; verdicts are cached and dropped when the Editor reports a change nearby."""

    def __init__(self, model: Model, target: Target, settings: Settings | None = None) -> None:
        self.model = model
        self.target = target
        self.settings = settings or Settings()
        self._judge = Judge(target, model.opset)
        self._verdicts: dict[int, tuple[gs.Node, NodeVerdict]] = {}
        self.memo: dict[Any, Any] = {}
        """What passes worked out about the graph as it stands; the driver empties it when a rewrite stays."""
        self.budget: Budget | None = None
        """What is left of the growth budget while a legalising pass runs; None: nobody counts."""

    @property
    def opset(self) -> int:
        return self.model.opset

    def verdict(self, node: gs.Node) -> NodeVerdict:
        """The target's verdict on the node as it stands, with all reasons."""
        known = self._verdicts.get(id(node))
        if known is not None and known[0] is node:
            return known[1]
        if self._judge.opset != self.model.opset:
            self._judge = Judge(self.target, self.model.opset)
        found = self._judge.node(node)
        self._verdicts[id(node)] = (node, found)
        return found

    def is_native(self, node: gs.Node) -> bool:
        """Whether the target takes the node as it is (dla, or folded or dropped by TensorRT)."""
        verdict = self.verdict(node).verdict
        return verdict in (Verdict.DLA, Verdict.FOLDED, Verdict.NOOP)

    def known_verdict(self, node: gs.Node) -> NodeVerdict | None:
        """The cached verdict, if there is one."""
        known = self._verdicts.get(id(node))
        return known[1] if known is not None and known[0] is node else None

    def allows(
        self,
        op: str,
        inputs: Sequence[gs.Tensor | None],
        attrs: dict[str, Any] | None = None,
        *,
        doubtful: bool = False,
    ) -> bool:
        """Whether the target would take such a node, were it there (tried on a throw-away node).

        With ``doubtful``, a node that it might take is allowed too.
        """
        edit = Editor(self.model)
        answer = False
        try:
            with edit.rewrite("allows"):
                made = edit.op(op, inputs, attrs)
                verdict = self._judge.node(made.inputs[0]).verdict
                answer = verdict is Verdict.DLA or (doubtful and verdict is Verdict.UNCERTAIN)
                raise _Undo
        except (_Undo, EditError):
            return answer

    def forget(self, group: Group) -> None:
        """Drop verdicts that the group's edits may have changed: its nodes and their neighbours."""
        for node in (*group.added.values(), *group.removed.values(), *group.touched.values()):
            self._verdicts.pop(id(node), None)
            for neighbour in _neighbours(node):
                self._verdicts.pop(id(neighbour), None)

    def forget_all(self) -> None:
        self._verdicts.clear()
        self.memo.clear()


class _Undo(Exception):  # noqa: N818 - a signal to roll back, not an error
    """Rolls a trial group back."""


def _neighbours(node: gs.Node) -> Iterable[gs.Node]:
    for tensor in node.inputs:
        yield from tensor.inputs
    for tensor in node.outputs:
        yield from tensor.outputs

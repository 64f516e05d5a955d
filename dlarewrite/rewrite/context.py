"""What a pass may ask: the model, the target's verdicts (cached), hypothetical legality, the user's permissions."""

from __future__ import annotations

import abc
import sys
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
    ``growth_macs`` (share of the model's MACs), ``growth_bytes`` (weights) and ``growth_layers`` (nodes; None: 1,000
    and eight for each of the model's): the budget of added cost. ``declined``: (pass, anchor) pairs that
    were tried and are not worth it; ``left``: nodes that a plan leaves to the GPU.
    """

    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    batch: int | None = None
    native_io: bool = False
    lossy: bool = False
    limit: int | None = None
    growth_macs: float = 0.5
    growth_bytes: int = 128 * 2**20
    growth_layers: int | None = None
    declined: frozenset[tuple[str, str]] = frozenset()
    left: frozenset[str] = frozenset()


@dataclass
class Budget:
    """What rewrites may still add: MACs, bytes of weights and layers (the DLA starts each anew, in microseconds)."""

    macs: int
    bytes: int
    layers: int = sys.maxsize


class Context:
    """Shared by all passes of one run; verdicts are cached and dropped when the Editor reports a change nearby."""

    def __init__(self, model: Model, target: Target, settings: Settings | None = None) -> None:
        self.model = model
        self.target = target
        self.settings = settings or Settings()
        self._judge = Judge(target, model.opset)
        self._verdicts: dict[int, tuple[gs.Node, NodeVerdict]] = {}
        self.memo: dict[Any, Any] = {}
        """What passes worked out about the graph as it stands. When a rewrite stays, a :class:`Memo` forgets what was
        around it, and all else goes."""
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
        for key in _around(group):
            self._verdicts.pop(key, None)

    def settle(self, group: Group) -> None:
        """Drop what was known around a rewrite that stays."""
        around = _around(group)
        for key in around:
            self._verdicts.pop(key, None)
        for name, known in list(self.memo.items()):
            if isinstance(known, Memo):
                known.forget(around)
            else:
                del self.memo[name]

    def forget_all(self) -> None:
        self._verdicts.clear()
        self.memo.clear()


class Memo(abc.ABC):
    """What a pass worked out node by node, of which the parts far from a rewrite outlive it."""

    @abc.abstractmethod
    def forget(self, keys: set[int]) -> None:
        """Drop all that bears on nodes with these ``id``."""


class _Undo(Exception):  # noqa: N818 - a signal to roll back, not an error
    """Rolls a trial group back."""


def _around(group: Group) -> set[int]:
    """The ``id`` of the group's nodes and their neighbours."""
    changed = (*group.added.values(), *group.removed.values(), *group.touched.values())
    return {id(near) for node in changed for near in (node, *_neighbours(node))}


def _neighbours(node: gs.Node) -> Iterable[gs.Node]:
    for tensor in node.inputs:
        yield from tensor.inputs
    for tensor in node.outputs:
        yield from tensor.outputs

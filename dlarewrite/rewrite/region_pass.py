"""What the passes that move a region onto rank-4 carriers have in common; see :mod:`dlarewrite.rewrite.region`."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import ClassVar

import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.rewrite import region
from dlarewrite.rewrite.carry import Rule
from dlarewrite.rewrite.context import Context
from dlarewrite.rewrite.pass_ import Match, Pass, Refusal

Rules = Mapping[str, Rule]
"""How each operator is carried; see :mod:`dlarewrite.rewrite.carry`."""


class RegionPass(Pass[region.Region]):
    """Grows a region by ``rules`` around each anchor that it concerns; the first anchor in it speaks for all.

    ``thrifty``: a region that leaves more Reshapes and Transposes inside the model than go is refused.
    """

    rules: ClassVar[Rules]
    thrifty: ClassVar[bool] = True

    @abc.abstractmethod
    def concerns(self, node: gs.Node) -> bool:
        """Whether the anchor is this pass's business."""

    @abc.abstractmethod
    def detail(self, found: region.Region) -> str:
        """What the user is told about a region that is moved."""

    def obstacle(self, node: gs.Node) -> str:
        """Why no region is looked for although the anchor is this pass's business, or ""."""
        return ""

    def missing(self, node: gs.Node) -> str:
        """Why there is no region around the anchor, or "" where nobody would ask."""
        return ""

    def match(self, node: gs.Node, context: Context) -> Match[region.Region] | Refusal | None:
        if not self.concerns(node):
            return None
        if reason := self.obstacle(node):
            return Refusal(reason, (node,))
        found = region.grow(node, context, self.rules)
        if found is None:
            reason = self.missing(node)
            return Refusal(reason, (node,)) if reason else None
        if found.first(*self.anchors) is not node:
            return None
        if self.thrifty and not found.worth:
            left = f"{found.inner} Reshapes and Transposes would be left around {len(found.nodes)} nodes"
            return Refusal(f"{left}, {found.moves} go", found.nodes)
        return Match(found.nodes, found, self.detail(found))

    def apply(self, match: Match[region.Region], edit: Editor) -> None:
        region.move(match.facts, edit)

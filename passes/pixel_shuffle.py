"""A pixel shuffle that is written out with Reshapes and Transposes becomes DepthToSpace.

What it does: a chain of Reshapes and Transposes that lays b*b channels out as blocks of b x b pixels ->
    DepthToSpace(b), for which depth-to-space has the forms that the DLA takes.
Law: the chain moves elements and computes nothing; where each element ends up is compared with the operator, in
    either mode.
Numerics: EXACT - data movement only.
Scales: the result keeps its name and its scale.
Fires: on static [N, C, H, W] floats, whatever the target; what stands between has no other readers.
Refuses: an inner tensor that is a graph output, or that others read, where the chain is a pixel shuffle but for that.
Source: ONNX DepthToSpace (opset 1, 11, 13); GEN-RANK-OVER, SHUF-4D; exporters that lack the operator.
Example: Reshape(x, [1,1,3,3,56,56]), Transpose(0,1,4,2,5,3), Reshape([1,1,168,168]) -> DepthToSpace(x; 3, CRD)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Phase, Refusal, Tensor, view

RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
MOST_NODES = 8
MOST_ELEMENTS = 2**23
"""Beyond it the numbers of the elements are not moved about to see what a chain does."""
MODES_SINCE = 11


@dataclass(frozen=True)
class Shuffle:
    """DepthToSpace(``source``; ``block``, ``mode``) is ``output``."""

    source: Tensor
    output: Tensor
    block: int
    mode: str


@dataclass(frozen=True)
class PixelShuffle(Pass[Shuffle]):
    """Reshape, Transpose, Reshape that lays channels out as pixels -> DepthToSpace."""

    name: ClassVar[str] = "pixel-shuffle"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    phase: ClassVar[Phase] = Phase.CLEAN
    anchors: ClassVar[tuple[str, ...]] = ("Reshape", "Unsqueeze", "Transpose")

    def match(self, node: Node, context: Context) -> Match[Shuffle] | Refusal | None:
        source = node.inputs[0]
        dims = view.shape(source)
        if dims is None or len(dims) != 4 or not 0 < math.prod(dims) <= MOST_ELEMENTS or not view.is_float(source):
            return None
        for nodes in _chains(node):
            output = nodes[-1].outputs[0]
            block = _block(dims, view.shape(output) or ())
            mode = _mode(dims, nodes, block, context.opset) if block else None
            if mode is None:
                continue
            for inner in (n.outputs[0] for n in nodes[:-1]):
                others = [view.label(r) for r in view.consumers(inner) if not any(r is n for n in nodes)]
                if others or context.model.is_pinned(inner):
                    who = ", ".join(others) or "the graph output"
                    return Refusal(f"{who} reads {inner.name!r}, which is inside of the pixel shuffle", nodes)
            return Match(nodes, Shuffle(source, output, block, mode), f"block {block}, {mode}")
        return None

    def apply(self, match: Match[Shuffle], edit: Editor) -> None:
        found = match.facts
        attrs = {"blocksize": found.block, "mode": found.mode if edit.model.opset >= MODES_SINCE else None}
        edit.replace_uses(found.output, edit.op("DepthToSpace", [found.source], attrs))


def _chains(first: Node) -> Iterator[tuple[Node, ...]]:
    """The Reshapes and Transposes from ``first`` on, as far as each of the next nodes; the shortest first."""
    nodes, node = [first], first
    while len(nodes) < MOST_NODES and view.shape(node.outputs[0]) is not None:
        following = [r for r in view.consumers(node.outputs[0]) if view.is_op(r, *RESHAPES, "Transpose")]
        if not following or following[0].inputs[0] is not node.outputs[0]:
            return
        node = following[0]
        nodes.append(node)
        yield tuple(nodes)


def _block(before: tuple[int, ...], after: tuple[int, ...]) -> int:
    """The block whose DepthToSpace has these shapes, or 0."""
    if len(after) != 4 or after[0] != before[0] or after[1] == 0:
        return 0
    block = after[2] // before[2]
    wanted = (before[1] // block**2, before[2] * block, before[3] * block) if block > 1 else ()
    return block if after[1:] == wanted and before[1] % block**2 == 0 else 0


def _mode(dims: tuple[int, ...], nodes: tuple[Node, ...], block: int, opset: int) -> str | None:
    """The mode of the DepthToSpace that the chain is; None where it is none, or none that the opset has."""
    numbers: view.Array = np.arange(math.prod(dims)).reshape(dims)
    moved = numbers
    for node in nodes:
        if view.is_op(node, "Transpose"):
            moved = moved.transpose(view.ints(node, "perm") or None)
        else:
            moved = moved.reshape(view.shape(node.outputs[0]) or (-1,))
    n, channels, height, width = dims
    maps = channels // block**2
    rows = numbers.reshape(n, block, block, maps, height, width).transpose(0, 3, 4, 1, 5, 2)
    if np.array_equal(rows.reshape(moved.shape), moved):
        return "DCR"
    columns = numbers.reshape(n, maps, block, block, height, width).transpose(0, 1, 4, 2, 5, 3)
    return "CRD" if opset >= MODES_SINCE and np.array_equal(columns.reshape(moved.shape), moved) else None

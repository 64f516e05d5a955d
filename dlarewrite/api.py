"""The names that passes and plugins import; nothing else of dlarewrite is promised to them."""

from __future__ import annotations

from onnx_graphsurgeon import Constant, Node, Tensor, Variable

from dlarewrite.analysis.cost import elements, macs
from dlarewrite.catalogue import Catalogue, PassRef
from dlarewrite.errors import EditError
from dlarewrite.ir import view
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.infer import infer
from dlarewrite.numerics import Numerics
from dlarewrite.rewrite import emit
from dlarewrite.rewrite.context import Context
from dlarewrite.rewrite.pass_ import GraphPass, Match, Pass, Phase, Refusal
from dlarewrite.target import Verdict

__all__ = [
    "Catalogue",
    "Constant",
    "Context",
    "EditError",
    "Editor",
    "GraphPass",
    "Match",
    "Node",
    "Numerics",
    "Pass",
    "PassRef",
    "Phase",
    "Refusal",
    "Tensor",
    "Variable",
    "Verdict",
    "elements",
    "emit",
    "infer",
    "macs",
    "view",
]

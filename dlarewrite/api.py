"""The names that passes and plugins import; nothing else of dlarewrite is promised to them."""

from __future__ import annotations

from onnx_graphsurgeon import Constant, Node, Tensor, Variable

from dlarewrite.analysis import constants, shapes
from dlarewrite.analysis.cost import elements, macs
from dlarewrite.catalogue import Catalogue, PassRef
from dlarewrite.errors import EditError, ModelError, UsageError
from dlarewrite.ir import schema, view
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.infer import infer
from dlarewrite.numerics import Numerics
from dlarewrite.rewrite import (
    atoms,
    branches,
    choice,
    convolve,
    cutting,
    deconv,
    emit,
    exponential,
    forms,
    gathering,
    legacy,
    linear,
    mirror,
    noops,
    normalizing,
    norms,
    patches,
    pooling,
    ranges,
    recurrence,
    reduction,
    region,
    reordering,
    root,
    sampling,
    sparsity,
    spatial,
    stacks,
    unrolling,
    windows,
    wiring,
)
from dlarewrite.rewrite.carry_matrix import MATRIX_RULES, is_product
from dlarewrite.rewrite.carry_rules import EXACT_RULES, MOVES, SUM_RULES
from dlarewrite.rewrite.carry_window import POOL_RULES, WINDOW_RULES
from dlarewrite.rewrite.context import Context
from dlarewrite.rewrite.pass_ import GraphPass, Match, Pass, Phase, Refusal
from dlarewrite.rewrite.region_pass import RegionPass, Rules
from dlarewrite.rewrite.stack_rules import STACK_RULES
from dlarewrite.rewrite.volumes import VOLUME_RULES
from dlarewrite.target import Verdict

__all__ = [
    "EXACT_RULES",
    "MATRIX_RULES",
    "MOVES",
    "POOL_RULES",
    "STACK_RULES",
    "SUM_RULES",
    "VOLUME_RULES",
    "WINDOW_RULES",
    "Catalogue",
    "Constant",
    "Context",
    "EditError",
    "Editor",
    "GraphPass",
    "Match",
    "ModelError",
    "Node",
    "Numerics",
    "Pass",
    "PassRef",
    "Phase",
    "Refusal",
    "RegionPass",
    "Rules",
    "Tensor",
    "UsageError",
    "Variable",
    "Verdict",
    "atoms",
    "branches",
    "choice",
    "constants",
    "convolve",
    "cutting",
    "deconv",
    "elements",
    "emit",
    "exponential",
    "forms",
    "gathering",
    "infer",
    "is_product",
    "legacy",
    "linear",
    "macs",
    "mirror",
    "noops",
    "normalizing",
    "norms",
    "patches",
    "pooling",
    "ranges",
    "recurrence",
    "reduction",
    "region",
    "reordering",
    "root",
    "sampling",
    "schema",
    "shapes",
    "sparsity",
    "spatial",
    "stacks",
    "unrolling",
    "view",
    "windows",
    "wiring",
]

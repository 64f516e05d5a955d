"""Cures are names of the pass catalogue, and a chooser names none that its rule does not list."""

from __future__ import annotations

import ast
import inspect

from dlarewrite.target import cures, rulebook, support_matrix
from dlarewrite.target.rules import activation, conv, elementwise, matrix, resize, shuffle, slicing

_NAMES = """
    freeze-shapes fold-constants drop-noops narrow-types fold-batchnorm fold-scale-bias fold-pad share-common
    upgrade-legacy repvgg-merge resize-sizes-to-scales resize-mode nearest-cascade nearest-to-deconv linear-to-deconv
    align-corners-linear downsample resize-to-nearest deconv-pads deconv-groups deconv-dilation deconv-overlap
    deconv-square-23 depth-to-space space-to-depth focus-to-conv global-average-pool global-max-pool pool-window
    pool-pads average-exclusive reduce-channel reduce-sum keepdims cumsum gemm-to-conv matmul-tokens lift-to-4d
    transpose-sink channel-shuffle channel-select slice-steps slice-split-hw concat-axis concat-pairs einsum
    tile-expand broadcast-explicit pad-explicit where-const scatter-const gather-elements logic recurrent conv-kernel
    conv-stride conv-pads conv-dilation conv-cbuf conv-maps conv-groups-hwc4 conv-groups-dense conv-dynamic-weight
    conv1d conv3d sibling-convs hard-sigmoid hard-swish clip-bounds leaky-forms swish-mish gelu softplus elu selu celu
    softsign exp log sqrt reciprocal div-pow-by-const min-max const-operand softmax-axis norm-to-affine split-tail
    structured-sparsity
"""
CATALOGUE = frozenset(_NAMES.split())


def _words(module: object) -> set[str]:
    """Every string in the module's choosers that looks like a pass name."""
    tree = ast.parse(inspect.getsource(module))  # type: ignore[arg-type]
    strings = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return {s for s in strings if s and s == s.lower() and "-" in s and " " not in s and s[0].isalpha()}


def test_cures_are_in_the_catalogue() -> None:
    named = {cure for rule in rulebook() for cure in rule.cures}
    for row in support_matrix():
        named |= {row.cure, *row.cures.values()}
    for module in (cures, activation, conv, elementwise, matrix, resize, shuffle, slicing):
        named |= _words(module)
    assert named - {""} <= CATALOGUE


def test_a_cure_of_a_row_is_for_an_operator_that_the_row_can_see() -> None:
    for row in support_matrix():
        extra = set(row.cures) - set(row.ops)
        # A node that lowers to several layers meets rows that are not its own.
        assert extra <= {"Conv", "Softmax", "LogSoftmax", "Shrink", "Swish"}, row.id

"""Matrix products."""

from __future__ import annotations

import functools

from dlarewrite.target.facts import MatrixFacts
from dlarewrite.target.limits import Between, Must
from dlarewrite.target.rule import MATRIX_LIMIT, Rule, Scope
from dlarewrite.target.verdict import Evidence


def _features(facts: MatrixFacts) -> tuple[int, ...]:
    return (facts.features, facts.maps)


def _as_convolution(facts: MatrixFacts) -> tuple[str, ...]:
    if facts.batched:
        return ("a batch of matrices",)
    return ("a product whose first operand is transposed",) if facts.turned else ("",)


def _around(facts: MatrixFacts) -> tuple[str, ...]:
    """Always a finding: the layer itself is legal, the shuffles that its rank asks for are not."""
    return (f"{facts.rank} dimensions",) if facts.rank < 4 else ("the features in the last dimension",)


def _for_matrix(facts: MatrixFacts) -> str:
    return "gemm-to-conv" if facts.rank <= 2 else "matmul-tokens"


_D, _L = Evidence.DOCUMENTED, Evidence.LOG
_matrix = functools.partial(Rule, layer="MatrixMultiply.CONSTANT", ops=("Gemm", "MatMul"))

RULES = (
    _matrix(
        id="FC-CONST",
        title="A matrix product with a constant is a 1x1 convolution",
        quantity=("product",),
        limit=Must("one of an activation with one constant matrix"),
        measure=_as_convolution,
        evidence=_D,
        sources=("DLASW",),
        cure="gemm-to-conv",
        choose=_for_matrix,
        explanation="TensorRT re-expresses Gemm and MatMul with a constant second operand as a 1x1 convolution.",
    ),
    _matrix(
        id="FC-FEATURES",
        title="Features of a matrix product",
        quantity=("input features", "output features"),
        limit=Between(1, 8192),
        measure=_features,
        evidence=_D,
        sources=("HDR", "LAT"),
        cure="gemm-to-conv",
        choose=_for_matrix,
        explanation="GEN-DIM and CONV-OUTMAPS, applied to the convolution that stands for the product.",
    ),
    _matrix(
        id="FC-RESHAPE",
        title="A matrix product on less than four dimensions has Shuffles beside it",
        quantity=("input",),
        limit=Must("[N, C, 1, 1] to need no Shuffle beside the layer"),
        measure=_around,
        evidence=_L,
        effect="uncertain",
        sources=("TUT", "KR"),
        cure="gemm-to-conv matmul-tokens",
        choose=_for_matrix,
        explanation="The layer itself was seen as a DLA node of its own; the Shuffles around it ran on the GPU.",
    ),
    Rule(
        id="MM-ACT",
        title="A matrix product of two activations runs on the GPU",
        layer="MatrixMultiply.ACTIVATIONS, Einsum, Attention",
        ops=("MatMul", "Gemm", "Einsum", "Attention"),
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        sources=("DLASW",),
        cure="einsum",
        scope=Scope.MATRIX,
    ),
)

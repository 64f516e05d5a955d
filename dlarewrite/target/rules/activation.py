"""Activations and parametric ReLU."""

from __future__ import annotations

import functools

from dlarewrite.target.facts import ActivationFacts, SlopeFacts
from dlarewrite.target.limits import AtLeast, Between, Equals, Must
from dlarewrite.target.rule import INT8_ONLY, MATRIX_LIMIT, SINCE_84, Rule, Scope
from dlarewrite.target.rules.shared import rank
from dlarewrite.target.verdict import Evidence


def _low(facts: ActivationFacts) -> tuple[float, ...]:
    return (facts.low,)


def _high(facts: ActivationFacts) -> tuple[float, ...]:
    return (facts.high,)


def _alpha(facts: ActivationFacts) -> tuple[float, ...]:
    return (facts.alpha,)


def _slopes(facts: SlopeFacts) -> tuple[str, ...]:
    return ("" if facts.constant else "computed at run time",)


def _slope_rank(facts: SlopeFacts) -> tuple[str, ...]:
    return ("" if len(facts.slopes) == facts.rank else f"{len(facts.slopes)} beside {facts.rank}",)


def _slope_shape(facts: SlopeFacts) -> tuple[str, ...]:
    aligned = (1,) * (facts.rank - len(facts.slopes)) + facts.slopes
    fits = all(s in (1, n) for s, n in zip(aligned, facts.data, strict=True))
    return ("" if fits else f"{facts.slopes} beside {facts.data}",)


_D = Evidence.DOCUMENTED
_ALL = ("Relu", "Sigmoid", "Tanh", "LeakyRelu", "Clip")
_OTHER = "Elu Selu Celu HardSigmoid HardSwish Softplus Softsign ThresholdedRelu Gelu Mish"
_activation = functools.partial(Rule, layer="Activation", ops=_ALL)
_prelu = functools.partial(Rule, layer="ParametricReLU", ops=("PRelu",), profiles=SINCE_84)

RULES = (
    _activation(
        id="ACT-LIST",
        title="Activations of the DLA: ReLU, Sigmoid, TanH, clipped ReLU, leaky ReLU",
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        sources=("LAT", "N86", "HDR"),
        scope=Scope.MATRIX,
        explanation="The header names RELU, SIGMOID, TANH and CLIP; leaky ReLU stands in the guide and in NVIDIA's "
        "operator table.",
    ),
    _activation(
        id="ACT-2D",
        title="Activations have two spatial dimensions",
        quantity=("number of dimensions",),
        limit=AtLeast(4),
        measure=rank,
        evidence=_D,
        sources=("LAT",),
        cure="lift-to-4d",
    ),
    _activation(
        id="ACT-CLIP-LO",
        title="Lower bound of a clip",
        layer="Activation.CLIP",
        ops=("Clip",),
        quantity=("lower bound",),
        limit=Equals(0),
        measure=_low,
        evidence=_D,
        sources=("OPS",),
        cure="clip-bounds",
        explanation="A missing lower bound becomes the lowest float.",
    ),
    _activation(
        id="ACT-CLIP-HI",
        title="Upper bound of a clip",
        layer="Activation.CLIP",
        ops=("Clip",),
        quantity=("upper bound",),
        limit=Between(1, 127),
        measure=_high,
        evidence=_D,
        sources=("N86", "OPS"),
        cure="clip-bounds",
        explanation="The guide says [1, 127], the operator page at most 127.",
    ),
    _activation(
        id="ACT-NEGSLOPE",
        title="Slope of a leaky ReLU",
        layer="Activation.LEAKY_RELU",
        ops=("LeakyRelu",),
        quantity=("slope",),
        limit=AtLeast(0),
        measure=_alpha,
        evidence=_D,
        sources=("N86",),
        cure="leaky-forms",
    ),
    _activation(
        id="ACT-INT8-UP",
        title="Sigmoid and TanH are computed in FP16 in an INT8 build",
        layer="Activation.SIGMOID, Activation.TANH",
        ops=("Sigmoid", "Tanh"),
        quantity=("precision",),
        limit=Must("FP16"),
        evidence=_D,
        effect="note",
        sources=("N86", "CN84"),
        precisions=INT8_ONLY,
        scope=Scope.NOTE,
    ),
    _activation(
        id="ACT-OTHER",
        title="Other activations run on the GPU",
        ops=tuple(_OTHER.split()),
        quantity=("layer",),
        limit=MATRIX_LIMIT,
        evidence=_D,
        sources=("OPS", "DLASW"),
        cure="elu hard-sigmoid hard-swish softplus softsign leaky-forms gelu swish-mish",
        scope=Scope.MATRIX,
    ),
    _prelu(
        id="PRELU-CONST",
        title="Slopes of a PRelu are constant",
        quantity=("slopes",),
        limit=Must("build-time constants"),
        measure=_slopes,
        evidence=_D,
        sources=("HDR", "N86"),
        cure="leaky-forms",
        explanation="TensorRT 8.2 has no parametric ReLU on the DLA.",
    ),
    _prelu(
        id="PRELU-RANK",
        title="Slopes of a PRelu have the input's rank",
        quantity=("rank of the slopes",),
        limit=Must("that of the input"),
        measure=_slope_rank,
        evidence=_D,
        effect="uncertain",
        sources=("N86", "OT"),
        cure="const-operand",
        explanation="The parser adds the missing dimensions by a Shuffle on the constant; that this is folded is "
        "inferred. Slopes written with the input's rank need none.",
    ),
    _prelu(
        id="PRELU-SHAPE",
        title="Shape of a PRelu's slopes",
        quantity=("slopes",),
        limit=Must("as large as the input, or 1, in every dimension"),
        measure=_slope_shape,
        evidence=_D,
        sources=("OPS",),
        cure="leaky-forms",
    ),
    _prelu(
        id="PRELU-2D",
        title="PRelu has two spatial dimensions",
        quantity=("number of dimensions",),
        limit=AtLeast(4),
        measure=rank,
        evidence=_D,
        sources=("LAT",),
        cure="lift-to-4d",
        explanation="ACT-2D for PRelu.",
    ),
)

"""Every operator of ONNX's default domain -> what TensorRT's parser makes of it.

``COMPUTED`` operators need a look at the node; ``FIXED`` ones always give the same layers; ``NOT_IMPORTED`` ones have no
importer, so that TensorRT refuses the model unless the node is folded away before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from dlarewrite.target.facts import Layer, NodeView
from dlarewrite.target.lowering import activation, conv, elementwise, reduce, resample, shuffle

Lowering = Callable[[NodeView], tuple[Layer, ...]]

COMPUTED: Mapping[str, Lowering] = MappingProxyType(
    {
        "Conv": conv.convolution,
        "ConvTranspose": conv.deconvolution,
        "MaxPool": conv.max_pool,
        "AveragePool": conv.average_pool,
        "Relu": activation.activation,
        "Sigmoid": activation.activation,
        "Tanh": activation.activation,
        "LeakyRelu": activation.leaky_relu,
        "Clip": activation.clip,
        "HardSwish": activation.hard_swish,
        "Mish": activation.mish,
        "PRelu": activation.prelu,
        "Add": elementwise.elementwise,
        "Sub": elementwise.elementwise,
        "Mul": elementwise.elementwise,
        "Div": elementwise.elementwise,
        "Pow": elementwise.elementwise,
        "Max": elementwise.elementwise,
        "Min": elementwise.elementwise,
        "Sum": elementwise.elementwise,
        "Mean": elementwise.mean,
        "Equal": elementwise.elementwise,
        "Greater": elementwise.elementwise,
        "Less": elementwise.elementwise,
        "GreaterOrEqual": elementwise.comparison_or_equal,
        "LessOrEqual": elementwise.comparison_or_equal,
        "BatchNormalization": elementwise.batch_normalization,
        "Concat": shuffle.concat,
        "Slice": shuffle.slices,
        "Split": shuffle.split,
        "Pad": shuffle.pad,
        "Reshape": shuffle.reshape,
        "Transpose": shuffle.transpose,
        "Resize": resample.resize,
        "Upsample": resample.resize,
        "ReduceMax": reduce.reduce,
        "ReduceMean": reduce.reduce,
        "ReduceMin": reduce.reduce,
        "ReduceSum": reduce.reduce,
        "ReduceProd": reduce.reduce,
        "ReduceL1": reduce.reduce,
        "ReduceL2": reduce.reduce,
        "ReduceLogSum": reduce.reduce,
        "ReduceLogSumExp": reduce.reduce,
        "ReduceSumSquare": reduce.reduce,
        "GlobalAveragePool": reduce.global_pool,
        "GlobalMaxPool": reduce.global_pool,
        "Softmax": reduce.softmax,
        "LogSoftmax": reduce.softmax,
        "LRN": reduce.lrn,
        "Gemm": reduce.gemm,
        "MatMul": reduce.matmul,
        "Cast": shuffle.cast,
        "CastLike": shuffle.cast,
    }
)

_FIXED_TEXT = """
Abs Unary.ABS|Sin Unary.SIN|Cos Unary.COS|Atan Unary.ATAN|Atanh Unary.ATANH
Neg Unary.NEG|Exp Unary.EXP|Log Unary.LOG|Sqrt Unary.SQRT|Reciprocal Unary.RECIP|Erf Unary.ERF|Floor Unary.FLOOR
Ceil Unary.CEIL|Round Unary.ROUND|Sign Unary.SIGN|Not Unary.NOT|Tan Unary.TAN|Sinh Unary.SINH|Cosh Unary.COSH
Asin Unary.ASIN|Acos Unary.ACOS|Asinh Unary.ASINH|Acosh Unary.ACOSH|IsInf Unary.ISINF|IsNaN Unary.ISNAN
Elu Activation.ELU|Selu Activation.SELU|Celu Activation.ELU|HardSigmoid Activation.HARD_SIGMOID
Softplus Activation.SOFTPLUS|Softsign Activation.SOFTSIGN|ThresholdedRelu Activation.THRESHOLDED_RELU
Gelu Activation.GELU
And ElementWise.AND|Or ElementWise.OR|Xor ElementWise.XOR|Mod ElementWise.MOD
Flatten Shuffle.FLATTEN|Squeeze Shuffle.FLATTEN|Unsqueeze Shuffle.FLATTEN
DepthToSpace Shuffle.BLOCKS|SpaceToDepth Shuffle.BLOCKS
Tile Slice.TILE|Expand Slice.EXPAND
Gather Gather|GatherElements Gather|GatherND Gather|Scatter Scatter|ScatterElements Scatter|ScatterND Scatter
Where Select|Shrink Select|TopK TopK|ArgMax TopK|ArgMin TopK|Hardmax TopK|NonMaxSuppression NMS
CumSum Cumulative|GridSample GridSample|RoiAlign ROIAlign|OneHot OneHot|NonZero NonZero|Trilu Select
ReverseSequence ReverseSequence|EyeLike Fill|Range Fill|RandomNormal Fill|RandomNormalLike Fill
RandomUniform Fill|RandomUniformLike Fill|ConstantOfShape Fill|Shape Shape|Size Shape|Constant Constant
Einsum Einsum|Attention Attention
InstanceNormalization Normalization|LayerNormalization Normalization|GroupNormalization Normalization
RMSNormalization Normalization|MeanVarianceNormalization Normalization|LpNormalization Normalization
LSTM Recurrence|GRU Recurrence|RNN Recurrence|Loop Loop|Scan Loop|If Conditional
Identity Identity|Dropout Identity
QuantizeLinear Quantize|DequantizeLinear Dequantize
LpPool Pooling.LP|GlobalLpPool Reduce.LP
"""
FIXED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {op: (kind,) for op, kind in (entry.split() for entry in _FIXED_TEXT.replace("\n", "|").split("|") if entry.strip())}
)

NOT_IMPORTED = frozenset(
    """AffineGrid Bernoulli BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow CausalConvWithState
    CenterCropPad Col2Im Compress ConcatFromSequence ConvInteger CumProd DFT DeformConv Det DynamicQuantizeLinear
    HammingWindow HannWindow ImageDecoder LinearAttention MatMulInteger MaxRoiPool MaxUnpool MelWeightMatrix Multinomial
    NegativeLogLikelihoodLoss Optional OptionalGetElement OptionalHasElement QLinearConv QLinearMatMul RegexFullMatch
    RotaryEmbedding STFT SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength
    SequenceMap SoftmaxCrossEntropyLoss SplitToSequence StringConcat StringNormalizer StringSplit SwiGLU Swish
    TensorScatter TfIdfVectorizer Unique""".split()
)

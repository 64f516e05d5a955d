"""What a refusal without a reason can mean: the rules of a layer type, as far as a profile has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from dlarewrite.target import Profile, rulebook
from dlarewrite.target.layer_names import anonymous, stems

_TEXT = """
ACTIVATION ACT-OTHER ACT-CLIP-LO ACT-CLIP-HI ACT-NEGSLOPE ACT-2D
ASSERTION NODLA
CAST CAST
CONCATENATION CAT-AXIS CAT-N CAT-4D CAT-HW CAT-CONST
CONDITION NODLA
CONSTANT GEN-CONST CONST-FOLD
CONVOLUTION CONV-CBUF CONV-KERNEL CONV-STRIDE CONV-PAD CONV-2D GEN-STATIC
CUMULATIVE NODLA
DECONVOLUTION DECONV-K=S DECONV-PAD DECONV-GROUP DECONV-DIL DECONV-KERNEL DECONV-SQ23
DEQUANTIZE QDQ Q-QDQ-NAIVE
EINSUM MM-ACT
ELEMENTWISE EW-LIST EW-DIV EW-POW EW-BCAST EW-2D EW-CONST GEN-DTYPE
FILL NODLA
FULLY_CONNECTED FC-CONST FC-RESHAPE FC-FEATURES
GATHER NODLA GEN-DTYPE
GRID_SAMPLE NODLA
IDENTITY IDENT CAST
LOOP NODLA
LRN LRN-WIN LRN-4D
MATRIX_MULTIPLY MM-ACT FC-CONST FC-RESHAPE
NMS NODLA
NON_ZERO NODLA
NORMALIZATION NODLA
ONE_HOT NODLA
PADDING SLICE-FILL
PARAMETRIC_RELU PRELU-CONST PRELU-RANK PRELU-SHAPE
PLUGIN GEN-PLUGIN
PLUGIN_V2 GEN-PLUGIN
PLUGIN_V3 GEN-PLUGIN
POOLING POOL-WIN POOL-PAD POOL-STRIDE POOL-EXCL-82 POOL-EXCL-X
QUANTIZE QDQ Q-QDQ-NAIVE
RAGGED_SOFTMAX NODLA
RECURRENCE NODLA
REDUCE RED-MAX RED-AVG RED-4D RED-AXES
RESIZE RSZ-SCALES RSZ-LIN-MODE RSZ-NEAR-82 RSZ-NEAR-MODE RSZ-LIN RSZ-NEAR RSZ-MODE
REVERSE_SEQUENCE NODLA
ROI_ALIGN NODLA
SCALE SCALE-2D SCALE-MODE SCALE-POW
SCATTER NODLA
SELECT NODLA GEN-DTYPE
SHAPE NODLA GEN-DTYPE
SHUFFLE SHUF-LOG-X82 SHUF-FLAT SHUF-4D SHUF-BATCH SHUF-NEIGH FC-RESHAPE GEN-RANK
SLICE SLICE-NONE SLICE-4D SLICE-STRIDE SLICE-NOTN SLICE-MODE SLICE-STATIC GEN-DTYPE
SOFTMAX SMAX-ORIN SMAX-AXIS SMAX-4D SMAX-OPT
TOPK NODLA
TRIP_LIMIT NODLA
UNARY UNARY-NO UNARY-ABS UNARY-4D GEN-DTYPE
"""
RULES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {words[0]: tuple(words[1:]) for words in (line.split() for line in _TEXT.strip().splitlines())}
)
_FROM_OP = MappingProxyType(
    {
        **dict.fromkeys(
            ("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "DepthToSpace", "Shuffle"), "SHUFFLE"
        ),
        **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "ElementWise"), "ELEMENTWISE"),
        **dict.fromkeys(("Slice", "Split", "Tile", "Expand", "Pad"), "SLICE"),
        **dict.fromkeys(("Concat", "Concatenation"), "CONCATENATION"),
        **dict.fromkeys(("Conv", "Convolution"), "CONVOLUTION"),
        **dict.fromkeys(("ConvTranspose", "Deconvolution"), "DECONVOLUTION"),
        **dict.fromkeys(("MaxPool", "AveragePool", "Pooling"), "POOLING"),
        **dict.fromkeys(("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Clip", "Activation"), "ACTIVATION"),
        **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax", "Reduce"), "REDUCE"),
        **dict.fromkeys(("Gemm", "MatMul", "MatrixMultiply"), "MATRIX_MULTIPLY"),
        **dict.fromkeys(("Softmax", "SoftMax"), "SOFTMAX"),
        **dict.fromkeys(("Resize", "Upsample"), "RESIZE"),
        **dict.fromkeys(("Exp", "Sqrt", "Erf", "Floor", "Ceil", "Neg", "Abs", "Unary"), "UNARY"),
        **dict.fromkeys(("Gather", "GatherElements", "GatherND"), "GATHER"),
        "Constant": "CONSTANT",
        "Cast": "CAST",
        "Identity": "IDENTITY",
        "Shape": "SHAPE",
        "Where": "SELECT",
        "TopK": "TOPK",
        "Scale": "SCALE",
    }
)
_KIND = re.compile(r" \[(?P<kind>[A-Za-z]+)\]$")


def type_of(name: str, said: str = "") -> tuple[str, bool]:
    """The layer's type in TensorRT's capitals, and whether it is only guessed from the name; ("", True) for unknown."""
    if said:
        return said, False
    kind = anonymous(name)
    if not kind:
        found = _KIND.search(name)
        kind = found["kind"] if found is not None else ""
    if kind:
        known = _FROM_OP.get(kind, kind.upper())
        return (known, False) if known in RULES else ("", True)
    for stem, _ in stems(name):
        op = re.split(r"[/.:]", stem)[-1]
        if op in _FROM_OP:
            return _FROM_OP[op], True
    return "", True


def rules_of(kind: str, profile: Profile) -> tuple[str, ...]:
    """The rules that can be behind a refusal of this type on the profile, likeliest first.

    Where none is told of the profile, it lacks the layer as such, which the type's first rule says.
    """
    book, rules = rulebook(), RULES.get(kind, ())
    return tuple(r for r in rules if r in book and profile.column in book.get(r).profiles) or rules[:1]

"""Sentences in which TensorRT says why the DLA refuses a layer."""

from __future__ import annotations

import functools
import re
from types import MappingProxyType

from dlarewrite.explain.pattern import Pattern, Role
from dlarewrite.target import Evidence

_LOG, _INFERRED = Evidence.LOG, Evidence.INFERRED
_reason = functools.partial(Pattern, role=Role.REASON, evidence=_LOG)

_OPERATIONS = MappingProxyType(
    {
        "DIV": ("EW-DIV",),
        "POW": ("EW-POW",),
        "MIN": ("EW-MIN?",),
        **dict.fromkeys(("EQUAL", "GREATER", "LESS"), ("CMP-LIST",)),
        **dict.fromkeys(("SUM", "SUB", "PROD", "MAX", "FLOOR_DIV", "AND", "OR", "XOR"), ("EW-LIST",)),
    }
)
_KINDS = MappingProxyType({"ABS": ("UNARY-ABS",), "SIN": ("UNARY-OPS",), "COS": ("UNARY-OPS",), "ATAN": ("UNARY-OPS",)})

REASONS = (
    _reason(
        id="elementwise-operation",
        literal="DLA cores do not support",
        regex=re.compile(r"^(?P<layer>.+?): DLA cores do not support (?P<op>\w+) ElementWise operation"),
        example="/model.22/Div: DLA cores do not support DIV ElementWise operation.",
        meaning="the DLA of this release lacks the element-wise operation",
        rules=("EW-LIST",),
        by_op=_OPERATIONS,
        sources=("ult#16449", "tut#3"),
        since=(8, 4),
    ),
    _reason(
        id="reduce-operation",
        literal="DLA cores do not support",
        regex=re.compile(r"^(?P<layer>.+?): DLA cores do not support (?P<op>\w+) Reduce operation"),
        example="/avgpool/GlobalAveragePool: DLA cores do not support AVG Reduce operation.",
        meaning="the DLA reduces by MAX only, and only from TensorRT 8.6.12 on",
        rules=("RED-MAX",),
        by_op=MappingProxyType({"AVG": ("RED-AVG", "RED-MAX")}),
        sources=("KR", "SAMQ"),
        since=(8, 4),
    ),
    _reason(
        id="core-operation",
        literal="DLA cores do not support",
        regex=re.compile(r"^(?P<layer>.+?): DLA cores do not support (?P<op>\w+)(?: (?P<kind>\w+))?(?: operation)?\b"),
        example="/round/Floor: DLA cores do not support FLOOR Unary operation.",
        meaning="the DLA of this release lacks the operation",
        rules=("UNARY-NO",),
        by_op=_KINDS,
        evidence=_INFERRED,
        sources=("SAMQ", "here"),
        since=(8, 4),
    ),
    _reason(
        id="unary-operation",
        literal="Unary operation",
        regex=re.compile(r"^(?:(?P<layer>.+?): )?Unary operation: (?P<op>\w+) is not supported on DLA"),
        example="Unary operation: CEIL is not supported on DLA",
        meaning="of the unary operations the DLA has ABS, and later releases SIN, COS and one arc tangent",
        rules=("UNARY-NO",),
        by_op=_KINDS,
        sources=("#4486",),
        since=(8, 4),
    ),
    _reason(
        id="activation-type",
        literal="not supported for DLA",
        regex=re.compile(
            r"^(?P<layer>.+?): ActivationLayer \(with ActivationType = (?P<op>\w+)\) not supported for DLA"
        ),
        example="leaky_1: ActivationLayer (with ActivationType = LEAKY_RELU) not supported for DLA.",
        meaning="the DLA of this release lacks the activation",
        rules=("ACT-OTHER",),
        by_op=MappingProxyType({"LEAKY_RELU": ("ACT-LIST", "ACT-NEGSLOPE"), "CLIP": ("ACT-CLIP-LO", "ACT-CLIP-HI")}),
        sources=("dsyolo#27",),
        until=(8, 0),
    ),
    _reason(
        id="dynamic-shapes",
        literal="does not support dynamic shapes",
        regex=re.compile(r"^DLA Layer (?P<layer>.+?) does not support dynamic shapes in any dimension"),
        example="DLA Layer stage/unit1/concat does not support dynamic shapes in any dimension.",
        meaning="a tensor of the layer has a dimension that the build does not fix",
        rules=("GEN-STATIC",),
        sources=("tf2onnx#1632", "#2319"),
        until=(8, 6),
    ),
    _reason(
        id="batch-size",
        literal="exceeds max batch size allowed of",
        regex=re.compile(
            r"Batch size \(combined volume except for CHW dimensions\) \d+ for layer (?P<layer>.+?) "
            r"exceeds max batch size allowed of \d+"
        ),
        example="DLA LAYER: Batch size (combined volume except for CHW dimensions) 128 for layer EltWise "
        "multiplication "
        "exceeds max batch size allowed of 32.",
        meaning="all dimensions before C, H and W together are the DLA's batch, and it is too large",
        rules=("GEN-BATCH-OLD", "GEN-BATCH"),
        cure="split the batch, or build with a smaller one",
        sources=("#2318",),
    ),
    _reason(
        id="dimension-size",
        literal="exceeds maximum allowed size for DLA",
        regex=re.compile(r"^(?:(?P<layer>.+?): )?Dimension: \d+ \(\d+\) exceeds maximum allowed size for DLA: \d+"),
        example="Dimension: 3 (22680) exceeds maximum allowed size for DLA: 8192",
        meaning="a dimension other than the batch is larger than the DLA can count",
        rules=("GEN-DIM",),
        cure="keep the tensor in two spatial dimensions (cut off the flattened head), or lower the input's resolution",
        sources=("SAMQ",),
        since=(10, 3),
    ),
    _reason(
        id="precision",
        role=Role.FALLBACK,
        literal="DLA only supports FP16 and Int8 precision type",
        regex=re.compile(
            r"DLA only supports FP16 and Int8 precision type\. Switching (?P<layer>.+?) device type to GPU"
        ),
        example="DLA only supports FP16 and Int8 precision type. Switching (Unnamed Layer* 275) [Gather] device "
        "type to GPU.",
        meaning="the layer computes on integers or booleans, or in FP32",
        rules=("GEN-DTYPE",),
        sources=("tf2onnx#1632",),
    ),
    _reason(
        id="slice-rank",
        literal="DLA only supports slicing 4 dimensional tensors",
        regex=re.compile(r"^(?P<layer>.+?): DLA only supports slicing 4 dimensional tensors"),
        example="/model.22/Slice_1: DLA only supports slicing 4 dimensional tensors.",
        meaning="the sliced tensor has more or fewer than four dimensions",
        rules=("SLICE-4D",),
        sources=("ult#16449", "ult#18012", "ult#23488"),
        since=(8, 4),
    ),
    _reason(
        id="slice-mode",
        literal="DLA does not support out-of-bounds slice operation",
        regex=re.compile(r"^(?P<layer>.+?): DLA does not support out-of-bounds slice operation"),
        example="/model.23/Tile_1: DLA does not support out-of-bounds slice operation. Set slice mode to "
        "SliceMode::kDEFAULT to allow the layer to be offloaded to DLA.",
        meaning="the parser made a Slice that wraps or fills of the node (Tile, Pad), and the DLA only cuts",
        rules=("SLICE-MODE", "SLICE-FILL"),
        sources=("ult#23488",),
        since=(8, 4),
    ),
    _reason(
        id="concat-axis",
        literal="DLA only supports concatenation on the C dimension",
        regex=re.compile(r"^(?P<layer>.+?): DLA only supports concatenation on the C dimension"),
        example="/model.23/Concat_4: DLA only supports concatenation on the C dimension.",
        meaning="the axis is not the third from last; of a tensor with three dimensions axis 1 is H, not C",
        rules=("CAT-AXIS",),
        sources=("ult#18012", "ult#23488"),
        since=(8, 4),
    ),
    _reason(
        id="concat-inputs",
        literal="Concatenation on DLA requires at least two inputs",
        regex=re.compile(r"^(?P<layer>.+?): Concatenation on DLA requires at least two inputs"),
        example="layer84-route: Concatenation on DLA requires at least two inputs.",
        meaning="a concatenation of one tensor is a copy, and the DLA does not copy",
        rules=("CAT-N",),
        sources=("yolov3#86", "dsyolo#27"),
    ),
    _reason(
        id="reshape-neighbour",
        literal="does not support reshape layers directly connected to Slice or Concat",
        regex=re.compile(
            r"^(?:(?P<layer>.+?): )?This version of DLA does not support reshape layers directly connected to Slice "
            r"or Concat"
        ),
        example="This version of DLA does not support reshape layers directly connected to Slice or Concat",
        meaning="the reshape is legal by itself, its neighbour makes it illegal",
        rules=("SHUF-NEIGH",),
        sources=("ult#18012", "ult#23488"),
        since=(8, 5),
    ),
    _reason(
        id="input-rank",
        literal="Input tensor has less than 4 dimensions",
        regex=re.compile(r"Input tensor has less than 4 dimensions(?: for (?P<layer>.+?)(?:\.(?: |$)|$))?"),
        example="Input tensor has less than 4 dimensions",
        meaning="TensorRT adds a Shuffle in front, and that Shuffle cannot go to the DLA",
        rules=("GEN-RANK",),
        sources=("ult#23488",),
        since=(8, 4),
    ),
    _reason(
        id="convolution-buffer",
        literal="or weights",
        regex=re.compile(
            r"^(?:(?P<layer>\S.{0,1000}?): )?.{0,400}?\breduce (?:the )?size of (?:the )?input or weights"
        ),
        example="/conv/Conv: reduce size of input or weights",
        meaning="the weights of one kernel and the rows that it spans do not fit the convolution buffer together",
        rules=("CONV-CBUF", "CONV-CBUF-WARN"),
        evidence=_INFERRED,
        sources=("#3499", "here"),
        since=(8, 4),
    ),
    _reason(
        id="convolution-buffer-check",
        literal="CBUF",
        regex=re.compile(r"^(?:(?P<layer>\S.{0,1000}?): )?.{0,400}?\bCBUF\b"),
        example="/conv/Conv: CBUF validation failed.",
        meaning="TensorRT's own check says that the convolution does not fit the convolution buffer",
        rules=("CONV-CBUF", "CONV-CBUF-WARN"),
        evidence=_INFERRED,
        sources=("DLASW", "here"),
        since=(8, 6),
    ),
    _reason(
        id="parser-report",
        literal="DLA validation failed for layer:",
        regex=re.compile(r"DLA validation failed for layer: (?P<layer>.+?)(?:\s*$|\")"),
        example="DLA validation failed for layer: /avgpool/GlobalAveragePool",
        meaning="the parser was asked to report DLA capability, and the layer cannot run there",
        rules=("GEN-WHY",),
        evidence=Evidence.DOCUMENTED,
        sources=("OT", "ORTEP"),
        since=(10, 15),
    ),
    _reason(
        id="type-unsupported",
        literal="is unsupported on DLA",
        regex=re.compile(r"(?P<layer>\S+) is unsupported on DLA"),
        example="/model.10/m/m.0/attn/MatMul is unsupported on DLA",
        meaning="the DLA has no such layer",
        evidence=_INFERRED,
        sources=("Y11D", "here"),
        since=(10, 0),
    ),
)

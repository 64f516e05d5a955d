"""Sentences in which TensorRT says that a layer leaves the DLA."""

from __future__ import annotations

import functools
import re

from dlarewrite.explain.pattern import Pattern, Role
from dlarewrite.target import Evidence

_LOG = Evidence.LOG
_fallback = functools.partial(Pattern, role=Role.FALLBACK, evidence=_LOG)

FALLBACKS = (
    _fallback(
        id="unsupported",
        literal="Unsupported on DLA",
        regex=re.compile(r"^Layer '(?P<layer>.+)' \((?P<type>\w+)\): Unsupported on DLA"),
        example="Layer '/model.22/Reshape' (SHUFFLE): Unsupported on DLA. Switching this layer's device type to GPU.",
        meaning="the layer leaves the DLA; where there is a reason, it stands in the line before",
        sources=("ult#16449", "ult#18012", "tut#3", "KR"),
        since=(8, 4),
    ),
    _fallback(
        id="falling-back",
        literal="Default DLA is enabled but layer",
        regex=re.compile(
            r"Default DLA is enabled but layer (?P<layer>.+?) is not (?:supported|running) on DLA(?:,|\.?$)"
        ),
        example="Default DLA is enabled but layer Transpose__560 is not supported on DLA, falling back to GPU.",
        meaning="the layer leaves the DLA; where there is a reason, it stands in the line before",
        sources=("#2318", "tf2onnx#1632", "dsyolo#27", "yolov3#86"),
        until=(8, 2),
    ),
    _fallback(
        id="no-fallback-old",
        literal="falling back to GPU is not enabled",
        regex=re.compile(
            r"Default DLA is enabled but layer (?P<layer>.+?) is not supported on DLA and falling back to GPU is "
            r"not enabled"
        ),
        example="Default DLA is enabled but layer 283 copy is not supported on DLA and falling back to GPU is not "
        "enabled.",
        meaning="the layer cannot run on the DLA, and the build was told to use nothing else",
        rules=("GEN-FALLBACK",),
        cure="allow GPU fallback, or cure the layer",
        sources=("#1529",),
        until=(8, 2),
    ),
    _fallback(
        id="no-fallback",
        literal="GPU fallback is not enabled",
        regex=re.compile(r"[Ll]ayer '(?P<layer>.+?)' is not supported on DLA but GPU fallback is not enabled"),
        example="Error Code 2: Internal Error (Assertion allowGPUFallback failed. Layer '644' is not supported on "
        "DLA but "
        "GPU fallback is not enabled.)",
        meaning="the layer cannot run on the DLA, and the build was told to use nothing else",
        rules=("GEN-FALLBACK",),
        cure="allow GPU fallback, or cure the layer",
        sources=("YXN",),
        since=(8, 6),
    ),
    _fallback(
        id="validation",
        literal="Validation failed for DLA layer",
        regex=re.compile(r"^Validation failed for DLA layer: (?P<layer>.+?)\. Switching to GPU fallback"),
        example="Validation failed for DLA layer: /model.10/m/m.0/attn/Reshape. Switching to GPU fallback.",
        meaning="the layer was taken at first and thrown out when its region was validated",
        sources=("ult#18012", "ult#23488"),
        since=(8, 5),
    ),
    _fallback(
        id="split",
        literal="Splitting DLA subgraph at",
        regex=re.compile(r"^Splitting DLA subgraph at: (?P<layer>.+?) because DLA validation failed for this layer"),
        example="Splitting DLA subgraph at: /model.10/m/m.0/attn/Reshape because DLA validation failed for this layer.",
        meaning="the layer cuts a region in two: one more loadable, two more crossings",
        sources=("ult#18012",),
        since=(8, 5),
    ),
    Pattern(
        id="subgraph-cap",
        role=Role.CAP,
        literal="subgraphs per DLA core",
        regex=re.compile(
            r"DLA supports only (?P<cap>\d+) subgraphs per DLA core\. Switching to GPU for layer (?P<layer>.+?)\.?$"
        ),
        example="DLA supports only 16 subgraphs per DLA core. Switching to GPU for layer /fuse2/act_1/Relu",
        meaning="the layer is legal, but all loadables of the core are used up; TensorRT drops layers in build order, "
        "not by worth",
        rules=("GEN-LOADABLES",),
        cure="cure the refusals that cut the network into pieces, or keep the best regions with "
        "`dlarewrite plan --max-loadables N`",
        evidence=_LOG,
        sources=("XSEG", "SAMQ", "yolov3#86", "dsyolo#27"),
    ),
)

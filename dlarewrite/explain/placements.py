"""Sentences that list where layers run, or that concern the build as a whole."""

from __future__ import annotations

import functools
import re

from dlarewrite.explain.pattern import Pattern, Role
from dlarewrite.target import Evidence

_LOG, _DOCUMENTED = Evidence.LOG, Evidence.DOCUMENTED
_context = functools.partial(Pattern, role=Role.CONTEXT, evidence=_LOG)
_quiet = functools.partial(Pattern, role=Role.QUIET, evidence=_LOG, meaning="an echo of settings, or a heading")

PLACEMENTS = (
    Pattern(
        id="dla-layer",
        role=Role.DLA,
        literal="[DlaLayer]",
        regex=re.compile(r"\[DlaLayer\]\s*(?P<region>.*\S)"),
        example="[DlaLayer] {ForeignNode[Conv_0...Relu_9]}",
        meaning="a loadable",
        evidence=_LOG,
        sources=("KR", "SAMPLE", "TLOG", "VGG"),
        since=(8, 0),
    ),
    Pattern(
        id="gpu-layer",
        role=Role.GPU,
        literal="[GpuLayer]",
        regex=re.compile(r"\[GpuLayer\]\s*(?:(?P<type>[A-Z][A-Z0-9_]*):\s*)?(?P<layer>.*\S)"),
        example="[GpuLayer] SHUFFLE: reshape_after_/fc/Gemm",
        meaning="a layer of the engine on the GPU",
        evidence=_LOG,
        sources=("KR", "TLOG", "VGG"),
        since=(8, 0),
    ),
    Pattern(
        id="offloaded",
        role=Role.OFFLOADED,
        literal="successfully offloaded to DLA",
        regex=re.compile(r"^(?P<region>\{.*\}) successfully offloaded to DLA"),
        example="{ForeignNode[/conv1/Conv.../layer4/layer4.2/relu_2/Relu]} successfully offloaded to DLA.",
        meaning="the DLA's compiler took the region",
        evidence=_LOG,
        sources=("KR", "F337313"),
        since=(8, 4),
    ),
    Pattern(
        id="scale-missing",
        role=Role.SCALE,
        literal="Missing scale and zero-point for tensor",
        regex=re.compile(r"Missing scale and zero-point for tensor (?P<tensor>.+?), expect fall back to non-int8"),
        example="Missing scale and zero-point for tensor 768, expect fall back to non-int8 implementation for any "
        "layer "
        "consuming or producing given tensor",
        meaning="layers that read or write the tensor run in FP16, if that is allowed, or not on the DLA",
        rules=("Q-SCALE-MISSING", "Q-REGION"),
        cure="give every tensor a scale in the calibration cache",
        evidence=_LOG,
        sources=("#3659", "#3131"),
    ),
)
CONTEXT = (
    _context(
        id="nothing-on-dla",
        literal="no layer in the network can run on DLA",
        regex=re.compile(r"setDefaultDeviceType was called but no layer in the network can run on DLA"),
        example="setDefaultDeviceType was called but no layer in the network can run on DLA.",
        meaning="everything runs on the GPU",
        sources=("#2318",),
    ),
    _context(
        id="candidates",
        literal="DLA node candidates offloaded",
        regex=re.compile(r"Number of DLA node candidates offloaded ?: (?P<done>\d+) out of (?P<all>\d+)"),
        example="Number of DLA node candidates offloaded : 2 out of 2",
        meaning="how many regions the DLA's compiler took",
        sources=("KR",),
    ),
    _context(
        id="reformat-needed",
        literal="conforms with I/O format restrictions",
        regex=re.compile(
            r"No implementation conforms with I/O format restrictions; at least (?P<count>\d+) reformatting"
        ),
        example="No implementation conforms with I/O format restrictions; at least 1 reformatting nodes are needed.",
        meaning="the chosen input and output formats are not those of the layers beside them",
        rules=("IO-REFORMAT", "IO-IN", "IO-OUT"),
        cure="choose formats that the DLA reads and writes",
        sources=("cudla#36",),
    ),
    _context(
        id="all-on-dla",
        literal="No layer is running on GPU",
        regex=re.compile(r"No layer is running on GPU"),
        example="No layer is running on GPU",
        meaning="the whole network is on the DLA",
        sources=("F337313", "#3438"),
    ),
    _quiet(
        id="pools",
        literal="DLA Memory",
        regex=re.compile(r"DLA Memory (?:Pool Sizes|Consumption Summary)"),
        example="DLA Memory Pool Sizes: Managed SRAM = 1 MiB, Local DRAM = 1024 MiB, Global DRAM = 512 MiB",
        sources=("F337313",),
    ),
    _quiet(
        id="pool-option",
        literal="dlaSRAM",
        regex=re.compile(r"Memory Pools:.*dlaSRAM"),
        example="Memory Pools: workspace: default, dlaSRAM: default, dlaLocalDRAM: default, dlaGlobalDRAM: default",
        sources=("isaac#12",),
    ),
    _quiet(
        id="core-option",
        literal="DLA",
        regex=re.compile(r"DLACore: |--useDLACore|DLA Cores?: \d|--buildDLAStandalone|DLAStandalone|LayerDeviceTypes"),
        example="DLACore: 0(With GPU fallback)",
        sources=("#1301", "HDR"),
        evidence=_DOCUMENTED,
    ),
    _quiet(
        id="optimization",
        literal="After DLA optimization",
        regex=re.compile(r"After DLA optimization: \d+ layers"),
        example="After DLA optimization: 13 layers",
        sources=("#2252",),
    ),
    _quiet(
        id="fallback-summary",
        literal="allowGPUFallback failed",
        regex=re.compile(r"Assertion allowGPUFallback failed\.? ?\)?$"),
        example="Error Code 2: Internal Error (Assertion allowGPUFallback failed.)",
        sources=("YXN",),
    ),
    _quiet(
        id="driver-detail",
        literal="NVMEDIA_DLA",
        regex=re.compile(r"NVMEDIA_DLA\s*:\s*\d+, ERROR"),
        example="NVMEDIA_DLA :  528, ERROR: load from memory failed.",
        sources=("#2252", "#899"),
    ),
)

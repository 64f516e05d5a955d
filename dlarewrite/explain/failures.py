"""Sentences that end a build: assertions inside TensorRT and the DLA's driver, and what is known of them."""

from __future__ import annotations

import functools
import re

from dlarewrite.explain.pattern import Pattern, Role
from dlarewrite.target import Evidence

_failure = functools.partial(Pattern, role=Role.FAILURE, evidence=Evidence.LOG)

BISECT = (
    "halve it: `dlarewrite plan model.onnx -o plan.yaml`, take half of the regions out of the file, build it with "
    "`dlarewrite build model.onnx --no-optimize --plan plan.yaml`, and go on with the half that fails"
)
_STANDALONE = "`dlarewrite check --require-full-dla --max-loadables 1` lists what is in the way"

FAILURES = (
    _failure(
        id="tensor-cache",
        literal="Found a case where the cache is too small",
        regex=re.compile(r"Assertion nbTensors <= capacity\(\) failed\. Found a case where the cache is too small"),
        example="Error[2]: [nvmediaTensorCache.cpp::registerTensor::80] Error Code 2: Internal Error (Assertion "
        "nbTensors <= "
        "capacity() failed. Found a case where the cache is too small.)",
        meaning="an internal table of DLA tensors overflowed (seen on DRIVE Orin, TensorRT 8.3); NVIDIA took it for "
        "a bug",
        cure=f"fewer and larger loadables pass fewer tensors; else {BISECT}",
        sources=("#2307",),
        since=(8, 3),
        until=(8, 4),
    ),
    _failure(
        id="nvm-region",
        literal="RegionType::kNVM",
        regex=re.compile(r"Assertion Error in .*\(et\.region->getType\(\) == RegionType::kNVM\)"),
        example="../builder/cudnnBuilder2.cpp (1757) - Assertion Error in operator(): 0 (et.region->getType() == "
        "RegionType::kNVM)",
        meaning="the builder of TensorRT 7.1 loses track of a tensor between DLA and GPU",
        cure=f"a newer TensorRT, or {BISECT}",
        sources=("#828", "#1108"),
        until=(7, 2),
    ),
    _failure(
        id="submit",
        literal="program to DLA engine",
        regex=re.compile(r"DLA.*\(Fail(?:ure|ed) to submit program to DLA engine\.?\)"),
        example="1: [nvdlaUtils.cpp::submit::198] Error Code 1: DLA (Failure to submit program to DLA engine.)",
        meaning="the loadable was compiled, and the driver refused to run it: seen with very large inputs, with "
        "several "
        "loadables at once, and with mismatched input buffers",
        rules=("GEN-LOCALMEM", "GEN-WEIGHTS", "GEN-LOADABLES"),
        cure=f"smaller inputs, larger pools (--memPoolSize), fewer loadables; else {BISECT}",
        sources=("#2426", "#899", "#3567"),
    ),
    _failure(
        id="load",
        literal="DLA Error in deserialize",
        regex=re.compile(r"DLA Error in deserialize: \d+ \(Failure to load program\.\)"),
        example="dla/dlaUtils.cpp (171) - DLA Error in deserialize: 7 (Failure to load program.)",
        meaning="the driver cannot load the loadable: built by another TensorRT or DLA release, or too large",
        rules=("GEN-LOCALMEM", "GEN-WEIGHTS"),
        cure="build on the board that runs it",
        sources=("#2252",),
    ),
    _failure(
        id="no-implementation",
        literal="Could not find any implementation for node {ForeignNode",
        regex=re.compile(r"Could not find any implementation for node (?P<region>\{ForeignNode\[.*?\]\})"),
        example="Error Code 10: Internal Error (Could not find any implementation for node "
        "{ForeignNode[/cnn/cnn.0/Conv]}.)",
        meaning="nothing could be built for the region: where it is the DLA's, the DLA's compiler refused it and "
        "the GPU was "
        "not tried (a region of the GPU's own compiler is named ForeignNode too)",
        rules=("GEN-WHY", "Q-SCALE-MISSING", "CONV-CBUF"),
        cure=f"in an INT8 build, check that all its tensors have scales and allow --fp16; else {BISECT}",
        sources=("#3847",),
    ),
    _failure(
        id="one-graph",
        literal="should only have one graph for the whole network",
        regex=re.compile(r"Safety certified DLA should only have one graph for the whole network"),
        example="[foreignNode.cpp::determineCandidateForeignNodes::910] Error Code 2: Internal Error (Safety "
        "certified DLA "
        "should only have one graph for the whole network.)",
        meaning="DLA standalone makes exactly one loadable, and the network falls into several",
        rules=("IO-SA", "GEN-SAMEBATCH", "GEN-FALLBACK"),
        cure=_STANDALONE,
        sources=("#2752", "#4165"),
    ),
    _failure(
        id="not-all-on-dla",
        literal="Safe DLA is enabled but not all layers are running on DLA",
        regex=re.compile(r"Safe DLA is enabled but not all layers are running on DLA"),
        example="4: [standardEngineBuilder.cpp::engineValidationForSafeDLAMode::1519] Error Code 4: Internal Error "
        "(Safe DLA "
        "is enabled but not all layers are running on DLA.)",
        meaning="DLA standalone has no GPU fallback; layers or reformats are left over",
        rules=("IO-SA", "GEN-FALLBACK"),
        cure=_STANDALONE,
        sources=("#2190",),
    ),
    _failure(
        id="direct-io",
        literal="kDIRECT_IO specified but no conformant implementation exists",
        regex=re.compile(r"BuilderFlag::kDIRECT_IO specified but no conformant implementation exists"),
        example="[optimizer.cpp::checkIfDirectIOIsPossible::4316] Error Code 4: Internal Error "
        "(BuilderFlag::kDIRECT_IO "
        "specified but no conformant implementation exists)",
        meaning="the network's inputs or outputs would need a reformat, and the build forbids it",
        rules=("IO-IN", "IO-OUT", "IO-HWC4-CONV", "IO-REFORMAT"),
        cure="choose formats that the DLA reads and writes in the precision of the neighbouring layer, or allow GPU "
        "fallback",
        sources=("cudla#36", "#3438"),
    ),
    _failure(
        id="nvm-io",
        literal="forceToUseNvmIO",
        regex=re.compile(r"forceToUseNvmIO.*isDLA\(n->backend\)"),
        example="Error[2]: [nvmRegionOptimizer.cpp::forceToUseNvmIO::175] Error Code 2: Internal Error (Assertion "
        "std::all_of(a->consumers.begin(), a->consumers.end(), [](Node* n) { return isDLA(n->backend); }) failed. )",
        meaning="standalone inputs are read by a layer that is not on the DLA",
        rules=("IO-SA", "GEN-FALLBACK"),
        cure=_STANDALONE,
        sources=("cudla#34",),
    ),
    _failure(
        id="no-core",
        literal="Cannot create DLA engine",
        regex=re.compile(r"Cannot create DLA engine, (?P<core>-?\d+) not available"),
        example="Cannot create DLA engine, 0 not available",
        meaning="the machine, or the container, does not show this DLA core",
        cure="check the core's number and that the container sees the DLA's device nodes; Orin Nano has none",
        sources=("isaac#12",),
    ),
    _failure(
        id="core-range",
        literal="numEngines()",
        regex=re.compile(r"(?:dlaCore|getDLACore\(\)) >= 0 && .*numEngines\(\)"),
        example="../rtExt/dla/native/dlaExecuteRunner.cpp (135) - Assertion Error in updateContextResources: 0 "
        "(execParams.dlaCore >= 0 && execParams.dlaCore < core->numEngines())",
        meaning="no DLA core was chosen, or one that the machine lacks",
        cure="set the core (0 or 1) on the builder configuration and on the runtime",
        sources=("dsyolo#27", "mlperf05#34"),
    ),
)

"""Which trtexec options exist in which release, as data; nothing is ever emitted that the release does not have."""

from __future__ import annotations

from collections.abc import Mapping

from dlarewrite.build.release import Version, exists

# Option -> first release that has it, first release that has it no longer.
# Source: trtexec's option parser and help at the tags 8.2.1 to 11.1 (HDR, samples/common).
OPTIONS: Mapping[str, tuple[Version, Version | None]] = {
    "--adjustForDLA": ((10, 16), None),
    "--allowGPUFallback": ((8, 2), None),
    "--buildDLAStandalone": ((8, 6), None),
    "--buildOnly": ((8, 2), (8, 6)),
    "--builderOptimizationLevel": ((8, 6), None),
    "--calib": ((8, 2), (11,)),
    "--directIO": ((8, 2), None),
    "--dumpProfile": ((8, 2), None),
    "--exportLayerInfo": ((8, 2), None),
    "--exportProfile": ((8, 2), None),
    "--fp16": ((8, 2), (11,)),
    "--fp8": ((8, 6), (11,)),
    "--inputIOFormats": ((8, 2), None),
    "--int8": ((8, 2), (11,)),
    "--layerDeviceTypes": ((8, 6), None),
    "--layerPrecisions": ((8, 4), (11,)),
    "--layerOutputTypes": ((8, 4), (11,)),
    "--loadEngine": ((8, 2), None),
    "--memPoolSize": ((8, 4), None),
    "--onnx": ((8, 2), None),
    "--outputIOFormats": ((8, 2), None),
    "--precisionConstraints": ((8, 4), (11,)),
    "--profilingVerbosity": ((8, 4), None),
    "--reportCapabilityDLA": ((10, 16), None),
    "--safe": ((8, 2), None),
    "--saveEngine": ((8, 2), None),
    "--separateProfileRun": ((8, 2), None),
    "--skipInference": ((8, 6), None),
    "--sparsity": ((8, 2), None),
    "--timingCacheFile": ((8, 2), None),
    "--uint8AsymmetricQuantizationDLA": ((10, 11), None),
    "--useDLACore": ((8, 2), None),
    "--verbose": ((8, 2), None),
    "--workspace": ((8, 2), (10,)),
}


def available(option: str, release: Version) -> bool:
    """Whether trtexec of ``release`` has ``option``; an option outside the table is a mistake of the caller."""
    return exists(OPTIONS[option], release)

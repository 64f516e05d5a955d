"""TensorRT releases as this builder sees them: what each one's Python API has, and which can build for a DLA at all.

A build asks the module at hand (:func:`detect`), a laptop asks the table (:func:`known`); both give the same kind of
answer, so that steps are chosen by what is there and never by a version alone. The version decides only refusals and
cautions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dlarewrite.errors import UsageError

Version = tuple[int, ...]

_OLDEST: Version = (8, 2)
_TYPED: Version = (11,)

# Name in the tensorrt module -> first release that has it, first release that has it no longer.
# Source: the public headers and Python bindings of TensorRT 8.2 to 11.4.
PRESENCE: Mapping[str, tuple[Version, Version | None]] = {
    "BuilderFlag.DIRECT_IO": ((8, 2), None),
    "BuilderFlag.FP16": ((8, 2), (11,)),
    "BuilderFlag.FP8": ((8, 6), (11,)),
    "BuilderFlag.GPU_FALLBACK": ((8, 2), None),
    "BuilderFlag.INT8": ((8, 2), (11,)),
    "BuilderFlag.OBEY_PRECISION_CONSTRAINTS": ((8, 2), (11,)),
    "BuilderFlag.PREFER_PRECISION_CONSTRAINTS": ((8, 2), (11,)),
    "BuilderFlag.REJECT_EMPTY_ALGORITHMS": ((8, 2), (11,)),
    "BuilderFlag.SPARSE_WEIGHTS": ((8, 2), None),
    "EngineCapability.DLA_STANDALONE": ((8, 2), None),
    "IBuilderConfig.builder_optimization_level": ((8, 6), None),
    "IBuilderConfig.int8_calibrator": ((8, 2), (11,)),
    "IBuilderConfig.max_workspace_size": ((8, 2), (10,)),
    "IBuilderConfig.profiling_verbosity": ((8, 2), None),
    "IBuilderConfig.progress_monitor": ((9,), None),
    "IBuilderConfig.set_memory_pool_limit": ((8, 4), None),
    "IInt8EntropyCalibrator2": ((8, 2), (11,)),
    "ILayer.metadata": ((8, 6), None),
    "ILayer.precision": ((8, 2), (11,)),
    "IProgressMonitor": ((9,), None),
    "NetworkDefinitionCreationFlag.EXPLICIT_BATCH": ((8, 2), (11,)),
    "OnnxParserFlag.ADJUST_FOR_DLA": ((10, 16), None),
    "OnnxParserFlag.ENABLE_UINT8_AND_ASYMMETRIC_QUANTIZATION_DLA": ((10, 11), None),
}


@dataclass(frozen=True)
class Features:
    """What one TensorRT release offers: its version, and the names of :data:`PRESENCE` that exist in it."""

    version: Version
    names: frozenset[str]

    @property
    def text(self) -> str:
        """The version in dots."""
        return ".".join(map(str, self.version))

    @property
    def typed(self) -> bool:
        """Whether tensor types in the model decide precision: no FP16 flag is left to ask for it."""
        return "BuilderFlag.FP16" not in self.names

    def has(self, name: str) -> bool:
        """Whether the release has ``name``; a name outside the table is a mistake of the caller."""
        if name not in PRESENCE:
            raise KeyError(name)
        return name in self.names

    def demand(self, name: str, what: str, hint: str = "") -> None:
        """Raise :class:`UsageError` where ``what`` was asked for and the release cannot do it."""
        if self.has(name):
            return
        first, gone = PRESENCE[name]
        span = f"from {dotted(first)} on" if self.version < first else f"before {dotted(gone or first)}"
        raise UsageError(f"{what} needs {name}, which TensorRT {self.text} does not have ({span} it exists)", hint=hint)


def dotted(version: Version) -> str:
    """``(8, 6)`` as ``8.6``."""
    return ".".join(map(str, version)) if len(version) > 1 else f"{version[0]}.0"


def parse_version(text: str) -> Version:
    """The leading numbers of a version such as ``10.7.0.post1``; raises :class:`UsageError` where there are none."""
    found = re.match(r"\d+(\.\d+)*", text.strip())
    if found is None or "." not in found[0]:
        raise UsageError(f"{text!r} is no TensorRT version", hint="write it like 10.3 or 8.6.2")
    return tuple(int(part) for part in found[0].split("."))[:3]


def exists(span: tuple[Version, Version | None], version: Version) -> bool:
    """Whether a thing that came and went at the releases of ``span`` is there in ``version``."""
    first, gone = span
    return version >= first and (gone is None or version < gone)


def known(version: Version) -> Features:
    """The features that a release is documented to have."""
    return Features(version, frozenset(name for name, span in PRESENCE.items() if exists(span, version)))


def detect(trt: Any) -> Features:
    """The features of the tensorrt module at hand."""
    version = parse_version(str(trt.__version__))
    return Features(version, frozenset(name for name in PRESENCE if _reaches(trt, name)))


def _reaches(root: Any, path: str) -> bool:
    for part in path.split("."):
        if not hasattr(root, part):
            return False
        root = getattr(root, part)
    return True


def refusal(version: Version) -> str:
    """Why no engine for a DLA can be built with this release; empty where one can."""
    if version < _OLDEST:
        return f"TensorRT {dotted(version)} is older than {dotted(_OLDEST)}, the first release this builder knows"
    if _TYPED <= version < (11, 4):
        return f"TensorRT {dotted(version)} has no DLA support: 11.0 to 11.3 dropped it [W111, W113]"
    if version[:2] == (11, 4) and len(version) > 2 and version[2] < 1:
        return f"TensorRT {dotted(version)} drives the DLA of Windows-on-ARM only; Jetson AGX Orin needs 11.4.1 [W1140]"
    return ""


def caution(version: Version) -> str:
    """What is doubtful about building for a DLA with this release; empty where nothing is."""
    if version[:1] == (9,) or (10, 8) <= version < _TYPED:
        return (
            f"no Jetson package is known for TensorRT {dotted(version)}: the documentation names 10.7 the last 10.x "
            "with DLA support, while its headers go on adding DLA flags"
        )
    if version >= (11, 5):
        return f"TensorRT {dotted(version)} is newer than all that is known here (11.4.1)"
    return ""

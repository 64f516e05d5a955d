"""What a judgement is made of: verdict, evidence, finding."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Precision(str, enum.Enum):
    """The precision that the engine is built for; INT8 builds are taken to allow FP16 beside it."""

    FP16 = "fp16"
    INT8 = "int8"


class Evidence(str, enum.Enum):
    """How sure a fact is, surest first."""

    DOCUMENTED = "documented"
    LOG = "log"
    INFERRED = "inferred"
    REMEMBERED = "remembered"

    @property
    def firm(self) -> bool:
        """Whether a verdict may rest on it: NVIDIA wrote it down, or a build log shows it."""
        return self in (Evidence.DOCUMENTED, Evidence.LOG)


class Verdict(str, enum.Enum):
    """Where TensorRT will put a node."""

    DLA = "dla"
    UNCERTAIN = "uncertain"
    GPU = "gpu"
    UNKNOWN = "unknown"
    FOLDED = "folded"
    NOOP = "noop"

    @property
    def on_dla(self) -> bool:
        """Whether every permission is documented and no rule is broken."""
        return self is Verdict.DLA

    @property
    def transparent(self) -> bool:
        """Whether TensorRT makes no layer of the node: it is computed at build time, or changes nothing."""
        return self in (Verdict.FOLDED, Verdict.NOOP)


@dataclass(frozen=True)
class Finding:
    """One reason: ``rule`` is an id of the rule book, ``effect`` is "gpu", "uncertain" or "note".

    ``message`` holds the measured and the allowed value, ``cure`` a pass name or "", ``source`` keys with addresses.
    """

    rule: str
    evidence: Evidence
    effect: str
    message: str
    cure: str = ""
    source: str = ""


@dataclass(frozen=True)
class NodeVerdict:
    """The verdict on one node with all reasons, worst first."""

    verdict: Verdict
    findings: tuple[Finding, ...] = ()


_WORST_FIRST = {"gpu": 0, "uncertain": 1, "note": 2}


def sentence(findings: list[Finding]) -> NodeVerdict:
    """The verdict that the findings add up to: the worst effect decides, notes decide nothing."""
    findings.sort(key=lambda finding: _WORST_FIRST[finding.effect])
    worst = findings[0].effect
    if worst == "note":
        return NodeVerdict(Verdict.DLA, tuple(findings))
    return NodeVerdict(Verdict.GPU if worst == "gpu" else Verdict.UNCERTAIN, tuple(findings))

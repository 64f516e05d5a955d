"""Structured sparsity: what weights must look like to run on the DLA's sparse units; asked for at build time."""

from __future__ import annotations

import functools

from dlarewrite.target.limits import Must
from dlarewrite.target.rule import INT8_ONLY, ORIN, Rule, Scope
from dlarewrite.target.verdict import Evidence

_sparse = functools.partial(
    Rule,
    layer="Convolution",
    ops=("Conv",),
    evidence=Evidence.DOCUMENTED,
    profiles=ORIN,
    scope=Scope.OPTION,
    effect="note",
    cure="structured-sparsity",
)

RULES = (
    _sparse(
        id="SP-HW",
        title="Sparse units are Orin's",
        quantity=("DLA generation",),
        limit=Must("2.0 (Orin)"),
        sources=("DLASW",),
    ),
    _sparse(
        id="SP-24",
        title="Two of four neighbouring input channels are zero",
        quantity=("weights",),
        limit=Must("zero in at least 2 of every 4 consecutive input channels, for each output channel and tap"),
        sources=("DLASW",),
    ),
    _sparse(
        id="SP-C64",
        title="Sparse convolutions have more than 64 input channels",
        quantity=("input channels",),
        limit=Must("more than 64"),
        sources=("DLASW",),
    ),
    _sparse(
        id="SP-FLAG",
        title="Sparsity is switched on",
        quantity=("builder flag",),
        limit=Must("SPARSE_WEIGHTS (trtexec --sparsity=enable)"),
        sources=("HDR", "DLASW"),
        explanation="--sparsity=force overwrites dense weights, and loses accuracy.",
    ),
    _sparse(
        id="SP-MEM",
        title="Sparse convolutions are INT8, without groups, and of limited size",
        quantity=("convolution",),
        limit=Must("INT8, one group, at most 256 K INT8 elements of dense weights"),
        evidence=Evidence.REMEMBERED,
        precisions=INT8_ONLY,
        sources=("DLASW",),
        explanation="An older guide's text; DLA-SW says that its limits may be outdated on recent releases (SP-OLD).",
    ),
)

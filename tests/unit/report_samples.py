"""A report as a run would make it, small enough to read."""

from __future__ import annotations

from dataclasses import replace

from dlarewrite.numerics import Numerics
from dlarewrite.outcome import NodeEntry, Report
from dlarewrite.partition.summary import Summary
from dlarewrite.rewrite.manager import PassRecord, RefusalRecord
from dlarewrite.target import Evidence as Proof
from dlarewrite.target import Finding, load_target
from dlarewrite.verify.evidence import Evidence, InputRange
from dlarewrite.verify.outputs import OutputError

BEFORE = Summary(10, 3, 2_000_000, 1_000_000, 3, 7, 1_500_000, uncertain_nodes=1, unknown_nodes=0)
AFTER = Summary(9, 2, 2_000_000, 1_999_999, 1, 2, 4096, uncertain_nodes=1, unknown_nodes=1)


def finding(rule: str, message: str, effect: str = "gpu", cure: str = "") -> Finding:
    return Finding(rule, Proof.DOCUMENTED, effect, message, cure, "DOC (a page, https://example.com)")


NODES = (
    NodeEntry("conv", "Conv", ("c",), "dla", (finding("NOTE", "a remark", "note"),), 0),
    NodeEntry("pool1", "MaxPool", ("p1",), "gpu", (finding("POOL-WIN", "window 13, at most 8", cure="pool-window"),)),
    NodeEntry("pool2", "MaxPool", ("p2",), "gpu", (finding("POOL-WIN", "window 9, at most 8", cure="pool-window"),)),
    NodeEntry(
        "pool3",
        "MaxPool",
        ("p3",),
        "gpu",
        (finding("POOL-WIN", "window 9, at most 8", cure="pool-window"), finding("POOL-PAD", "pads 9, at most 7")),
    ),
    NodeEntry("up", "Resize", ("u",), "uncertain", (finding("RSZ-MODE", "sources differ", "uncertain"),)),
    NodeEntry("odd [red]", "Swirl", ("s",), "unknown", ()),
    NodeEntry("shape", "Shape", ("n",), "folded", ()),
)

PROOF = Evidence(
    True,
    "ROUNDING",
    "|difference| <= 1e-05 * max|reference|",
    (OutputError("scores", "float32", (1, 8), "|difference| <= 1e-05 * max|reference|", 2.5e-7, 1.25e-7, 3, (0, 1)),),
    (0, 1, 2),
    "",
    (InputRange("images", "float32", (1, 3, 8, 8), -2.0, 2.0),),
    "onnxruntime 1.0",
)

REPORT = Report(
    source="nets/a,b: 100%.onnx",
    target=load_target("orin-jp6"),
    before=BEFORE,
    nodes=NODES,
    findings=(finding("GEN-LOADABLES", "3 loadables", "note"),),
    not_checked=("whether the DLA compiler runs out of memory",),
    after=AFTER,
    passes=(
        PassRecord("pool-window", Numerics.EXACT, 2, 0.01, ["a: 13 -> 5, 5, 5", "b: 9 -> 5, 5", "c: 9 -> 5, 5"]),
        PassRecord("resize-mode", Numerics.EXACT),
    ),
    refusals=(
        RefusalRecord("fold-pad", "the pad value is 1", ("pad1",)),
        RefusalRecord("fold-pad", "the pad value is 1", ("pad2",)),
    ),
    evidence=PROOF,
)

JUDGED = replace(REPORT, after=None, passes=(), refusals=(), evidence=None)

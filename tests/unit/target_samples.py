"""The judge's answers on single nodes, and a target for each column of the support matrix."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from dlarewrite.target import Judge, NodeVerdict, Precision, load_target

COLUMN_TARGETS = {
    "X82": "xavier-jp4",
    "X85": "xavier-jp5",
    "O85": "orin-jp5",
    "O86": "orin-jp6.0",
    "D86": "drive-orin-6.0.9",
    "O10": "orin-jp6",
    "O114": "agx-orin-jp7",
}


def judge(
    made: gs.Node, target: str = "orin-jp6", precision: Precision = Precision.FP16, opset: int = 17
) -> NodeVerdict:
    return Judge(load_target(target, precision), opset).node(made)


def rules_of(verdict: NodeVerdict) -> set[str]:
    return {finding.rule for finding in verdict.findings}

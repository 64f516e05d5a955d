"""What the DLA takes: profiles of machines, the rule book, and the judge that applies it to ONNX nodes."""

from __future__ import annotations

from dlarewrite.target.judgement import Judgement, judge_graph
from dlarewrite.target.legality import Judge
from dlarewrite.target.matrix import Row, SupportMatrix, support_matrix
from dlarewrite.target.profile import DEFAULT_TARGET, Profile, Target, load_target, profiles
from dlarewrite.target.rule import Rule, RuleBook, Scope
from dlarewrite.target.rules import rulebook
from dlarewrite.target.verdict import Evidence, Finding, NodeVerdict, Precision, Verdict

__all__ = [
    "DEFAULT_TARGET",
    "Evidence",
    "Finding",
    "Judge",
    "Judgement",
    "NodeVerdict",
    "Precision",
    "Profile",
    "Row",
    "Rule",
    "RuleBook",
    "Scope",
    "SupportMatrix",
    "Target",
    "Verdict",
    "judge_graph",
    "load_target",
    "profiles",
    "rulebook",
    "support_matrix",
]

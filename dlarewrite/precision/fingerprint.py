"""A short name for a model's structure, by which a table of scales knows the model that it was made for."""

from __future__ import annotations

import hashlib

from dlarewrite.ir.model import Model


def fingerprint(model: Model) -> str:
    """16 hex digits over operators and tensor names; weights, shapes and the order of nodes do not count."""
    lines = sorted(
        f"{node.op}({','.join(t.name for t in node.inputs)})->{','.join(t.name for t in node.outputs)}"
        for node in model.nodes
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

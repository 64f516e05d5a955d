"""Follow each input to the operators that read it, and meet what they demand."""

from __future__ import annotations

from collections import deque

import onnx
from onnx import TensorProto

from dlarewrite.verify import ports
from dlarewrite.verify.consumers import DEMANDS
from dlarewrite.verify.domain import Domain
from dlarewrite.verify.facts import Facts, Use, gather
from dlarewrite.verify.indices import INDEX_DEMANDS

MAX_STEPS = 8
"""How many operators that only move data are looked through."""

_MOVES_ANY = frozenset(
    {"Concat", "Identity", "Optional", "OptionalGetElement", "SequenceConstruct", "ConcatFromSequence"}
)
_MOVES_FIRST = frozenset(
    {
        *(
            "Cast",
            "CastLike",
            "Reshape",
            "Transpose",
            "Squeeze",
            "Unsqueeze",
            "Flatten",
            "Slice",
            "Split",
            "Expand",
            "Tile",
        ),
        *("Gather", "GatherElements", "GatherND", "SequenceAt", "DepthToSpace", "SpaceToDepth", "MaxPool", "Compress"),
    }
)
_FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16})


def domains(model: onnx.ModelProto) -> dict[str, Domain]:
    """The domain of each input that the caller feeds. `model` has been through shape inference."""
    facts = gather(model)
    return {port.name: _domain(port, facts) for port in ports.input_ports(model)}


def _domain(port: ports.Port, facts: Facts) -> Domain:
    integral = port.elem_type not in _FLOATS
    found = Domain()
    queue, seen = deque([(port.name, 0)]), {port.name}
    while queue:
        name, steps = queue.popleft()
        onward = list(facts.bodies.get(name, ()))
        for node, index in facts.consumers.get(name, ()):
            use = Use(facts, node, index, integral)
            for demands in (DEMANDS, INDEX_DEMANDS):
                demanded = demands[use.op](use) if use.op in demands else None
                found = found.meet(demanded) if demanded is not None else found
            if use.op == "Cast" and port.elem_type == TensorProto.STRING:
                found = found.meet(Domain(numeric=True))
            if use.op in _MOVES_ANY or (use.op in _MOVES_FIRST and index == 0):
                onward += node.output
        fresh = [value for value in onward if value and value not in seen and steps < MAX_STEPS]
        seen.update(fresh)
        queue.extend((value, steps + 1) for value in fresh)
    return found

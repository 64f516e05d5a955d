"""The structural verifier: links, names, order, sources. It holds after every pass, or the pass is at fault."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from dlarewrite.errors import ModelError
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import label


def check_structure(model: Model) -> None:
    """Raise :class:`ModelError` with the first fault found; linear in the graph."""
    names: dict[str, gs.Tensor] = {}
    roots = {id(t) for t in model.inputs}
    made: set[int] = set(roots)
    readers: dict[int, set[int]] = {}
    for tensor in model.inputs:
        _claim(names, tensor)
    for node in model.nodes:
        for tensor in model.reads(node):
            if not tensor.name or isinstance(tensor, gs.Constant):
                if tensor.name:
                    _claim(names, tensor)
                continue
            if id(tensor) not in made:
                raise ModelError(f"{label(node)} ({node.op}) reads {tensor.name!r} before anything makes it")
        for tensor in node.inputs:
            if id(tensor) not in readers:
                readers[id(tensor)] = {id(r) for r in tensor.outputs}
            if id(node) not in readers[id(tensor)]:
                raise ModelError(f"{label(node)} reads {tensor.name!r}, which does not know it")
        for tensor in node.outputs:
            if len(tensor.inputs) != 1 or tensor.inputs[0] is not node:
                raise ModelError(f"{tensor.name!r} does not name {label(node)} as its only producer")
            if tensor.name:
                _claim(names, tensor)
            made.add(id(tensor))
            for reader in tensor.outputs:
                if reader not in model:
                    raise ModelError(f"{tensor.name!r} is read by {label(reader)}, which was erased")
    for tensor in model.outputs:
        if id(tensor) not in made and not isinstance(tensor, gs.Constant):
            raise ModelError(f"graph output {tensor.name!r} is made by nothing")


def _claim(names: dict[str, gs.Tensor], tensor: gs.Tensor) -> None:
    if names.setdefault(tensor.name, tensor) is not tensor:
        raise ModelError(f"two tensors are called {tensor.name!r}")

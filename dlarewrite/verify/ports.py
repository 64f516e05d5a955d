"""A model's inputs and outputs as plain values, and whether two models agree on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx

Dim = int | str | None
"""A static size, a symbol, or unknown."""


@dataclass(frozen=True)
class Port:
    """One graph input or output.

    `kind` is "tensor", or the container around it from outside in: "sequence", "optional", "optional sequence", "map"
    or "sparse". `elem_type` is an onnx.TensorProto.DataType of the innermost tensor; `shape` is None for unknown rank.
    """

    name: str
    kind: str
    elem_type: int
    shape: tuple[Dim, ...] | None

    @property
    def dtype(self) -> str:
        """The dtype as ONNX spells it, in lower case, such as "float" or "int64"."""
        return str(onnx.TensorProto.DataType.Name(self.elem_type)).lower()

    def __str__(self) -> str:
        shape = "?" if self.shape is None else "x".join("?" if d is None else str(d) for d in self.shape) or "scalar"
        return f"{'' if self.kind == 'tensor' else self.kind + ' of '}{self.dtype} {shape}"


@dataclass(frozen=True)
class IoChange:
    """How a changed input or output of the rewritten model relates to the original one.

    The original tensor is the changed one named `name`, with its axes permuted by `perm` (none: as they are), reshaped
    to the original shape and cast to the original dtype.
    """

    name: str
    perm: tuple[int, ...] = ()


def noted_changes(model: onnx.ModelProto) -> dict[str, IoChange]:
    """Inputs and outputs that a rewrite changed on purpose, as it noted them in the metadata (``dlarewrite.io``)."""
    for entry in model.metadata_props:
        if entry.key == "dlarewrite.io":
            return {name: IoChange(name, tuple(how["perm"])) for name, how in json.loads(entry.value).items()}
    return {}


def input_ports(model: onnx.ModelProto) -> list[Port]:
    """The inputs that a caller must feed: graph inputs without the overridable initializers."""
    given = {tensor.name for tensor in model.graph.initializer}
    given |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    return [port(info) for info in model.graph.input if info.name not in given]


def output_ports(model: onnx.ModelProto) -> list[Port]:
    """The graph outputs in order."""
    return [port(info) for info in model.graph.output]


def port(info: onnx.ValueInfoProto) -> Port:
    """Read a value info, unwrapping optionals and sequences."""
    kinds, type_proto = [], info.type
    while type_proto.WhichOneof("value") in ("optional_type", "sequence_type"):
        kind = type_proto.WhichOneof("value")
        kinds.append("optional" if kind == "optional_type" else "sequence")
        type_proto = (
            type_proto.optional_type.elem_type if kind == "optional_type" else type_proto.sequence_type.elem_type
        )
    if type_proto.WhichOneof("value") == "map_type":
        return Port(info.name, " ".join([*kinds, "map"]), 0, None)
    if type_proto.WhichOneof("value") == "sparse_tensor_type":
        return Port(info.name, " ".join([*kinds, "sparse"]), type_proto.sparse_tensor_type.elem_type, None)
    tensor = type_proto.tensor_type
    shape = tuple(_dim(d) for d in tensor.shape.dim) if tensor.HasField("shape") else None
    return Port(info.name, " ".join(kinds) or "tensor", tensor.elem_type, shape)


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    if dim.HasField("dim_value"):
        return dim.dim_value if dim.dim_value >= 0 else None
    return dim.dim_param or None


def differences(
    before: onnx.ModelProto, after: onnx.ModelProto, io_changed: Mapping[str, IoChange] | None = None
) -> list[str]:
    """Every way in which `after`'s inputs and outputs are not those of `before`, a sentence each.

    A symbolic or unknown size of `before` may have become static; names, their order and dtypes may not change. Ports
    that `io_changed` names (by their name in `before`) are only looked for under their new name.
    """
    changed = io_changed or {}
    found: list[str] = []
    for role, old, new in (
        ("input", input_ports(before), input_ports(after)),
        ("output", output_ports(before), output_ports(after)),
    ):
        found += _differences(role, old, new, changed)
    return found


def _differences(role: str, old: Sequence[Port], new: Sequence[Port], changed: Mapping[str, IoChange]) -> Iterable[str]:
    expected = [changed[p.name].name if p.name in changed else p.name for p in old]
    names = [p.name for p in new]
    if expected != names:
        missing = [name for name in expected if name not in names]
        added = [name for name in names if name not in expected]
        detail = [f"{role} {name!r} is missing" for name in missing] + [f"{role} {name!r} is new" for name in added]
        return detail or [f"{role} order changed from {', '.join(expected)} to {', '.join(names)}"]
    pairs = [(a, b) for a, b in zip(old, new, strict=True) if a.name not in changed]
    return [f"{role} {a.name!r} changed from {a} to {b}" for a, b in pairs if not _agree(a, b)]


def _agree(old: Port, new: Port) -> bool:
    if (old.kind, old.elem_type) != (new.kind, new.elem_type):
        return False
    if old.shape is None:
        return True
    if new.shape is None or len(old.shape) != len(new.shape):
        return False
    return all(a == b or not isinstance(a, int) for a, b in zip(old.shape, new.shape, strict=True))

"""Inputs for a proof: drawn from a seed so that they exercise the model, or read from the user's file."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from dlarewrite.errors import ModelError, UsageError
from dlarewrite.verify.npz import load_npz
from dlarewrite.verify.ports import Port, input_ports
from dlarewrite.verify.ranges import domains
from dlarewrite.verify.samples import BASE_SCALES, Spread, draw
from dlarewrite.verify.shell import Source, inferred, open_model

__all__ = ["Feed", "Feeder", "feeds", "load_npz"]

Feed = dict[str, Any]
"""Arrays by input name; a sequence input has a list of arrays."""

SEQUENCE_LENGTH = 3


class Feeder:
    """Draws feeds for one model; the graph is analysed once.

    `shapes` gives sizes to symbolic dimensions, by input name. A batch dimension (the first one) that stays symbolic
    is 1. Raises UsageError where another dimension stays unknown, and ModelError for an input that nothing valid can
    be drawn for; both name the input.
    """

    def __init__(self, model: Source, *, shapes: Mapping[str, tuple[int, ...]] | None = None) -> None:
        proto, _ = open_model(model)
        self.ports = input_ports(proto)
        given = shapes or {}
        known: dict[str, int] = {}
        for port in self.ports:
            _learn(port, given.get(port.name), known)
        self.shapes = {port.name: _static(port, given.get(port.name), known) for port in self.ports}
        tensors = {port.name: self.shapes[port.name] for port in self.ports if port.kind == "tensor"}
        self._domains = domains(inferred(proto, tensors))

    def draw(self, seed: int, scale: float = 1.0, *, positive: bool = False) -> Feed:
        """One array per input; the same seed gives the same numbers, whatever other inputs the model has."""
        spread = Spread(BASE_SCALES[seed % len(BASE_SCALES)], scale, positive)
        return {port.name: self._one(port, seed, spread) for port in self.ports}

    def _one(self, port: Port, seed: int, spread: Spread) -> Any:
        rng = np.random.default_rng([abs(seed), zlib.crc32(port.name.encode())])
        shape, domain = self.shapes[port.name], self._domains[port.name]
        if "sequence" not in port.kind:
            return draw(port.elem_type, shape, domain, rng, spread)
        return [draw(port.elem_type, shape, domain, rng, spread) for _ in range(SEQUENCE_LENGTH)]


def feeds(model: Source, seed: int, *, shapes: Mapping[str, tuple[int, ...]] | None = None, scale: float = 1.0) -> Feed:
    """Seeded inputs for `model`, by name: a value per graph input that is no overridable initializer.

    Floats mix normal numbers (spread by seed), wider ones up to +-8 that reach the flat ends of activations, and exact
    zeros; never NaN or infinity. Inputs that reach Sqrt, Log, a divisor and the like stay in that operator's domain.
    Bytes use their whole range; indices, sizes and axes are valid for the operator that reads them; other integers are
    0 to 3. Sequences hold three tensors, optionals are present. `scale` shrinks floats that no operator bounds.

    Raises UsageError for a dimension that is neither static nor in `shapes`, ModelError for an input of a kind that
    cannot be drawn (maps, sparse tensors).
    """
    return Feeder(model, shapes=shapes).draw(seed, scale)


def _learn(port: Port, given: tuple[int, ...] | None, known: dict[str, int]) -> None:
    """Note the sizes that a given shape sets for symbols."""
    if given is None:
        return
    if port.shape is not None and len(given) != len(port.shape):
        raise UsageError(f"input {port.name!r} is {port}, a shape of rank {len(given)} was given")
    for dim, size in zip(port.shape or (), given, strict=False):
        if isinstance(dim, int) and dim != size:
            raise UsageError(f"input {port.name!r} is {port}, the shape {'x'.join(map(str, given))} was given")
        if isinstance(dim, str):
            known.setdefault(dim, size)


def _static(port: Port, given: tuple[int, ...] | None, known: Mapping[str, int]) -> tuple[int, ...]:
    kind = port.kind.removeprefix("optional").strip()
    if kind not in ("", "tensor", "sequence") or port.elem_type == onnx.TensorProto.UNDEFINED:
        raise ModelError(
            f"input {port.name!r} is a {port.kind} of {port.dtype}: no value can be drawn for it",
            hint="give real inputs with --inputs data.npz",
        )
    if given is not None:
        return given
    if port.shape is None:
        if kind == "sequence":
            return (2, 3)
        raise UsageError(f"input {port.name!r} has no shape", hint=f"give one: --shape {port.name}:1x3x224x224")
    sizes: list[int] = []
    for axis, dim in enumerate(port.shape):
        size = dim if isinstance(dim, int) else known.get(dim or "", 1 if axis == 0 else None)
        size = 2 if size is None and kind == "sequence" else size
        if size is None:
            example = "x".join(str(d) if isinstance(d, int) else "1" for d in port.shape)
            raise UsageError(
                f"input {port.name!r} has dimensions that are not static ({port})",
                hint=f"give them sizes, such as --shape {port.name}:{example}",
            )
        sizes.append(size)
    return tuple(sizes)

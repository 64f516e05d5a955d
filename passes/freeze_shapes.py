"""Every symbolic dimension gets its number, and every tensor its shape.

What it does: sets the dims that the user gave for graph inputs, then infers all shapes forward, once.
Law: a symbol means one number: where one input binds it, it is bound in the others; a fixed dim is never changed.
Numerics: EXACT - no value is touched.
Scales: all stay; no tensor is made.
Fires: where an input is given dims, or where a tensor's type or shape is unknown and can be inferred.
Refuses: each input that still has symbolic dims, by name. Dims that contradict the model are a usage error.
Source: ONNX IR, static tensor shapes; GEN-STATIC.
Example: x[N, 3, H, W] with x = 1x3x224x224 -> x[1, 3, 224, 224], and so on down to the outputs
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import (
    Context,
    Editor,
    GraphPass,
    ModelError,
    Numerics,
    Phase,
    Refusal,
    Tensor,
    UsageError,
    shapes,
)

Dims = tuple["int | str", ...]


@dataclass(frozen=True)
class FreezeShapes(GraphPass):
    """Symbolic dims -> static ones, inferred through the whole graph."""

    name: ClassVar[str] = "freeze-shapes"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    phase: ClassVar[Phase] = Phase.PREPARE

    def run(self, context: Context, edit: Editor) -> list[Refusal]:
        wanted = _wanted(context)
        with edit.rewrite(self.name, detail="types and shapes inferred") as group:
            for tensor in context.model.inputs:
                if tensor.name in wanted:
                    edit.describe(tensor, tensor.dtype, wanted[tensor.name])
            frozen = bool(group.edits)
            try:
                shapes.propagate(context.model, edit, fresh=frozen)
            except ModelError as error:
                given = ", ".join(f"{name} {list(dims)}" for name, dims in wanted.items())
                raise UsageError(f"the model does not work with {given}: {error.message}") from error
            if frozen:
                group.detail = ", ".join(f"{name} {list(dims)}" for name, dims in wanted.items())
        return [_open(name, dims) for name, dims in shapes.dynamic_inputs(context.model).items()]


def _wanted(context: Context) -> dict[str, Dims]:
    """New dims of each graph input that changes; raises UsageError where they contradict the model."""
    given = context.settings.shapes
    inputs = {t.name: t for t in context.model.inputs}
    for name in given:
        if name not in inputs:
            raise UsageError(
                f"the model has no input {name!r} to shape", hint=f"its inputs: {', '.join(inputs) or 'none'}"
            )
    wanted: dict[str, Dims] = {name: _checked(inputs[name], dims) for name, dims in given.items()}
    if context.settings.batch is not None:
        wanted.update(_with_batch(context.settings.batch, [t for n, t in inputs.items() if n not in given]))
    symbols = _symbols(inputs, wanted)
    for name, tensor in inputs.items():
        dims = wanted.get(name, tuple(tensor.shape) if tensor.shape is not None else None)
        if dims is not None:
            wanted[name] = tuple(symbols.get(d, d) if isinstance(d, str) else d for d in dims)
    return {name: dims for name, dims in wanted.items() if _dims(inputs[name]) != dims}


def _dims(tensor: Tensor) -> Dims | None:
    return None if tensor.shape is None else tuple(tensor.shape)


def _checked(tensor: Tensor, dims: tuple[int, ...]) -> Dims:
    known = _dims(tensor)
    fits = known is None or (
        len(known) == len(dims) and all(isinstance(k, str) or k == d for k, d in zip(known, dims, strict=True))
    )
    if not fits or any(d < 0 for d in dims):
        raise UsageError(f"input {tensor.name!r} has shape {_text(known)}, and cannot be given {_text(dims)}")
    return dims


def _with_batch(batch: int, inputs: list[Tensor]) -> dict[str, Dims]:
    """The dims of inputs whose leading dim is symbolic; raises UsageError where there is none to set."""
    found: dict[str, Dims] = {}
    fixed: dict[str, int | str] = {}
    for tensor in inputs:
        dims = _dims(tensor)
        if dims and isinstance(dims[0], str):
            found[tensor.name] = (batch, *dims[1:])
        elif dims:
            fixed[tensor.name] = dims[0]
    if not found and fixed and all(size != batch for size in fixed.values()):
        listed = ", ".join(f"{name}: {size}" for name, size in fixed.items())
        raise UsageError(f"a batch of {batch} cannot be set: the leading dimension of every input is fixed ({listed})")
    return found


def _symbols(inputs: dict[str, Tensor], wanted: dict[str, Dims]) -> dict[str, int]:
    """The number that each symbol stands for; one that would stand for two numbers binds nothing."""
    bound: dict[str, int] = {}
    torn: set[str] = set()
    for name, dims in wanted.items():
        for symbol, size in zip(_dims(inputs[name]) or (), dims, strict=False):
            if not isinstance(symbol, str) or symbol in ("", "?") or not isinstance(size, int):
                continue
            if bound.setdefault(symbol, size) != size:
                torn.add(symbol)
    return {symbol: size for symbol, size in bound.items() if symbol not in torn}


def _open(name: str, dims: Dims) -> Refusal:
    example = "x".join(str(d) if isinstance(d, int) else "1" for d in dims)
    return Refusal(f"input {name!r} still has symbolic dims {_text(dims)}; fix them, e.g. --shape {name}:{example}", ())


def _text(dims: Dims | None) -> str:
    return "of unknown rank" if dims is None else f"[{', '.join(map(str, dims))}]"

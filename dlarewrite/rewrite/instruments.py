"""Watchers around passes: progress, printing, dumping, verification; passes know nothing of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dlarewrite.ir.editor import Change
from dlarewrite.ir.model import Model
from dlarewrite.rewrite.pass_ import AnyPass


class Instrument(Protocol):
    """Called before and after every run of a pass; ``changes`` is what this run did (perhaps nothing)."""

    def before(self, pass_: AnyPass, model: Model) -> None: ...

    def after(self, pass_: AnyPass, model: Model, changes: Sequence[Change]) -> None: ...


@dataclass
class Progress:
    """Tells a callback which pass runs now."""

    tell: Callable[[str], None]

    def before(self, pass_: AnyPass, model: Model) -> None:
        self.tell(pass_.name)

    def after(self, pass_: AnyPass, model: Model, changes: Sequence[Change]) -> None:
        return None


@dataclass
class PrintAfter:
    """Writes the graph as text after each pass that changed it (only ``names`` where given)."""

    write: Callable[[str], None]
    render: Callable[[Model], str]
    names: tuple[str, ...] = ()

    def before(self, pass_: AnyPass, model: Model) -> None:
        return None

    def after(self, pass_: AnyPass, model: Model, changes: Sequence[Change]) -> None:
        if changes and (not self.names or pass_.name in self.names):
            self.write(f"// after {pass_.name} ({len(changes)} rewrites)\n{self.render(model)}\n")


@dataclass
class DumpEach:
    """Saves the model after each pass that changed it, as N-pass-name.onnx in ``folder``, N rewrites from the start."""

    folder: Path

    def before(self, pass_: AnyPass, model: Model) -> None:
        return None

    def after(self, pass_: AnyPass, model: Model, changes: Sequence[Change]) -> None:
        if not changes:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        model.save(self.folder / f"{changes[-1].index + 1:04d}-{pass_.name}.onnx")


@dataclass
class CheckEach:
    """Runs ``check`` after each pass that changed the model; it raises, naming the pass, when the proof fails."""

    check: Callable[[AnyPass, Model], None]

    def before(self, pass_: AnyPass, model: Model) -> None:
        return None

    def after(self, pass_: AnyPass, model: Model, changes: Sequence[Change]) -> None:
        if changes:
            self.check(pass_, model)

"""Runs of one pipeline, each on a fresh copy of the original."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

from dlarewrite.compiler.options import Options
from dlarewrite.compiler.pipeline import before_legality, without
from dlarewrite.compiler.watch import Watch
from dlarewrite.ir.copying import duplicate
from dlarewrite.ir.model import Model
from dlarewrite.ir.structure import check_structure
from dlarewrite.ir.text import render
from dlarewrite.joint import Choice
from dlarewrite.numerics import Numerics
from dlarewrite.rewrite.context import Context, Settings
from dlarewrite.rewrite.instruments import CheckEach, DumpEach, Instrument, PrintAfter, Progress
from dlarewrite.rewrite.manager import PassManager, RewriteLog, Run
from dlarewrite.rewrite.pass_ import AnyPass
from dlarewrite.rewrite.spec import Fixpoint
from dlarewrite.target import Target

CheckPass = Callable[[AnyPass, Model], None]
"""Proves the model after one pass; raises where that fails."""


class Attempts:
    """What comes of ``original`` when passes are left out; ``left`` are nodes that no pass may touch."""

    def __init__(
        self,
        original: Model,
        target: Target,
        options: Options,
        steps: tuple[AnyPass | Fixpoint, ...],
        *,
        left: frozenset[str] = frozenset(),
        watch: Watch | None = None,
        write: Callable[[str], None] | None = None,
    ) -> None:
        self.steps = steps
        self._original = original
        self._target = target
        self._options = options
        self._left = left
        self._watch = watch
        self._write = write
        self._prefix: tuple[tuple[str, ...], Run] | None = None
        self._now: Run | None = None

    def run(self, removed: Sequence[str], choice: Choice, check: CheckPass | None = None) -> tuple[Model, RewriteLog]:
        """Run the pipeline without ``removed`` under a choice, with ``check`` after each pass that fired.

        What comes before the first legalising pass is run once for all choices, which do not bear on it.
        """
        manager = PassManager(without(self.steps, (*removed, *choice.skipped)), self._instruments(check))
        begun = self._begun(tuple(removed), manager)
        self._now = begun.fork(self._settings(choice), choice.skipped)
        return self._ended(self._now, manager)

    def run_first(self, limit: int, removed: Sequence[str], choice: Choice) -> tuple[Model, RewriteLog]:
        """The same up to so many rewrites, unwatched."""
        manager = PassManager(without(self.steps, (*removed, *choice.skipped)), [])
        run = manager.start(self._context(replace(self._settings(choice), limit=limit)))
        manager.advance(run, _common(manager))
        return self._ended(run, manager)

    def loosest(self, default: Numerics) -> Numerics:
        """The loosest tier of the passes that have fired so far in the run under way."""
        fired = [r.numerics for r in self._now.records.values() if r.fired] if self._now is not None else []
        return max(fired, default=default)

    def _begun(self, removed: tuple[str, ...], manager: PassManager) -> Run:
        """The run up to the first legalising pass."""
        if self._prefix is None or self._prefix[0] != removed:
            run = PassManager(without(self.steps, removed)).start(self._context(self._options.settings()))
            self._now = run
            manager.advance(run, _common(manager))
            self._prefix = removed, run
        return self._prefix[1]

    def _ended(self, run: Run, manager: PassManager) -> tuple[Model, RewriteLog]:
        if not run.limited:
            manager.advance(run, manager.steps[len(_common(manager)) :])
        check_structure(run.context.model)
        return run.context.model, run.log()

    def _settings(self, choice: Choice) -> Settings:
        return replace(self._options.settings(), declined=choice.declined, left=self._left)

    def _context(self, settings: Settings) -> Context:
        return Context(duplicate(self._original)[0], self._target, settings)

    def _instruments(self, check: CheckPass | None) -> list[Instrument]:
        found: list[Instrument] = []
        if self._watch is not None:
            found.append(Progress(self._watch))
        if self._options.print_after is not None and self._write is not None:
            found.append(PrintAfter(self._write, render, self._options.print_after))
        if self._options.dump_each is not None:
            found.append(DumpEach(self._options.dump_each))
        if check is not None:
            found.append(CheckEach(check))
        return found


def _common(manager: PassManager) -> list[AnyPass | Fixpoint]:
    return list(itertools.takewhile(before_legality, manager.steps))

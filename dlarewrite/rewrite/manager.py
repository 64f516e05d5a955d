"""Runs a pipeline: ordering constraints checked before anything runs, groups repeated to their fixpoint."""

from __future__ import annotations

import copy
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from dlarewrite.analysis.cost import macs
from dlarewrite.errors import PassError, UsageError
from dlarewrite.ir.copying import duplicate
from dlarewrite.ir.editor import Change, Editor
from dlarewrite.ir.view import label
from dlarewrite.numerics import Numerics
from dlarewrite.rewrite.context import Budget, Context, Settings
from dlarewrite.rewrite.driver import LimitReached, Outcome, run_pass
from dlarewrite.rewrite.instruments import Instrument
from dlarewrite.rewrite.pass_ import AnyPass, Phase, Refusal
from dlarewrite.rewrite.spec import Fixpoint

_ROUNDS = 50
_LEAST_MACS = 1 << 20
"""What a model is taken to have at least: a share of next to nothing would forbid the cheapest rewrite."""
_LEAST_LAYERS = 1000
_LAYERS_PER_NODE = 8


@dataclass
class PassRecord:
    """What one pass did over the whole run; ``seconds`` is wall time in the pass."""

    name: str
    numerics: Numerics
    fired: int = 0
    seconds: float = 0.0
    details: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RefusalRecord:
    """A near miss in the user's own node names."""

    by: str
    reason: str
    nodes: tuple[str, ...]


@dataclass
class RewriteLog:
    """The whole run: per-pass records in pipeline order, atomic changes, near misses that stand at the end."""

    passes: list[PassRecord] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    refusals: list[RefusalRecord] = field(default_factory=list)
    limited: bool = False

    @property
    def numerics(self) -> Numerics:
        """The loosest tier among the passes that fired."""
        return max((p.numerics for p in self.passes if p.fired), default=Numerics.EXACT)


def flatten(steps: Iterable[AnyPass | Fixpoint]) -> list[AnyPass]:
    """All passes of a pipeline in order."""
    found: list[AnyPass] = []
    for step in steps:
        found.extend(step.passes if isinstance(step, Fixpoint) else (step,))
    return found


def default_pipeline(passes: Sequence[AnyPass]) -> tuple[AnyPass | Fixpoint, ...]:
    """PREPARE once, CLEAN to a fixpoint, CLEAN and LEGALISE to a fixpoint, FINISH once, and the fixpoint again.

    The last is for what FINISH moved at the model's borders; where it changed nothing, every pass there is idle.
    """
    by_phase = {phase: tuple(p for p in passes if p.phase is phase) for phase in Phase}
    steps: list[AnyPass | Fixpoint] = list(by_phase[Phase.PREPARE])
    clean, legalise = by_phase[Phase.CLEAN], by_phase[Phase.LEGALISE]
    if clean:
        steps.append(Fixpoint(clean))
    if legalise:
        steps.append(Fixpoint(legalise + clean))
    steps.extend(by_phase[Phase.FINISH])
    if legalise and by_phase[Phase.FINISH]:
        steps.append(Fixpoint(legalise + clean))
    return tuple(steps)


def check_order(steps: Iterable[AnyPass | Fixpoint]) -> None:
    """Raise :class:`UsageError` where a pass stands before one that it must follow (a group is one place)."""
    places: dict[str, int] = {}
    for place, step in enumerate(steps):
        for pass_ in step.passes if isinstance(step, Fixpoint) else (step,):
            places.setdefault(pass_.name, place)
    for pass_ in flatten(steps):
        for earlier in pass_.after:
            if earlier in places and places[earlier] > places[pass_.name]:
                raise UsageError(f"pass {pass_.name!r} has to come after {earlier!r} in the pipeline")


class Run:
    """A pipeline's run so far: the model under work with its editor, and what the log will tell."""

    def __init__(self, context: Context, edit: Editor, records: dict[str, PassRecord]) -> None:
        self.context = context
        self.edit = edit
        self.records = records
        self.budget: Budget | None = None
        self.last: dict[str, Outcome] = {}
        self.idle_at: dict[str, int] = {}
        """Per pass, how many changes there were when it last had nothing to do."""
        self.limited = False

    def fork(self, settings: Settings, without: Collection[str] = ()) -> Run:
        """The same run on a copy of the model, to go on under other settings and ``without`` some passes to come."""
        model, nodes = duplicate(self.context.model)
        edit = Editor(model)
        edit.changes.extend(self.edit.changes)
        records = {n: replace(r, details=list(r.details)) for n, r in self.records.items() if n not in without}
        made = Run(Context(model, self.context.target, settings), edit, records)
        made.budget = copy.copy(self.budget)
        made.idle_at = dict(self.idle_at)
        for name, outcome in self.last.items():
            alive = [r for r in outcome.refusals if all(n in self.context.model for n in r.nodes)]
            moved = [Refusal(r.reason, tuple(nodes[id(n)] for n in r.nodes)) for r in alive]
            made.last[name] = Outcome(outcome.pass_, outcome.fired, moved)
        made.limited = self.limited
        return made

    def log(self) -> RewriteLog:
        """What happened, told in the end."""
        log = RewriteLog(list(self.records.values()), self.edit.changes, limited=self.limited)
        for change in self.edit.changes:
            if change.by in self.records and (change.anchor or change.detail):
                self.records[change.by].details.append(": ".join(filter(None, (change.anchor, change.detail))))
        for name, outcome in self.last.items():
            for refusal in outcome.refusals:
                if all(n in self.context.model for n in refusal.nodes):
                    log.refusals.append(RefusalRecord(name, refusal.reason, tuple(label(n) for n in refusal.nodes)))
        return log


class PassManager:
    """Runs ``steps`` on the context's model and keeps the log; instruments watch from outside."""

    def __init__(self, steps: Sequence[AnyPass | Fixpoint], instruments: Sequence[Instrument] = ()) -> None:
        self.steps = tuple(steps)
        self.instruments = tuple(instruments)
        check_order(self.steps)

    def run(self, context: Context) -> RewriteLog:
        """Rewrite the model in place; raises what passes and instruments raise."""
        run = self.start(context)
        self.advance(run, self.steps)
        return run.log()

    def start(self, context: Context) -> Run:
        """A run that has done nothing yet."""
        records = {p.name: PassRecord(p.name, p.numerics) for p in flatten(self.steps)}
        return Run(context, Editor(context.model), records)

    def advance(self, run: Run, steps: Iterable[AnyPass | Fixpoint]) -> None:
        """Run some of the steps, in place."""
        context = run.context
        try:
            for step in steps:
                group = step.passes if isinstance(step, Fixpoint) else (step,)
                rounds = _ROUNDS if isinstance(step, Fixpoint) else 1
                if run.budget is None and any(p.phase >= Phase.LEGALISE for p in group):
                    # Not before: until shapes are frozen and constants folded, there is no work to take a share of.
                    run.budget = _budget(context)
                self._repeat(group, rounds, run)
        except LimitReached:
            run.limited = True

    def _repeat(self, group: Sequence[AnyPass], rounds: int, run: Run) -> None:
        """Run the group until a round changes nothing; a pass is skipped while nothing changed since it was idle."""
        context, edit = run.context, run.edit
        budget = run.budget or Budget(0, 0)
        for _ in range(rounds):
            before = len(edit.changes)
            for pass_ in group:
                if run.idle_at.get(pass_.name) == len(edit.changes):
                    continue
                start, count = time.perf_counter(), len(edit.changes)
                for instrument in self.instruments:
                    instrument.before(pass_, context.model)
                outcome = run_pass(pass_, context, edit, budget)
                run.last[pass_.name] = outcome
                record = run.records[pass_.name]
                record.fired += outcome.fired
                record.seconds += time.perf_counter() - start
                if len(edit.changes) == count:
                    run.idle_at[pass_.name] = count
                for instrument in self.instruments:
                    instrument.after(pass_, context.model, edit.changes[count:])
            if len(edit.changes) == before:
                return
        if rounds > 1:
            names = ", ".join(sorted({c.by for c in edit.changes[before:]}))
            raise PassError(f"the pipeline does not settle after {rounds} rounds; still firing: {names}")


def _budget(context: Context) -> Budget:
    """What the model as it stands may grow by."""
    settings, nodes = context.settings, context.model.nodes
    share = int(settings.growth_macs * max(sum(map(macs, nodes)), _LEAST_MACS))
    layers = settings.growth_layers
    if layers is None:
        layers = _LEAST_LAYERS + _LAYERS_PER_NODE * len(nodes)
    return Budget(share, settings.growth_bytes, layers)

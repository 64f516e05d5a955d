"""The road itself: what :func:`optimize` does with a source and its options, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx

from dlarewrite.catalogue import discover
from dlarewrite.compiler.attempts import Attempts
from dlarewrite.compiler.culprit import find_culprit
from dlarewrite.compiler.garbage import rare_collections
from dlarewrite.compiler.loading import demand_static, freeze_shapes, judge_model, load_frozen
from dlarewrite.compiler.options import Options
from dlarewrite.compiler.pipeline import pipeline
from dlarewrite.compiler.proof import Proof, worst
from dlarewrite.compiler.watch import Watch, tell
from dlarewrite.errors import MismatchError, UsageError
from dlarewrite.ir import view
from dlarewrite.ir.copying import duplicate
from dlarewrite.ir.model import Model
from dlarewrite.joint import Choice, Trial, settle
from dlarewrite.outcome import Report, describe
from dlarewrite.partition.fitting import fit
from dlarewrite.partition.flow import flow
from dlarewrite.partition.plan import load_plan
from dlarewrite.partition.summary import place, summarise
from dlarewrite.precision.carry import Carried, carry
from dlarewrite.precision.scales import ScaleTable
from dlarewrite.rewrite.manager import flatten
from dlarewrite.rewrite.pass_ import AnyPass, Phase
from dlarewrite.target import rulebook
from dlarewrite.verify import Evidence
from dlarewrite.verify.allowance import is_unsteady


@dataclass(frozen=True)
class Result:
    """The rewritten model with its report and its proof."""

    work: Model
    report: Report
    evidence: Evidence

    @cached_property
    def model(self) -> onnx.ModelProto:
        """The rewritten model as a ModelProto (external weights stay references)."""
        return self.work.to_proto()

    @property
    def modified(self) -> bool:
        """Whether any rewrite fired."""
        return any(p.fired for p in self.report.passes)

    def save(self, path: str | Path) -> None:
        """Write the model atomically, with a data file beside it where it needs one."""
        self.work.save(path)


def check(source: Any, options: Options | None = None, *, watch: Watch | None = None, **changes: Any) -> Report:
    """Judge a model as it is (shapes frozen as asked) and change nothing."""
    chosen = replace(options or Options(), **changes)
    tell(watch, "load")
    model, target = load_frozen(source, chosen)
    tell(watch, "judge")
    return describe(_name(source), target, model, judge_model(model, target))


def optimize(
    source: Any,
    options: Options | None = None,
    *,
    watch: Watch | None = None,
    write: Callable[[str], None] | None = None,
    **changes: Any,
) -> Result:
    """Rewrite a model (path, ModelProto or gs.Graph) for a target and prove the result equal to the original.

    ``watch`` is told each step, ``write`` receives what ``print_after`` prints. Raises UsageError for a bad request,
    ModelError for a bad model, PassError where a pass raises, MismatchError where a rewrite changed the outputs.
    """
    chosen = replace(options or Options(), **changes)
    if chosen.verify not in ("off", "end", "each"):
        raise UsageError(f"verify is 'off', 'end' or 'each', not {chosen.verify!r}")
    with rare_collections():
        return _Road(source, chosen, watch, write).finish()


def carry_scales(source: Any, options: Options, result: Result, table: ScaleTable) -> Carried:
    """The INT8 scales of ``source``, carried to what it was rewritten into; see :mod:`dlarewrite.precision.carry`."""
    original, _ = load_frozen(source, options)
    return carry(table, original, result.work)


class _Road:
    """One call of optimize: repeated without the offending pass where a proof fails."""

    def __init__(self, source: Any, options: Options, watch: Watch | None, write: Callable[[str], None] | None) -> None:
        self.source = source
        self.options = options
        self.watch = watch
        self.target = options.load_target()
        registry = discover(options.plugins)
        steps = pipeline(registry, options)
        tell(watch, "load")
        original = Model.load(source)
        frozen, _ = duplicate(original)
        freeze_shapes(frozen, self.target, options, registry)
        demand_static(frozen)
        tell(watch, "judge")
        judged = judge_model(frozen, self.target)
        self.before = describe(_name(source), self.target, frozen, judged)
        left: frozenset[str] = frozenset()
        self.notes: tuple[str, ...] = ()
        if options.plan is not None:
            given = load_plan(options.plan)
            left = frozenset(n for n, why in given.gpu.items() if why.partition(":")[0] not in rulebook())
            self.notes = fit(given, frozen, flow(frozen, judged.verdicts), judged.verdicts).notes
        self.attempts = Attempts(original, self.target, options, steps, left=left, watch=watch, write=write)
        shapes = {t.name: view.shape(t) or () for t in frozen.inputs if t.shape is not None}
        self.proof = Proof(original, shapes, options, watch)

    def finish(self) -> Result:
        """Rewrite and prove until a proof holds; raises MismatchError where passes had to go and must not."""
        removed: list[str] = []
        mismatches: list[str] = []
        while True:
            try:
                trial = self.rewrite(removed)
            except _PassAtFault as fault:
                removed.append(fault.by)
                mismatches.append(str(fault))
                continue
            evidence = self.proof.prove(trial.model, trial.log)
            if evidence.ok or evidence.skipped:
                break
            # Where nothing can be shown, every rewrite would be blamed in turn.
            blind = is_unsteady(evidence.outputs) and not self.options.keep_going
            culprit = None if blind else self.culprit(removed, trial)
            if culprit is None:
                raise MismatchError(
                    f"equality cannot be shown, and no rewrite is to blame: {worst(evidence)}",
                    hint="--inputs data.npz proves on your own data; --no-verify writes without proof",
                )
            removed.append(culprit)
            mismatches.append(f"pass {culprit!r} changed the outputs ({worst(evidence)})")
        if mismatches and not self.options.keep_going:
            raise MismatchError(
                f"{'; '.join(mismatches)}; nothing was written",
                hint=f"--skip {','.join(removed)} leaves it out, --keep-going writes the result without it",
            )
        return Result(trial.model, self.report(trial, evidence, mismatches), evidence)

    def rewrite(self, removed: Sequence[str]) -> Trial:
        """Rewrite a fresh copy of the original without the ``removed`` passes; keeps only what is worth its regions."""
        check = self.check_pass if self.options.verify == "each" else None

        def attempt(choice: Choice) -> Trial:
            model, log = self.attempts.run(removed, choice, check)
            judged = judge_model(model, self.target)
            placed = place(model, judged, self.target)
            return Trial(choice, model, log, judged, placed, summarise(model, judged, self.target, placed))

        if self.options.everything:
            return attempt(Choice())
        legalising = frozenset(p.name for p in flatten(self.attempts.steps) if p.phase is Phase.LEGALISE)
        return settle(attempt, self.before.before, legalising)

    def check_pass(self, pass_: AnyPass, model: Model) -> None:
        """Prove the model after one pass, in the loosest tier of those that have fired so far."""
        evidence = self.proof.compare(model, self.attempts.loosest(pass_.numerics))
        if not evidence.ok:
            raise _PassAtFault(pass_.name, f"pass {pass_.name!r} changed the outputs ({worst(evidence)})")

    def culprit(self, removed: Sequence[str], trial: Trial) -> str | None:
        """The pass that is to blame for a trial whose proof failed, if any is."""
        return find_culprit(
            len(trial.log.changes),
            lambda count: self.attempts.run_first(count, removed, trial.choice),
            lambda model, log: self.proof.compare(model, log.numerics).ok,
            self.watch,
        )

    def report(self, trial: Trial, evidence: Evidence, mismatches: Sequence[str]) -> Report:
        """The report on the trial that stands, beside the figures from before."""
        tell(self.watch, "judge")
        after = describe(_name(self.source), self.target, trial.model, trial.judged, trial.placed)
        return replace(
            after,
            before=self.before.before,
            after=after.before,
            passes=tuple(trial.log.passes),
            refusals=tuple(trial.log.refusals),
            evidence=evidence,
            rolled_back=tuple(mismatches),
            notes=self.notes,
        )


class _PassAtFault(Exception):  # noqa: N818 - carries the finding out of the pass manager
    def __init__(self, by: str, what: str) -> None:
        super().__init__(what)
        self.by = by


def _name(source: Any) -> str:
    return str(source) if isinstance(source, (str, Path)) else f"<{type(source).__name__}>"

"""The road from a model to a proven one: load, freeze, judge, rewrite, verify, judge again.

:func:`optimize` and :func:`check` are what the command line calls and what ``import dlarewrite`` offers. Neither
changes the caller's model, prints, or writes a file.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx

from dlarewrite.analysis.shapes import dynamic_inputs
from dlarewrite.catalogue import Registry, discover
from dlarewrite.errors import MismatchError, ModelError, UsageError
from dlarewrite.ir import view
from dlarewrite.ir.copying import duplicate
from dlarewrite.ir.model import Model
from dlarewrite.ir.structure import check_structure
from dlarewrite.ir.text import render
from dlarewrite.joint import Choice, Trial, settle
from dlarewrite.outcome import Report, describe
from dlarewrite.partition.fitting import fit
from dlarewrite.partition.flow import flow
from dlarewrite.partition.plan import load_plan
from dlarewrite.partition.summary import place, summarise
from dlarewrite.precision.carry import Carried, carry
from dlarewrite.precision.scales import ScaleTable
from dlarewrite.rewrite.context import Context, Settings
from dlarewrite.rewrite.instruments import CheckEach, DumpEach, Instrument, PrintAfter, Progress
from dlarewrite.rewrite.manager import PassManager, RewriteLog, Run, default_pipeline, flatten
from dlarewrite.rewrite.pass_ import AnyPass, Phase
from dlarewrite.rewrite.spec import Fixpoint, create, parse
from dlarewrite.target import DEFAULT_TARGET, Judgement, Precision, Target, judge_graph, load_target, rulebook
from dlarewrite.verify import Evidence, Prover, not_proven, noted_changes

Watch = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What a run is asked to do; the command line's options have the same names.

    ``passes`` / ``skip`` choose from the catalogue, ``pipeline`` replaces the default one. ``shapes`` maps input names
    to dims. ``verify`` is "off", "end" or "each". ``limit`` stops after so many rewrites. ``keep_going`` accepts a run
    from which an offending pass had to be taken out. ``everything`` also keeps rewrites that are not
    worth their regions. Growth limits are those of added cost (share of MACs, bytes of weights, layers).
    """

    target: str = DEFAULT_TARGET
    precision: str = "fp16"
    passes: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    pipeline: str = ""
    lossy: bool = False
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    batch: int | None = None
    native_io: bool = False
    verify: str = "end"
    inputs: Path | None = None
    atol: float | Mapping[str, float] | None = None
    rtol: float | Mapping[str, float] | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    limit: int | None = None
    keep_going: bool = False
    everything: bool = False
    plugins: tuple[Path, ...] = ()
    print_after: tuple[str, ...] | None = None
    dump_each: Path | None = None
    max_growth_macs: float = 0.5
    max_growth_bytes: int = 128 * 2**20
    max_growth_layers: int | None = None
    plan: Path | None = None

    def load_target(self) -> Target:
        """The target in the chosen precision; raises UsageError for unknown names."""
        try:
            precision = Precision(self.precision)
        except ValueError:
            raise UsageError(f"there is no precision {self.precision!r}", hint="choose fp16 or int8") from None
        return load_target(self.target, precision)

    def settings(self) -> Settings:
        return Settings(
            shapes=dict(self.shapes),
            batch=self.batch,
            native_io=self.native_io,
            lossy=self.lossy,
            limit=self.limit,
            growth_macs=self.max_growth_macs,
            growth_bytes=self.max_growth_bytes,
            growth_layers=self.max_growth_layers,
        )


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
    return _Run(source, chosen, watch, write).finish()


def carry_scales(source: Any, options: Options, result: Result, table: ScaleTable) -> Carried:
    """The INT8 scales of ``source``, carried to what it was rewritten into; see :mod:`dlarewrite.precision.carry`."""
    original, _ = load_frozen(source, options)
    return carry(table, original, result.work)


class _Run:
    """One run of optimize, repeated without the offending pass where a proof fails."""

    def __init__(self, source: Any, options: Options, watch: Watch | None, write: Callable[[str], None] | None) -> None:
        self.source = source
        self.options = options
        self.watch = watch
        self.write = write
        self.target = options.load_target()
        self.trial: Trial | None = None
        self.prefix: tuple[tuple[str, ...], Run] | None = None
        self.now: Run | None = None
        self.registry = discover(options.plugins)
        self.steps = pipeline(self.registry, options)
        tell(watch, "load")
        self.original = Model.load(source)
        frozen, _ = duplicate(self.original)
        _freeze(frozen, self.target, options, self.registry)
        _demand_static(frozen)
        self.shapes = {t.name: view.shape(t) or () for t in frozen.inputs if t.shape is not None}
        tell(watch, "judge")
        judged = judge_model(frozen, self.target)
        self.before = describe(_name(source), self.target, frozen, judged)
        self.left: frozenset[str] = frozenset()
        self.notes: tuple[str, ...] = ()
        if options.plan is not None:
            placed = load_plan(options.plan)
            self.left = frozenset(n for n, why in placed.gpu.items() if why.partition(":")[0] not in rulebook())
            self.notes = fit(placed, frozen, flow(frozen, judged.verdicts), judged.verdicts).notes

    @cached_property
    def prover(self) -> Prover:
        """Runs the original once per sample and compares whatever comes after with it."""
        return Prover(
            self.original.to_proto(),
            seeds=self.options.seeds,
            feeds=self.options.inputs,
            inputs_from=str(self.options.inputs or ""),
            shapes=self.shapes,
            base_dir=self.original.folder,
        )

    def finish(self) -> Result:
        removed: list[str] = []
        mismatches: list[str] = []
        while True:
            try:
                model, log = self.rewrite(removed, check_each=self.options.verify == "each")
                evidence = self.prove(model, log)
            except _EachFailed as failure:
                removed.append(failure.by)
                mismatches.append(failure.what)
                continue
            if evidence.ok or evidence.skipped:
                break
            culprit = self.bisect(removed, len(log.changes))
            if culprit is None:
                raise MismatchError(
                    f"equality cannot be shown, and no rewrite is to blame: {_worst(evidence)}",
                    hint="--inputs data.npz proves on your own data; --no-verify writes without proof",
                )
            removed.append(culprit)
            mismatches.append(f"pass {culprit!r} changed the outputs ({_worst(evidence)})")
        if mismatches and not self.options.keep_going:
            raise MismatchError(
                f"{'; '.join(mismatches)}; nothing was written",
                hint=f"--skip {','.join(removed)} leaves it out, --keep-going writes the result without it",
            )
        tell(self.watch, "judge")
        judged = self.trial.judged if self.trial is not None else judge_model(model, self.target)
        placed = self.trial.placed if self.trial is not None else None
        after = describe(_name(self.source), self.target, model, judged, placed)
        report = replace(
            after,
            before=self.before.before,
            after=after.before,
            passes=tuple(log.passes),
            refusals=tuple(log.refusals),
            evidence=evidence,
            rolled_back=tuple(mismatches),
            notes=self.notes,
        )
        return Result(model, report, evidence)

    def rewrite(self, removed: Sequence[str], *, check_each: bool = False) -> tuple[Model, RewriteLog]:
        """Rewrite a fresh copy of the original without the ``removed`` passes; keeps only what is worth its regions."""
        if self.options.everything:
            return self.run(removed, Choice(), check_each=check_each)
        legalising = frozenset(p.name for p in flatten(self.steps) if p.phase is Phase.LEGALISE)

        def attempt(choice: Choice) -> Trial:
            model, log = self.run(removed, choice, check_each=check_each)
            judged = judge_model(model, self.target)
            placed = place(model, judged, self.target)
            return Trial(choice, model, log, judged, placed, summarise(model, judged, self.target, placed))

        found = settle(attempt, self.before.before, legalising)
        self.trial = found
        return found.model, found.log

    def run(
        self, removed: Sequence[str], choice: Choice, *, check_each: bool = False, limit: int | None = None
    ) -> tuple[Model, RewriteLog]:
        """Run the pipeline once under a choice; what comes before the first legalising pass is run once for all."""
        settings = replace(self.options.settings(), declined=choice.declined, left=self.left)
        if limit is not None:
            settings = replace(settings, limit=limit)
        manager = PassManager(
            _without(self.steps, (*removed, *choice.skipped)), [] if limit is not None else self.instruments(check_each)
        )
        common = list(itertools.takewhile(_before_legality, manager.steps))
        if limit is None:
            run = self.now = self.begun(tuple(removed), manager, common).fork(settings, choice.skipped)
        else:
            run = manager.start(Context(self.fresh(), self.target, settings))
            manager.advance(run, common)
        if not run.limited:
            manager.advance(run, manager.steps[len(common) :])
        check_structure(run.context.model)
        return run.context.model, run.log()

    def begun(self, removed: tuple[str, ...], manager: PassManager, common: Sequence[AnyPass | Fixpoint]) -> Run:
        """The run up to the first legalising pass, which no choice bears on."""
        if self.prefix is None or self.prefix[0] != removed:
            context = Context(self.fresh(), self.target, self.options.settings())
            run = PassManager(_without(self.steps, removed)).start(context)
            self.now = run
            manager.advance(run, common)
            self.prefix = removed, run
        return self.prefix[1]

    def fresh(self) -> Model:
        """A copy of the original to work on."""
        return duplicate(self.original)[0]

    def instruments(self, check_each: bool) -> list[Instrument]:
        found: list[Instrument] = []
        if self.watch is not None:
            found.append(Progress(self.watch))
        if self.options.print_after is not None and self.write is not None:
            found.append(PrintAfter(self.write, render, self.options.print_after))
        if self.options.dump_each is not None:
            found.append(DumpEach(self.options.dump_each))
        if check_each:
            found.append(CheckEach(self.check_pass))
        return found

    def check_pass(self, pass_: AnyPass, model: Model) -> None:
        """Prove the model after one pass, in the loosest tier of those that have fired so far."""
        fired = [r.numerics for r in self.now.records.values() if r.fired] if self.now is not None else []
        evidence = self.compare(model, max(fired, default=pass_.numerics))
        if not evidence.ok:
            raise _EachFailed(pass_.name, f"pass {pass_.name!r} changed the outputs ({_worst(evidence)})")

    def prove(self, model: Model, log: RewriteLog) -> Evidence:
        if self.options.verify == "off":
            return not_proven("verification was turned off")
        tell(self.watch, "verify")
        if log.changes:
            return self.compare(model, log.numerics)
        # An untouched model is equal whether or not it can be shown, so what keeps it from running is no failure.
        try:
            evidence = self.compare(model, log.numerics)
        except ModelError as error:
            return not_proven(f"nothing was rewritten, and the original does not run: {error.message}")
        return evidence if evidence.ok else not_proven(f"nothing was rewritten; {_worst(evidence)}")

    def compare(self, model: Model, numerics: Any) -> Evidence:
        """Compare with the original in onnxruntime on seeded (or the user's) inputs."""
        return self.prover.prove(
            model.to_proto(),
            numerics=numerics,
            atol=self.options.atol,
            rtol=self.options.rtol,
            io_changed=noted_changes(model.envelope.header),
            base_dir=self.original.folder,
        )

    def bisect(self, removed: Sequence[str], count: int) -> str | None:
        """The pass whose rewrite is the first after which the outputs differ; about log2(count) proofs.

        None where even the untouched model does not prove equal to itself.
        """
        choice = self.trial.choice if self.trial is not None else Choice()
        untouched, log = self.run(removed, choice, limit=0)
        if not self.compare(untouched, log.numerics).ok:
            return None
        low, high, culprit = 0, count, None
        while low < high:
            middle = (low + high) // 2
            model, log = self.run(removed, choice, limit=middle + 1)
            tell(self.watch, f"bisect {len(log.changes)}")
            if self.compare(model, log.numerics).ok:
                low = middle + 1
            else:
                high = middle
                culprit = log.changes[min(middle, len(log.changes) - 1)].by
        return culprit


class _EachFailed(Exception):  # noqa: N818 - carries the finding out of the pass manager
    def __init__(self, by: str, what: str) -> None:
        super().__init__(what)
        self.by = by
        self.what = what


def pipeline(registry: Registry, options: Options) -> tuple[AnyPass | Fixpoint, ...]:
    """The steps that the options ask for; LOSSY passes only by name or with ``lossy``."""
    for name in (*options.passes, *options.skip):
        registry.find(name)
    if options.pipeline:
        steps = parse(options.pipeline, registry.find)
        return _without(steps, options.skip)
    chosen = []
    for found in registry.classes():
        if found.name in options.skip or (options.passes and found.name not in options.passes):
            continue
        if found.bound and not options.lossy and found.name not in options.passes:
            continue
        chosen.append(create(found))
    return default_pipeline(chosen)


def _without(steps: Sequence[AnyPass | Fixpoint], names: Sequence[str]) -> tuple[AnyPass | Fixpoint, ...]:
    kept: list[AnyPass | Fixpoint] = []
    for step in steps:
        if isinstance(step, Fixpoint):
            inner = tuple(p for p in step.passes if p.name not in names)
            if inner:
                kept.append(Fixpoint(inner))
        elif step.name not in names:
            kept.append(step)
    return tuple(kept)


def _before_legality(step: AnyPass | Fixpoint) -> bool:
    return all(p.phase < Phase.LEGALISE for p in flatten([step]))


def judge_model(model: Model, target: Target) -> Judgement:
    """The target's verdicts on a whole model."""
    return judge_graph(model.nodes, model.inputs, model.outputs, target, model.opset)


def load_frozen(source: Any, options: Options) -> tuple[Model, Target]:
    """A model with its shapes frozen and inferred as the options ask, ready to be judged, and the target."""
    target = options.load_target()
    model = Model.load(source)
    _freeze(model, target, options, discover(options.plugins))
    return model, target


def load_static(source: Any, options: Options) -> tuple[Model, Target]:
    """The same, with every input's dims known; raises UsageError that names those that are not."""
    model, target = load_frozen(source, options)
    _demand_static(model)
    return model, target


def _freeze(model: Model, target: Target, options: Options, registry: Registry) -> None:
    """Freeze and infer shapes, which every judgement needs; nothing else is changed."""
    settings = replace(options.settings(), limit=None)
    freeze = create(registry.find("freeze-shapes"))
    if freeze.phase is not Phase.PREPARE:
        raise UsageError("pass 'freeze-shapes' was replaced by one that does not run first")
    PassManager([freeze]).run(Context(model, target, settings))


def _demand_static(model: Model) -> None:
    dynamic = dynamic_inputs(model)
    if not dynamic:
        return
    name, dims = next(iter(dynamic.items()))
    example = "x".join(str(d) if isinstance(d, int) else "1" for d in dims)
    listed = ", ".join(f"{n} {list(d)}" for n, d in dynamic.items())
    raise UsageError(
        f"the DLA needs static shapes; dynamic inputs: {listed}",
        hint=f"give the dims, e.g. --shape {name}:{example}, or --batch N where only the first is open",
    )


def _worst(evidence: Evidence) -> str:
    bad = [f"output {o.name!r}: {o.reason}" for o in evidence.outputs if not o.ok]
    return evidence.reason or "; ".join(bad[:3]) or "not equal"


def _name(source: Any) -> str:
    return str(source) if isinstance(source, (str, Path)) else f"<{type(source).__name__}>"


def tell(watch: Watch | None, step: str) -> None:
    """Say which step begins, where anybody listens."""
    if watch is not None:
        watch(step)

"""Which passes a run is made of, and in which steps."""

from __future__ import annotations

from collections.abc import Sequence

from dlarewrite.catalogue import Registry
from dlarewrite.compiler.options import Options
from dlarewrite.rewrite.manager import default_pipeline, flatten
from dlarewrite.rewrite.pass_ import AnyPass, Phase
from dlarewrite.rewrite.spec import Fixpoint, create, parse


def pipeline(registry: Registry, options: Options) -> tuple[AnyPass | Fixpoint, ...]:
    """The steps that the options ask for; LOSSY passes only by name or with ``lossy``."""
    for name in (*options.passes, *options.skip):
        registry.find(name)
    if options.pipeline:
        steps = parse(options.pipeline, registry.find)
        return without(steps, options.skip)
    chosen = []
    for found in registry.classes():
        if found.name in options.skip or (options.passes and found.name not in options.passes):
            continue
        if found.bound and not options.lossy and found.name not in options.passes:
            continue
        chosen.append(create(found))
    return default_pipeline(chosen)


def without(steps: Sequence[AnyPass | Fixpoint], names: Sequence[str]) -> tuple[AnyPass | Fixpoint, ...]:
    """The steps less the passes of these names."""
    kept: list[AnyPass | Fixpoint] = []
    for step in steps:
        if isinstance(step, Fixpoint):
            inner = tuple(p for p in step.passes if p.name not in names)
            if inner:
                kept.append(Fixpoint(inner))
        elif step.name not in names:
            kept.append(step)
    return tuple(kept)


def before_legality(step: AnyPass | Fixpoint) -> bool:
    """Whether the step is of no legalising pass, nor of one that runs after those."""
    return all(p.phase < Phase.LEGALISE for p in flatten([step]))

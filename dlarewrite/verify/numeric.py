"""Prove with onnxruntime that a rewritten model computes what the original computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from dlarewrite.errors import ModelError, UsageError
from dlarewrite.verify.allowance import is_unsteady
from dlarewrite.verify.conditioning import Conditioning
from dlarewrite.verify.cut import CutPair, cut
from dlarewrite.verify.evidence import Evidence, ranges
from dlarewrite.verify.failures import CannotRun
from dlarewrite.verify.halves import behind_halves
from dlarewrite.verify.inputs import Feeder, load_npz
from dlarewrite.verify.iochange import changed_feed, restored
from dlarewrite.verify.judge import judge
from dlarewrite.verify.numerics import Numerics
from dlarewrite.verify.outputs import compare
from dlarewrite.verify.policy import Override, Policy
from dlarewrite.verify.ports import IoChange, differences, input_ports, output_ports
from dlarewrite.verify.reference import Sample, calm, from_feed, from_seed
from dlarewrite.verify.runner import Session, runtime
from dlarewrite.verify.shell import Source, all_nodes, open_model

__all__ = ["Feeds", "Prover", "compare", "prove"]

Feeds = Mapping[str, Any] | Sequence[Mapping[str, Any]] | str | PathLike[str]
"""One sample, several, or the path of a numpy archive that holds them (see load_npz)."""

_MAX_CUTS = 8
_Shapes = dict[str, tuple[int, ...]]


class Prover:
    """The original model, its inputs and its outputs, ready to be compared with any number of rewritten models.

    `seeds` are drawn from unless `feeds` are given, which `inputs_from` then names in the evidence. `shapes` gives
    sizes to symbolic dimensions; those that a rewritten model has made static are taken from it. `base_dir` is where
    the external data of a ModelProto lies. onnxruntime uses `threads` threads (0: one per core).
    """

    def __init__(
        self,
        before: Source,
        *,
        seeds: Sequence[int] = (0, 1, 2),
        feeds: Feeds | None = None,
        inputs_from: str = "given inputs",
        shapes: Mapping[str, tuple[int, ...]] | None = None,
        base_dir: str | PathLike[str] | None = None,
        threads: int = 1,
    ) -> None:
        self._before, self._base_dir = open_model(before, base_dir)
        self._feeds = None if feeds is None else _samples(feeds, self._before)
        if not (seeds if self._feeds is None else self._feeds):
            raise UsageError("a proof needs at least one seed or one sample of inputs")
        self._seeds = tuple(seeds) if self._feeds is None else ()
        self._inputs_from = "" if feeds is None else str(feeds) if isinstance(feeds, (str, PathLike)) else inputs_from
        self._shapes, self._threads = dict(shapes or {}), threads
        self._samples: dict[object, list[Sample]] = {}
        self._conditionings: dict[object, Conditioning] = {}

    def prove(
        self,
        after: Source,
        *,
        numerics: Numerics,
        atol: Override = None,
        rtol: Override = None,
        bound: float | None = None,
        io_changed: Mapping[str, IoChange] | None = None,
        base_dir: str | PathLike[str] | None = None,
    ) -> Evidence:
        """Compare `after` with the original on every sample; the arguments and errors are those of `prove`."""
        changed = io_changed or {}
        rewritten, directory = open_model(after, base_dir)
        narrowed = _narrowed(self._before, rewritten)
        policy = Policy(numerics, bound, atol, rtol, narrowed, behind_halves(self._before))
        policy.check_names(port.name for port in output_ports(self._before))
        blank = Evidence(
            ok=False,
            numerics=numerics.name,
            tolerance=policy.describe({}),
            seeds=self._seeds,
            inputs_from=self._inputs_from,
            runtime=runtime(),
        )
        problems = differences(self._before, rewritten, changed)
        if problems:
            return replace(blank, reason="; ".join(problems))
        pair, samples, candidate = self._ready(rewritten, directory, changed)
        blank = replace(blank, cut=pair.nodes, inputs=ranges([sample.feed for sample in samples]))
        if isinstance(candidate, ModelError):
            return replace(blank, reason=f"the rewritten model: {candidate}")
        found: list[dict[str, Any]] = []
        while True:
            try:
                for sample in samples[len(found) :]:
                    outputs = candidate.run(changed_feed(sample.feed, pair.after, changed))
                    found.append(restored(sample.outputs, outputs, changed))
            except ModelError as error:
                return replace(blank, reason=f"the rewritten model: {error}")
            evidence = judge(blank, samples, found, policy, self._conditioning(pair, samples, policy.computed_in))
            if not is_unsteady(evidence.outputs) or not self._calm(pair, samples):
                return evidence
            blank = replace(blank, inputs=ranges([sample.feed for sample in samples]))

    def _calm(self, pair: CutPair, samples: list[Sample]) -> bool:
        """Add a sample of small inputs; False where there is one, or the inputs were given."""
        if self._feeds is not None or len(samples) > len(self._seeds):
            return False
        sizes = {n: np.shape(v) for n, v in samples[0].feed.items() if not isinstance(v, (list, tuple))}
        session = Session(pair.before, base_dir=self._base_dir, threads=self._threads)
        samples.append(calm(session, Feeder(pair.before, shapes=sizes), self._seeds[0]))
        return True

    def _conditioning(self, pair: CutPair, samples: list[Sample], computed_in: str | None) -> Conditioning:
        """The same one for the same samples, so that a search for a culprit measures once."""
        key = (id(samples), computed_in)  # `_samples` keeps every list alive
        if key not in self._conditionings:
            self._conditionings[key] = Conditioning(
                pair.before, self._base_dir, threads=self._threads, computed_in=computed_in
            )
        return self._conditionings[key]

    def _ready(
        self, after: onnx.ModelProto, directory: Path | None, changed: Mapping[str, IoChange]
    ) -> tuple[CutPair, list[Sample], Session | ModelError]:
        """Cut both models as far as onnxruntime turns out to lack operators, run the original, load the other."""
        shapes = {**_made_static(self._before, after, changed), **self._shapes}
        lacking: list[CannotRun] = []
        while True:
            try:
                pair = cut(self._before, after, lambda node: any(_lacks(node, error) for error in lacking))
            except CannotRun as error:
                raise lacking[-1] if lacking else error from error
            try:
                return pair, self._original(pair, shapes), self._rewritten(pair, directory)
            except CannotRun as error:
                repeated = any((error.op_type, error.node) == (seen.op_type, seen.node) for seen in lacking)
                if not error.op_type or repeated or len(lacking) == _MAX_CUTS:
                    raise
                lacking.append(error)

    def _original(self, pair: CutPair, shapes: _Shapes) -> list[Sample]:
        key = (pair.nodes, tuple(sorted(shapes.items())))
        if key not in self._samples:
            session = Session(pair.before, base_dir=self._base_dir, threads=self._threads)
            self._samples[key] = list(self._run(session, pair, shapes))
        return self._samples[key]

    def _run(self, session: Session, pair: CutPair, shapes: _Shapes) -> list[Sample]:
        if self._feeds is None:
            feeder = Feeder(pair.before, shapes=shapes)
            return [from_seed(session, feeder, seed) for seed in self._seeds]
        given = self._feeds
        if pair.nodes:  # what the cut nodes would have made is drawn
            sizes = {name: np.shape(value) for name, value in given[0].items() if not isinstance(value, (list, tuple))}
            feeder = Feeder(pair.before, shapes=sizes)
            given = [{**feeder.draw(number), **feed} for number, feed in enumerate(given)]
        return [from_feed(session, feed, f"sample {number}") for number, feed in enumerate(given)]

    def _rewritten(self, pair: CutPair, directory: Path | None) -> Session | ModelError:
        try:
            return Session(pair.after, base_dir=directory, threads=self._threads)
        except CannotRun:
            raise
        except ModelError as error:
            return error


def prove(
    before: Source,
    after: Source,
    *,
    numerics: Numerics,
    seeds: Sequence[int] = (0, 1, 2),
    feeds: Feeds | None = None,
    inputs_from: str = "given inputs",
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    atol: Override = None,
    rtol: Override = None,
    bound: float | None = None,
    io_changed: Mapping[str, IoChange] | None = None,
    base_dir: str | PathLike[str] | None = None,
    after_dir: str | PathLike[str] | None = None,
    threads: int = 1,
) -> Evidence:
    """Run both models on the same inputs and compare every output; models are ModelProtos or paths.

    `numerics` sets the tolerance (see `numerics.tolerance`), `atol` and `rtol` replace it, for all float outputs or by
    output name, `bound` is the absolute error that a LOSSY rewrite states. `io_changed` names inputs and outputs (as
    the original calls them) that the rewrite changed on purpose; all others keep name, order, dtype and static shape.
    External data of `before` lies in `base_dir`, that of `after` in `after_dir` or else there too.

    Where ROUNDING's own tolerance (no override) fails, the original is run again with weights and inputs moved by one
    ulp, and an output may differ by twice what that moves it (see `allowance`); the evidence notes it.

    A difference is never raised: it is evidence whose `ok` is false. Raises CannotRun where onnxruntime can run no part
    of the models that would prove anything, UsageError for a wrong override or a dimension without a size, ModelError
    where the original itself is broken.
    """
    prover = Prover(
        before, seeds=seeds, feeds=feeds, inputs_from=inputs_from, shapes=shapes, base_dir=base_dir, threads=threads
    )
    directory = after_dir if after_dir is not None else base_dir
    return prover.prove(
        after, numerics=numerics, atol=atol, rtol=rtol, bound=bound, io_changed=io_changed, base_dir=directory
    )


def _samples(feeds: Feeds, model: onnx.ModelProto) -> list[dict[str, Any]]:
    if isinstance(feeds, (str, PathLike)):
        return list(load_npz(feeds, model))
    return [dict(feed) for feed in ([feeds] if isinstance(feeds, Mapping) else feeds)]


def _lacks(node: onnx.NodeProto, error: CannotRun) -> bool:
    """Whether `error` is about this node: by name where it has one, for an unknown operator by its type."""
    same = node.op_type == error.op_type and (not error.domain or node.domain == error.domain)
    return same and error.node in ("", node.name, *node.output)


def _made_static(before: onnx.ModelProto, after: onnx.ModelProto, changed: Mapping[str, IoChange]) -> _Shapes:
    """Shapes of the rewritten model's inputs, where the original leaves a dimension open."""
    found: _Shapes = {}
    ports = {port.name: port for port in input_ports(after)}
    for port in input_ports(before):
        twin = ports.get(port.name) if port.name not in changed else None
        sizes = tuple(size for size in (twin.shape if twin is not None else None) or () if isinstance(size, int))
        if twin is not None and twin.shape is not None and len(sizes) == len(twin.shape) and port.shape != sizes:
            found[port.name] = sizes
    return found


def _narrowed(before: onnx.ModelProto, after: onnx.ModelProto) -> str | None:
    """The dtype that fp64 was narrowed to: a rewrite that does so leaves Casts to fp32, or back to fp64, behind it."""
    for kind in (onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT):
        counts = [sum(_casts_to(node, kind) for node in all_nodes(model.graph)) for model in (before, after)]
        if counts[1] > counts[0]:
            return "float32"
    return None


def _casts_to(node: onnx.NodeProto, kind: int) -> bool:
    return node.op_type == "Cast" and any(a.name == "to" and a.i == kind for a in node.attribute)

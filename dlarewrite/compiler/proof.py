"""The proof of a run: the original against what became of it, in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from dlarewrite.compiler.options import Options
from dlarewrite.compiler.watch import Watch, tell
from dlarewrite.errors import ModelError
from dlarewrite.ir.model import Model
from dlarewrite.numerics import Numerics
from dlarewrite.rewrite.manager import RewriteLog
from dlarewrite.verify import Evidence, Prover, not_proven, noted_changes


class Proof:
    """Compares models with the original on seeded (or the user's) inputs; ``shapes`` are those of its inputs."""

    def __init__(
        self, original: Model, shapes: Mapping[str, tuple[int, ...]], options: Options, watch: Watch | None
    ) -> None:
        self._original = original
        self._shapes = shapes
        self._options = options
        self._watch = watch

    @cached_property
    def _prover(self) -> Prover:
        """Runs the original once per sample and compares whatever comes after with it."""
        return Prover(
            self._original.to_proto(),
            seeds=self._options.seeds,
            feeds=self._options.inputs,
            inputs_from=str(self._options.inputs or ""),
            shapes=self._shapes,
            base_dir=self._original.folder,
        )

    def prove(self, model: Model, log: RewriteLog) -> Evidence:
        """The evidence that a run ends with."""
        if self._options.verify == "off":
            return not_proven("verification was turned off")
        tell(self._watch, "verify")
        if log.changes:
            return self.compare(model, log.numerics)
        # An untouched model is equal whether or not it can be shown, so what keeps it from running is no failure.
        try:
            evidence = self.compare(model, log.numerics)
        except ModelError as error:
            return not_proven(f"nothing was rewritten, and the original does not run: {error.message}")
        return evidence if evidence.ok else not_proven(f"nothing was rewritten; {worst(evidence)}")

    def compare(self, model: Model, numerics: Numerics) -> Evidence:
        """The evidence on one model, held to the tolerances of ``numerics`` or the user's."""
        return self._prover.prove(
            model.to_proto(),
            numerics=numerics,
            atol=self._options.atol,
            rtol=self._options.rtol,
            io_changed=noted_changes(model.envelope.header),
            base_dir=self._original.folder,
        )


def worst(evidence: Evidence) -> str:
    """Why a proof failed, in a few words."""
    bad = [f"output {o.name!r}: {o.reason}" for o in evidence.outputs if not o.ok]
    return evidence.reason or "; ".join(bad[:3]) or "not equal"

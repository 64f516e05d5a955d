"""One build, complete: the optimised model, its plan and facts, the caller's options, and the release to build it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dlarewrite.build.facts import NetworkFacts
from dlarewrite.build.formats import Border, IoFormat, check_standalone, native, resolve
from dlarewrite.build.options import BuildOptions, check_options
from dlarewrite.build.pools import planned_pools
from dlarewrite.build.release import Features, known, refusal
from dlarewrite.errors import UsageError
from dlarewrite.partition.plan import Plan
from dlarewrite.target import Profile


@dataclass(frozen=True)
class BuildRequest:
    """``model`` is the optimised ONNX file, ``plan`` places its nodes, ``engine`` is what gets written.

    Raises :class:`UsageError` for whatever cannot be built; see :func:`dlarewrite.build.options.check_options`.
    """

    model: Path
    plan: Plan
    profile: Profile
    engine: Path
    options: BuildOptions = field(default_factory=BuildOptions)
    facts: NetworkFacts = field(default_factory=NetworkFacts)
    features: Features | None = None

    def __post_init__(self) -> None:
        why = refusal(self.release.version)
        if why:
            raise UsageError(why, hint="see `dlarewrite list targets`")
        check_options(self.options, self.profile, self.release)
        self._check_scales()
        self._check_layers()
        self._check_fallback()
        self._check_formats()

    @functools.cached_property
    def release(self) -> Features:
        """What the TensorRT has that builds: the one at hand, or the target's as documented."""
        return self.features if self.features is not None else known(self.profile.tensorrt)

    @functools.cached_property
    def _moved(self) -> Mapping[str, str]:
        """What the caller moves, node by node: ``*`` stands for all nodes that are not named."""
        moved = dict(self.options.layer_devices)
        everywhere = moved.pop("*", None)
        others = (*self.plan.dla_nodes, *self.plan.gpu) if everywhere is not None else ()
        return {**{name: str(everywhere) for name in others}, **moved}

    @functools.cached_property
    def gpu(self) -> Mapping[str, str]:
        """Nodes off the DLA with the reason: the plan's, less and plus what the caller moved, and what is nowhere."""
        moved, planned = self._moved, {*self.plan.dla_nodes, *self.plan.gpu}
        kept = {name: why for name, why in self.plan.gpu.items() if moved.get(name) != "DLA"}
        nowhere = {
            name: "in no region of the plan"
            for name, facts in self.facts.nodes.items()
            if name not in planned and name not in moved and facts.verdict not in ("folded", "noop")
        }
        return {**kept, **nowhere, **{name: "asked for" for name, device in moved.items() if device == "GPU"}}

    @functools.cached_property
    def dla(self) -> tuple[str, ...]:
        """Nodes on the DLA: the plan's, less and plus what the caller moved."""
        planned = set(self.plan.dla_nodes)
        added = [name for name, device in self._moved.items() if device == "DLA" and name not in planned]
        return tuple(n for n in (*self.plan.dla_nodes, *added) if n not in self.gpu)

    @functools.cached_property
    def pools(self) -> Mapping[str, int]:
        """Memory pools in bytes: sized from the plan, then as asked."""
        return {**planned_pools(self.plan, self.facts.intermediates), **self.options.pools}

    @functools.cached_property
    def formats(self) -> Mapping[tuple[str, str], IoFormat]:
        """The format of each border that does not keep TensorRT's own, by direction and name."""
        found: dict[tuple[str, str], IoFormat] = {}
        sides = (
            ("input", self.facts.inputs, self.options.input_formats),
            ("output", self.facts.outputs, self.options.output_formats),
        )
        for direction, borders, given in sides:
            asked = resolve(given, borders, direction)
            for border in borders:
                form = asked.get(border.name) or self._default_format(border)
                if form != border.plain:
                    found[direction, border.name] = form
        return found

    def _default_format(self, border: Border) -> IoFormat:
        if not self.options.automatic_formats:
            return border.plain
        form = native(border, self.options.precision)
        typed = self.release.typed and form.dtype != border.dtype
        return border.plain if typed else form

    def format_of(self, border: Border) -> IoFormat:
        """The format that a border ends up with."""
        return self.formats.get((border.direction, border.name), border.plain)

    def engine_of(self, core: int) -> Path:
        """The file of one core's engine; the core is in its name where there are several."""
        if len(self.options.dla_cores) == 1:
            return self.engine
        return self.engine.with_name(f"{self.engine.stem}.dla{core}{self.engine.suffix}")

    def built_by(self, features: Features) -> BuildRequest:
        """The same request for the TensorRT at hand."""
        return replace(self, features=features)

    def _check_scales(self) -> None:
        if self.options.precision != "int8" or self.options.calibration_cache is not None or self.facts.quantized:
            return
        if self.release.typed:
            raise UsageError(
                f"TensorRT {self.release.text} takes no scales: INT8 has to be in the model as Q/DQ, and is not",
                hint="--precision fp16",
            )
        raise UsageError("an INT8 build needs scales", hint="--calib calibration.cache, or --precision fp16")

    def _check_layers(self) -> None:
        named = {**self.options.layer_precisions, **self.options.layer_devices}
        strange = [name for name in named if name != "*" and self.facts.nodes and name not in self.facts.nodes]
        if strange:
            raise UsageError(
                f"the model has no node {strange[0]!r}", hint="names are those of the optimised model; see its plan"
            )

    def _check_fallback(self) -> None:
        if self.options.fallback or not self.gpu:
            return
        node, why = next(iter(self.gpu.items()))
        cause = "a standalone loadable has no GPU" if self.options.standalone else "GPU fallback is off"
        raise UsageError(
            f"{len(self.gpu)} nodes do not run on the DLA and {cause}; the first: {node} ({why})",
            hint="--io native leaves reshapes and casts at the borders to the caller; `dlarewrite split` parts the "
            "model; or allow GPU fallback",
        )

    def _check_formats(self) -> None:
        for border in (*self.facts.inputs, *self.facts.outputs):
            form = self.format_of(border)
            if self.options.standalone:
                check_standalone(border, form)
            if form.dtype == border.dtype:
                continue
            if self.release.typed:
                raise UsageError(
                    f"{border.direction} {border.name!r} is {border.dtype} in the model, and TensorRT "
                    f"{self.release.text} takes types from the model alone",
                    hint=f"ask for {border.dtype}:{form.layout}, or give a model with that type",
                )
            if form.dtype == "int8" and self.options.precision != "int8":
                raise UsageError(
                    f"{border.direction} {border.name!r} cannot be INT8 in a build without it",
                    hint="--precision int8 --calib FILE",
                )

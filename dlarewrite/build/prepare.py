"""What a board needs, written beside the engine: the optimised model, its plan, and the trtexec script."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dlarewrite.build.calibration import cache_for, load_scales
from dlarewrite.build.facts import describe_network
from dlarewrite.build.options import BuildOptions
from dlarewrite.build.release import Features
from dlarewrite.build.request import BuildRequest
from dlarewrite.build.trtexec import script
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.exporter import atomic
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import label
from dlarewrite.partition.plan import Plan
from dlarewrite.precision.scales import ScaleTable
from dlarewrite.target import Judgement, Profile


@dataclass(frozen=True)
class Files:
    """Where everything of one build goes; all names are made from the engine's."""

    engine: Path

    @property
    def model(self) -> Path:
        return self.engine.with_suffix(".dla.onnx")

    @property
    def plan(self) -> Path:
        return self.engine.with_suffix(".dla.plan.yaml")

    @property
    def script(self) -> Path:
        return self.engine.with_suffix(".trtexec.sh")

    @property
    def calibration(self) -> Path:
        return self.engine.with_suffix(".dla.calib.cache")

    @property
    def written(self) -> tuple[Path, ...]:
        """All that a build may write besides engines."""
        return (self.model, self.plan, self.script, self.calibration)


def name_nodes(model: Model) -> None:
    """Give every node a name of its own, since TensorRT names layers, and a plan names nodes, after them.

    A node without a name gets its label, as plans and reports call it already; only what is taken by another node is
    numbered.
    """
    edit = Editor(model)
    seen: set[str] = set()
    taken = {node.name for node in model.nodes}
    with edit.rewrite("name-nodes"):
        for node in model.nodes:
            if not node.name and label(node) not in taken:
                node.name = label(node)  # the Editor would number it: a tensor has this name, which is no clash
                taken.add(node.name)
            elif not node.name or node.name in seen:
                edit.rename(node, label(node))
            seen.add(node.name)


def make_request(
    model: Model,
    judgement: Judgement,
    plan: Plan,
    profile: Profile,
    files: Files,
    options: BuildOptions,
    features: Features | None = None,
    scales: ScaleTable | None = None,
) -> BuildRequest:
    """The request for a named, judged and planned model; ``features`` stand for another release than the target's.

    ``plan`` fits the model, as :func:`dlarewrite.partition.planner.follow_plan` makes it. ``scales`` are the model's
    own where those of ``options`` belong to what it was rewritten from. Raises :class:`UsageError` where the request
    cannot be fulfilled.
    """
    given = options.calibration_cache
    table = scales or (load_scales(given) if given is not None else ScaleTable())
    if scales is not None:
        options = replace(options, calibration_cache=files.calibration)
    elif given is not None:
        options = replace(options, calibration_cache=cache_for(given, table, files.calibration))
    if table.layer_precisions and not options.layer_precisions and options.precision == "int8":
        names = {n.name for n in model.nodes}
        found = {node: kind for node, kind in table.layer_precisions.items() if node in names}
        options = replace(options, layer_precisions=found)
    facts = describe_network(model, judgement, plan, table.scales)
    return BuildRequest(files.model, plan, profile, files.engine, options, facts, features)


def write(model: Model, request: BuildRequest, files: Files, scales: ScaleTable | Path | None = None) -> list[Path]:
    """Write model, plan, script, and ``scales`` as a cache where none lies beside the engine; atomically, in order."""
    model.save(files.model)
    with atomic(files.plan) as file:
        file.write(request.plan.dump().encode())
    with atomic(files.script) as file:
        file.write(script(request).encode())
    files.script.chmod(files.script.stat().st_mode | 0o111)
    written = [files.model, files.plan, files.script]
    if request.options.calibration_cache == files.calibration and scales is not None:
        table = scales if isinstance(scales, ScaleTable) else load_scales(scales)
        table.save(files.calibration)
        written.append(files.calibration)
    return written

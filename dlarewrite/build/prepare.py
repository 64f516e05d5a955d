"""What a board needs, written beside the engine: the optimised model, its plan, and the trtexec script."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlarewrite.build.request import BuildRequest
from dlarewrite.build.trtexec import script
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.exporter import atomic
from dlarewrite.ir.model import Model
from dlarewrite.ir.view import label


@dataclass(frozen=True)
class Files:
    """Where everything of one build goes; all names are made from the engine's."""

    engine: Path

    @property
    def model(self) -> Path:
        return self.engine.with_suffix(".dla.onnx")

    @property
    def plan(self) -> Path:
        return self.engine.with_suffix(".plan.yaml")

    @property
    def script(self) -> Path:
        return self.engine.with_suffix(".trtexec.sh")


def name_nodes(model: Model) -> None:
    """Give every node a name of its own, since TensorRT names layers, and a plan names nodes, after them."""
    edit = Editor(model)
    seen: set[str] = set()
    with edit.rewrite("name-nodes"):
        for node in model.nodes:
            if not node.name or node.name in seen:
                edit.rename(node, label(node))
            seen.add(node.name)


def write(model: Model, request: BuildRequest, files: Files) -> list[Path]:
    """Write model, plan and script, each atomically; returns them in this order."""
    model.save(files.model)
    with atomic(files.plan) as file:
        file.write(request.plan.dump().encode())
    with atomic(files.script) as file:
        file.write(script(request).encode())
    files.script.chmod(files.script.stat().st_mode | 0o111)
    return [files.model, files.plan, files.script]

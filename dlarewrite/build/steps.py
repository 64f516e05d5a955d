"""One step of a build as a value: what is called on which object with what, and why; printed, or carried out.

The text of a step is the Python that would be run, so a dry run reads like the build. Nothing here knows TensorRT.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Member:
    """A class, or an enum's member, of the tensorrt module: ``BuilderFlag.FP16``."""

    path: str

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True)
class Bits:
    """Enum members as a bit mask; none is 0."""

    paths: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " | ".join(f"1 << int({path})" for path in self.paths) or "0"


@dataclass(frozen=True)
class Ref:
    """An object that an earlier step made."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Port:
    """A network input or output, found by its name."""

    direction: str
    name: str

    def __str__(self) -> str:
        return f"{self.direction}({self.name!r})"


@dataclass(frozen=True)
class Helper:
    """An object of this package that TensorRT calls back: "logger", "calibrator" or "progress"."""

    kind: str
    file: Path | None = None

    def __str__(self) -> str:
        return f"dlarewrite.{self.kind}({repr(str(self.file)) if self.file is not None else ''})"


@dataclass(frozen=True)
class FileBytes:
    """The bytes of a file, or none where it does not exist yet."""

    path: Path

    def __str__(self) -> str:
        return f"bytes_of({str(self.path)!r})"


Value = Member | Bits | Ref | Port | Helper | FileBytes | Path | str | int | bool


def spell(value: Value) -> str:
    """A value as Python would write it."""
    if isinstance(value, Path):
        return repr(str(value))
    return str(value) if not isinstance(value, str) else repr(value)


@dataclass(frozen=True)
class Call:
    """``makes = on.method(*args)``; ``on`` is None for a helper that is only named. ``cure`` is for a refusal."""

    on: Member | Ref | Port | None
    method: str
    args: tuple[Value, ...] = ()
    makes: str = ""
    why: str = ""
    cure: str = ""

    def __str__(self) -> str:
        words = ", ".join(map(spell, self.args))
        head = f"{self.makes} = " if self.makes else ""
        if self.on is None:
            return f"{head}{words}"
        return f"{head}{self.on}.{self.method}({words})" if self.method else f"{head}{self.on}({words})"


@dataclass(frozen=True)
class Assign:
    """``on.property = value``."""

    on: Ref | Port
    name: str
    value: Value
    why: str = ""

    def __str__(self) -> str:
        return f"{self.on}.{self.name} = {spell(self.value)}"


@dataclass(frozen=True)
class DemandCore:
    """The machine has to have the DLA core."""

    core: int
    why: str = "TensorRT ignores a core that does not exist"

    def __str__(self) -> str:
        return f"demand builder.num_DLA_cores > {self.core}"


@dataclass(frozen=True)
class Parse:
    """Read the model; a refusal of the parser ends the build with its own words."""

    model: Path
    why: str = ""

    def __str__(self) -> str:
        return f"parser.parse_from_file({str(self.model)!r})"


@dataclass(frozen=True)
class Hooks:
    """Call the caller's functions with the parsed network."""

    count: int
    why: str = "given by the caller"

    def __str__(self) -> str:
        return f"call {self.count} network hook{'s' if self.count != 1 else ''}"


@dataclass(frozen=True)
class LayerTypes:
    """Set precision and output type of the layers of each node; ``*`` is every other node of the DLA."""

    members: Mapping[str, str]
    why: str = ""

    def __str__(self) -> str:
        lines = [f"for layer of node {node!r}: layer.precision = {path}" for node, path in self.members.items()]
        return "\n".join([*lines, "and layer.set_output_type(i, the same) for its outputs"])


@dataclass(frozen=True)
class Place:
    """Ask ``can_run_on_DLA`` for every layer, compare, and set its device.

    ``gpu`` are the nodes off the DLA; without ``fallback`` a layer that TensorRT refuses ends the build.
    """

    dla: int
    gpu: tuple[str, ...] = field(default=())
    fallback: bool = True
    why: str = "precision is set by now, which the answer depends on"

    def __str__(self) -> str:
        lines = [
            "for each layer but constants: config.can_run_on_DLA(layer), compared with the verdict on its node",
            f"    {self.dla} nodes of the plan's regions: config.set_device_type(layer, DeviceType.DLA)",
        ]
        lines += [f"    node {name!r}: config.set_device_type(layer, DeviceType.GPU)" for name in self.gpu]
        lines.append(
            "    layers of no node: as the node that reads them, else the one they read, where TensorRT agrees"
        )
        refused = "config.set_device_type(layer, DeviceType.GPU)" if self.fallback else "the build ends"
        return "\n".join([*lines, f"    planned on the DLA, refused by TensorRT: {refused}"])


@dataclass(frozen=True)
class Build:
    """Build the network; no result ends the build with TensorRT's errors."""

    why: str = ""

    def __str__(self) -> str:
        return "built = builder.build_serialized_network(network, config)"


@dataclass(frozen=True)
class Save:
    """Write what was built atomically; ``loadable`` demands the header of a DLA loadable first."""

    engine: Path
    loadable: bool = False
    why: str = ""

    def __str__(self) -> str:
        check = "demand built[4:8] == b'NVDA'\n" if self.loadable else ""
        return f"{check}write {str(self.engine)!r}"


@dataclass(frozen=True)
class SaveTimings:
    """Write the timing cache back."""

    path: Path
    why: str = "so that the next build measures only what is new"

    def __str__(self) -> str:
        return f"write {str(self.path)!r}: config.get_timing_cache().serialize()"


@dataclass(frozen=True)
class Inspect:
    """Read where the layers really run from the finished engine."""

    core: int
    why: str = "planned against real placement, loadables, reformats"

    def __str__(self) -> str:
        return (
            f"runtime = Runtime(logger)\nruntime.DLA_core = {self.core}\n"
            "engine = runtime.deserialize_cuda_engine(built)\n"
            "engine.create_engine_inspector().get_engine_information(LayerInformationFormat.JSON)"
        )


BuildStep = Call | Assign | DemandCore | Parse | Hooks | LayerTypes | Place | Build | Save | SaveTimings | Inspect


def render(steps: tuple[BuildStep, ...]) -> str:
    """The steps as numbered lines with the reasons beside them."""
    lines: list[str] = []
    for number, step in enumerate(steps, 1):
        first, *rest = str(step).split("\n")
        lines.append(f"{number:2}  {first}" + (f"    # {step.why}" if step.why else ""))
        lines.extend(f"    {line}" for line in rest)
    return "\n".join(lines) + "\n"


def as_data(step: BuildStep) -> dict[str, Any]:
    """A step as plain data for JSON."""
    return {"step": type(step).__name__, "does": str(step).split("\n"), "why": step.why}

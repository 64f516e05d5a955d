"""The machine of a cost: a module in one of its power modes, from ``machines.yaml``."""

from __future__ import annotations

import functools
import importlib.resources
from dataclasses import dataclass
from typing import Any

import yaml

from dlarewrite.errors import UsageError
from dlarewrite.target import Target

WATTS = "W"


@dataclass(frozen=True)
class Machine:
    """A module at given clocks.

    Clocks in Hz, ``dram`` in bytes per second at the mode's memory clock, ``sram`` in bytes per DLA core, rates in
    dense multiply-accumulates per clock: ``dla_*`` of one core, ``sm_*`` of one of ``sms`` GPU multiprocessors.
    ``dla_fp16`` is None where it is not published (Orin).
    """

    module: str
    title: str
    soc: str
    mode: str
    dla_cores: int
    dla_hz: float
    gpu_hz: float
    sms: int
    dram: float
    sram: int
    dla_int8: int
    dla_fp16: int | None
    sm_int8: int
    sm_fp16: int
    source: str

    @property
    def orin(self) -> bool:
        """Whether the SoC is Orin's, with the second generation of the DLA."""
        return self.soc == "T234"

    def __str__(self) -> str:
        return f"{self.title}, {self.mode}"


def load_data(name: str) -> Any:
    """A data file of this package."""
    # libyaml's loader, where PyYAML was built with it, is several times faster.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = importlib.resources.files("dlarewrite.partition").joinpath(name).read_text(encoding="utf-8")
    return yaml.load(text, loader)


@functools.cache
def _data() -> dict[str, Any]:
    found: dict[str, Any] = load_data("machines.yaml")
    return found


def modules(soc: str | None = None) -> tuple[str, ...]:
    """Names of all modules, or of those with ``soc``; the most capable one of a SoC comes first."""
    return tuple(raw["name"] for raw in _data()["modules"] if soc in (None, raw["soc"]))


def modes(module: str) -> tuple[str, ...]:
    """Names of a module's power modes, the default first; raises :class:`UsageError` for an unknown module."""
    return tuple(_find(module)["modes"])


def _find(module: str) -> dict[str, Any]:
    for raw in _data()["modules"]:
        if raw["name"] == module.strip().lower():
            found: dict[str, Any] = raw
            return found
    raise UsageError(f"there is no module named {module!r}", hint=f"known modules: {', '.join(modules())}")


def _mode(raw: dict[str, Any], mode: str | None) -> tuple[str, dict[str, Any]]:
    if mode is None:
        mode = next(iter(raw["modes"]))
    wanted = mode.strip().upper()
    name: str
    clocks: dict[str, Any]
    for name, clocks in raw["modes"].items():
        if wanted in (name.upper(), name.upper().removesuffix(WATTS)):
            return name, clocks
    raise UsageError(f"{raw['title']} has no power mode {mode!r}", hint=f"known modes: {', '.join(raw['modes'])}")


def load_machine(target: Target, *, module: str | None = None, mode: str | None = None) -> Machine:
    """The machine that a target stands for: its first module, at the mode with the highest clocks.

    Raises :class:`UsageError` for an unknown module or mode, and for a module that the target is not made for.
    """
    titles = target.profile.modules
    raw = _find(_default(titles, target.profile.soc) if module is None else module)
    if not any(str(raw["title"]).startswith(title) for title in titles):
        fitting = [name for name in modules() if str(_find(name)["title"]).startswith(titles)]
        raise UsageError(
            f"{raw['title']} does not run target {target.name!r} ({', '.join(titles)})",
            hint=f"modules of this target: {', '.join(fitting)}",
        )
    name, clocks = _mode(raw, mode)
    rates = _data()["socs"][raw["soc"]]
    return Machine(
        module=raw["name"],
        title=raw["title"],
        soc=raw["soc"],
        mode=name,
        dla_cores=raw["dla_cores"],
        dla_hz=clocks["dla"] * 1e6,
        gpu_hz=clocks["gpu"] * 1e6,
        sms=clocks["sms"],
        dram=raw["dram"] * 1e9 * clocks.get("emc", 1),
        sram=raw["sram"],
        dla_int8=rates["dla_int8"],
        dla_fp16=rates.get("dla_fp16"),
        sm_int8=rates["sm_int8"],
        sm_fp16=rates["sm_fp16"],
        source=raw["source"],
    )


def _default(titles: tuple[str, ...], soc: str) -> str:
    fitting = (name for name in modules(soc) if str(_find(name)["title"]).startswith(titles))
    return next(fitting, modules(soc)[0])

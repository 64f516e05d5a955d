"""What a build is asked for, independent of who carries it out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dlarewrite.errors import UsageError
from dlarewrite.partition.plan import Plan
from dlarewrite.target import Profile

_POOLS = ("dlaSRAM", "dlaLocalDRAM", "dlaGlobalDRAM", "workspace")


@dataclass(frozen=True)
class BuildRequest:
    """``model`` is the optimised ONNX file, ``plan`` places its nodes; pools are in MiB, as trtexec counts them."""

    model: Path
    plan: Plan
    profile: Profile
    engine: Path
    dla_core: int = 0
    gpu_fallback: bool = True
    precision: str = "fp16"
    calibration_cache: Path | None = None
    timing_cache: Path | None = None
    pools: dict[str, int] = field(default_factory=lambda: {"dlaSRAM": 1})
    verbose: bool = False

    def __post_init__(self) -> None:
        cores = self.profile.dla_cores
        if not 0 <= self.dla_core < cores:
            raise UsageError(
                f"--dla-core {self.dla_core} does not exist on {self.profile.name}",
                hint=f"its cores are 0 to {cores - 1}" if cores > 1 else "its only core is 0",
            )
        if self.precision == "int8" and self.calibration_cache is None:
            raise UsageError("an INT8 build needs scales", hint="--calib calibration.cache, or --precision fp16")
        if self.calibration_cache is not None and not self.calibration_cache.is_file():
            raise UsageError(f"calibration cache {str(self.calibration_cache)!r} does not exist")
        if not self.gpu_fallback and self.plan.gpu:
            node, why = next(iter(self.plan.gpu.items()))
            raise UsageError(
                f"{len(self.plan.gpu)} nodes do not run on the DLA and GPU fallback is off; the first: {node} ({why})",
                hint="allow GPU fallback, or see `dlarewrite check`",
            )
        for name, size in self.pools.items():
            if name not in _POOLS:
                raise UsageError(f"there is no memory pool {name!r}", hint=f"pools: {', '.join(_POOLS)}")
            if name.startswith("dla") and (size < 1 or size & (size - 1)):
                raise UsageError(f"pool {name} must be a power of two of MiB, got {size}")


def parse_pools(text: str) -> dict[str, int]:
    """trtexec's ``--memPoolSize`` syntax, sizes in MiB: ``dlaSRAM:1,dlaLocalDRAM:1024``."""
    pools: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        name, _, size = part.partition(":")
        if not size.isdigit():
            raise UsageError(f"memory pool {part!r} is not NAME:MIB", hint="example: dlaSRAM:1,dlaLocalDRAM:1024")
        pools[name.strip()] = int(size)
    return pools

"""DLA memory pools: trtexec's syntax, the limits of the hardware, and sizes taken from a plan.

Sizes are bytes. Limits are upper bounds for each loadable; TensorRT wants powers of two of at least 4 KiB
(MEM: DLA memory pools), and its own defaults are 1 MiB of SRAM, 1 GiB of local and 512 MiB of global DRAM.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dlarewrite.errors import UsageError
from dlarewrite.partition.plan import Plan

MIB = 2**20
MEMBERS: Mapping[str, str] = {
    "workspace": "MemoryPoolType.WORKSPACE",
    "dlaSRAM": "MemoryPoolType.DLA_MANAGED_SRAM",
    "dlaLocalDRAM": "MemoryPoolType.DLA_LOCAL_DRAM",
    "dlaGlobalDRAM": "MemoryPoolType.DLA_GLOBAL_DRAM",
}
DEFAULTS: Mapping[str, int] = {"dlaSRAM": MIB, "dlaLocalDRAM": 1024 * MIB, "dlaGlobalDRAM": 512 * MIB}
"""TensorRT's own limits, which are also what a loadable may need (MEM, GEN-LOCALMEM, GEN-WEIGHTS)."""
_UNITS = {"": MIB, "B": 1, "K": 2**10, "M": MIB, "G": 2**30}
_LEAST = 4096
_LEAST_DRAM = 64 * MIB


def parse_pools(text: str) -> dict[str, int]:
    """``dlaSRAM:1,dlaLocalDRAM:1024`` in MiB, or with a unit: ``dlaSRAM:512K``, ``dlaLocalDRAM:1G``; gives bytes."""
    pools: dict[str, int] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, size = part.rpartition(":")
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([BKMG]?)", size.strip().upper().removesuffix("IB"))
        if not name or found is None:
            raise UsageError(f"memory pool {part!r} is not NAME:MIB", hint="example: dlaSRAM:1,dlaLocalDRAM:1024")
        pools[name.strip()] = int(float(found[1]) * _UNITS[found[2]])
    check_pools(pools)
    return pools


def check_pools(pools: Mapping[str, int]) -> None:
    """Raise :class:`UsageError` for an unknown pool, or a size that no loadable compiles with."""
    for name, size in pools.items():
        if name not in MEMBERS:
            raise UsageError(f"there is no memory pool {name!r}", hint=f"pools: {', '.join(MEMBERS)}")
        if name != "workspace" and (size < _LEAST or size & (size - 1)):
            near = max(_LEAST, 1 << max(size, 1).bit_length() - 1)
            raise UsageError(
                f"pool {name} is {size:,} bytes; the DLA takes powers of two of at least {_LEAST:,} bytes",
                hint=f"the next one below is {name}:{mib(near)}",
            )


def mib(size: int) -> str:
    """Bytes in MiB as trtexec reads them."""
    return f"{size / MIB:.10g}"


def planned_pools(plan: Plan, intermediates: Mapping[str, int]) -> dict[str, int]:
    """Pools that hold the largest region: weights twice over (padding, metadata), and all its tensors at once.

    ``intermediates`` maps a region's name to the bytes of all tensors that it makes; like the plan's weights, they are
    counted in the build's precision.
    Never under 64 MiB of DRAM: a limit that is too low fails the build, one that is too high costs nothing.
    """
    weights = max((2 * r.weight_bytes for r in plan.regions), default=0)
    tensors = max((2 * intermediates.get(r.name, 0) for r in plan.regions), default=0)
    return {
        "dlaSRAM": DEFAULTS["dlaSRAM"],
        "dlaLocalDRAM": _power_of_two(max(tensors, _LEAST_DRAM)),
        "dlaGlobalDRAM": _power_of_two(max(weights, _LEAST_DRAM)),
    }


def _power_of_two(size: int) -> int:
    return 1 << (size - 1).bit_length()

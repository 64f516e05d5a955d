"""The cost model's few parameters: names, units and sources stand beside the values in ``cost_parameters.yaml``."""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields
from typing import Any

from dlarewrite.partition.machine import load_data


@dataclass(frozen=True)
class Parameters:
    """All of them in SI units; see ``cost_parameters.yaml`` for what each one means and where it comes from."""

    dla_mac_efficiency: float
    dla_dram_share: float
    dla_sram_held: float
    dla_operation_seconds: float
    dla_sparse_speedup: float
    dla_orin_fp16_macs: float
    dla_atom_channels: int
    dla_atom_maps: int
    loadable_seconds: float
    gpu_mac_efficiency: float
    gpu_int8_speedup: float
    gpu_dram_share: float
    gpu_launch_seconds: float
    gpu_tile: float
    orin_crossing_seconds: float
    orin_crossing_bytes_per_second: float
    xavier_to_gpu_seconds: float
    xavier_to_dla_seconds: float
    xavier_crossing_bytes_per_second: float
    crossing_joules: float
    crossing_joules_per_byte: float
    orin_dla_watts: float
    orin_gpu_watts: float
    xavier_dla_watts: float
    xavier_gpu_watts: float


@functools.cache
def described() -> dict[str, dict[str, Any]]:
    """Name -> value, unit, meaning, source, and for fitted ones the range and what the fit starts from."""
    found: dict[str, dict[str, Any]] = load_data("cost_parameters.yaml")["parameters"]
    return found


@functools.cache
def shipped() -> Parameters:
    """The values that this release carries."""
    return Parameters(**{field.name: described()[field.name]["value"] for field in fields(Parameters)})


def fitted_names() -> tuple[str, ...]:
    """The parameters that ``benchmarks.cost_model`` fits; all others come from a source."""
    return tuple(name for name, entry in described().items() if "range" in entry)

"""What a run is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dlarewrite.errors import UsageError
from dlarewrite.rewrite.context import Settings
from dlarewrite.target import DEFAULT_TARGET, Precision, Target, load_target


@dataclass(frozen=True)
class Options:
    """What a run is asked to do; the command line's options have the same names.

    ``passes`` / ``skip`` choose from the catalogue, ``pipeline`` replaces the default one. ``shapes`` maps input names
    to dims. ``verify`` is "off", "end" or "each". ``limit`` stops after so many rewrites. ``keep_going`` accepts a run
    from which an offending pass had to be taken out. ``everything`` also keeps rewrites that are not
    worth their regions. Growth limits are those of added cost (share of MACs, bytes of weights, layers).
    """

    target: str = DEFAULT_TARGET
    precision: str = "fp16"
    passes: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    pipeline: str = ""
    lossy: bool = False
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    batch: int | None = None
    native_io: bool = False
    verify: str = "end"
    inputs: Path | None = None
    atol: float | Mapping[str, float] | None = None
    rtol: float | Mapping[str, float] | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    limit: int | None = None
    keep_going: bool = False
    everything: bool = False
    plugins: tuple[Path, ...] = ()
    print_after: tuple[str, ...] | None = None
    dump_each: Path | None = None
    max_growth_macs: float = 0.5
    max_growth_bytes: int = 128 * 2**20
    max_growth_layers: int | None = None
    plan: Path | None = None

    def load_target(self) -> Target:
        """The target in the chosen precision; raises UsageError for unknown names."""
        try:
            precision = Precision(self.precision)
        except ValueError:
            raise UsageError(f"there is no precision {self.precision!r}", hint="choose fp16 or int8") from None
        return load_target(self.target, precision)

    def settings(self) -> Settings:
        return Settings(
            shapes=dict(self.shapes),
            batch=self.batch,
            native_io=self.native_io,
            lossy=self.lossy,
            limit=self.limit,
            growth_macs=self.max_growth_macs,
            growth_bytes=self.max_growth_bytes,
            growth_layers=self.max_growth_layers,
        )

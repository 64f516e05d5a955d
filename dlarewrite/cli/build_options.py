"""The options of ``dlarewrite build`` in groups, with trtexec's spellings beside our own, and what they become."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlarewrite.cli.command import FILE
from dlarewrite.cli.console import Console, Level
from dlarewrite.cli.options import Decorator, group
from dlarewrite.cli.types import CoresType
from dlarewrite.errors import UsageError

if TYPE_CHECKING:
    from dlarewrite.build.options import BuildOptions

_DEVICE = (
    click.option("--dla-core", "--useDLACore", "dla_core", type=int, help="Build for this core; default: 0."),
    click.option("--dla-cores", type=CoresType(), metavar="0,1", help="Build one engine for each of these cores."),
    click.option(
        "--gpu-fallback/--no-gpu-fallback", "gpu_fallback", default=None, help="Let refused nodes run there (default)."
    ),
    click.option("--allowGPUFallback", "allow_fallback", is_flag=True, hidden=True),
    click.option("--max-chunks", type=click.IntRange(min=1), help="Keep the N largest DLA regions; default: the cap."),
    click.option("--min-layers", type=click.IntRange(min=1), help="Leave smaller DLA regions to the GPU."),
    click.option("--layer-devices", "--layerDeviceTypes", metavar="NODE:GPU,...", help="Overrule the plan."),
    click.option("--standalone", "--buildDLAStandalone", "standalone", is_flag=True, help="A DLA loadable for cuDLA."),
)
_PRECISION = (
    click.option("--int8", "int8", is_flag=True, hidden=True),
    click.option("--fp16", "fp16", is_flag=True, hidden=True),
    click.option("--fp8", is_flag=True, help="Allow FP8 for layers on the GPU."),
    click.option("--calib", type=FILE, help="Scales for --precision int8: a calibration cache, or scales.json."),
    click.option("--layer-precisions", "--layerPrecisions", metavar="NODE:fp16,...", help="Precision of single nodes."),
    click.option(
        "--precision-constraints",
        "--precisionConstraints",
        type=click.Choice(["none", "prefer", "obey"]),
        help="Default: prefer where single nodes have precisions.",
    ),
    click.option(
        "--sparsity",
        type=click.Choice(["disable", "enable", "force"]),
        default="disable",
        show_default=True,
        help="2:4 sparse weights.",
    ),
)
_BORDERS = (
    click.option(
        "--io-formats",
        type=click.Choice(["keep", "auto"]),
        help="auto: the formats that spare reformats, chosen by the first and last layers.",
    ),
    click.option("--input-format", "--inputIOFormats", multiple=True, metavar="[NAME:]TYPE:FORMAT", help="fp16:chw16."),
    click.option("--output-format", "--outputIOFormats", multiple=True, metavar="[NAME:]TYPE:FORMAT", help="Likewise."),
    click.option("--direct-io", "--directIO", "direct_io", is_flag=True, help="Forbid reformats at the borders."),
)
_RESOURCES = (
    click.option("--mem-pool-size", "--memPoolSize", "pools", default="", help="dlaSRAM:1 (MiB); default: as planned."),
    click.option("--workspace", type=click.FloatRange(min=0), help="The GPU's scratch memory in MiB."),
    click.option("--timing-cache", "--timingCacheFile", "timing_cache", type=FILE, help="Read, and written back."),
    click.option("--ignore-timing-mismatch", is_flag=True, help="Take a timing cache of another device."),
    click.option(
        "--optimization-level", "--builderOptimizationLevel", type=int, help="0 to 5; higher searches longer."
    ),
    click.option("--reject-empty-algorithms", is_flag=True, help="Fail where no kernel is left to choose."),
    click.option("--skipInference", "skip_inference", is_flag=True, hidden=True),
    click.option("--buildOnly", "build_only", is_flag=True, hidden=True),
)

engine: Decorator[Any] = group((*_DEVICE, *_PRECISION, *_BORDERS, *_RESOURCES))
_KEYS = tuple(parameter.name for parameter in engine(lambda: None).__click_params__)


def take(given: dict[str, Any]) -> dict[str, Any]:
    """Move this module's options out of all that click parsed; ``--int8`` becomes ``--precision int8``."""
    mine = {key: given.pop(key) for key in _KEYS}
    if mine["int8"]:
        given["precision"] = "int8"
    return mine


def collect(mine: Mapping[str, Any], precision: str) -> BuildOptions:
    """The build's options from what :func:`take` took; raises :class:`UsageError` for words that mean nothing."""
    from dlarewrite.build.formats import parse_formats
    from dlarewrite.build.options import BuildOptions

    return BuildOptions(
        dla_cores=_cores(mine),
        gpu_fallback=True if mine["allow_fallback"] else mine["gpu_fallback"],
        precision=precision,
        fp8=mine["fp8"],
        calibration_cache=mine["calib"],
        timing_cache=mine["timing_cache"],
        ignore_timing_mismatch=mine["ignore_timing_mismatch"],
        pools=_pools(mine),
        optimization_level=mine["optimization_level"],
        direct_io=mine["direct_io"],
        precision_constraints=mine["precision_constraints"] or "",
        layer_precisions=_pairs("--layer-precisions", mine["layer_precisions"], str.lower),
        layer_devices=_devices(mine["layer_devices"]),
        reject_empty_algorithms=mine["reject_empty_algorithms"],
        sparsity=mine["sparsity"],
        standalone=mine["standalone"],
        io_formats=mine["io_formats"] or "",
        input_formats=tuple(pair for text in mine["input_format"] for pair in parse_formats(text)),
        output_formats=tuple(pair for text in mine["output_format"] for pair in parse_formats(text)),
        verbose=Console.current().level >= Level.VERBOSE,
    )


def _cores(mine: Mapping[str, Any]) -> tuple[int, ...]:
    if mine["dla_cores"] is None:
        return (mine["dla_core"] or 0,)
    if mine["dla_core"] is not None:
        raise UsageError("--dla-core and --dla-cores are both given", hint="give one of them")
    cores: tuple[int, ...] = mine["dla_cores"]
    return cores


def _pools(mine: Mapping[str, Any]) -> dict[str, int]:
    from dlarewrite.build.pools import MIB, parse_pools

    pools = parse_pools(mine["pools"])
    if mine["workspace"] is not None:
        pools["workspace"] = int(mine["workspace"] * MIB)
    return pools


def _devices(text: str | None) -> dict[str, str]:
    found = _pairs("--layer-devices", text, str.upper)
    for node, device in found.items():
        if device not in ("DLA", "GPU"):
            raise UsageError(f"--layer-devices: device {device!r} of {node!r} is neither DLA nor GPU")
    return found


def _pairs(option: str, text: str | None, spell: Any) -> dict[str, str]:
    """``name:word,name:word``; names may hold colons, so the last one counts."""
    found = {}
    for part in filter(None, (p.strip() for p in (text or "").split(","))):
        name, _, word = part.rpartition(":")
        if not name or not word:
            raise UsageError(f"{option}: {part!r} is not NODE:VALUE")
        found[name.strip()] = spell(word.strip())
    return found


def model_path(operand: Path | None, alias: Path | None) -> Path:
    """MODEL, or what trtexec calls ``--onnx``; raises :class:`UsageError` unless exactly one is given."""
    if operand is not None and alias is not None:
        raise UsageError("MODEL and --onnx are both given", hint="give one of them")
    path = operand if operand is not None else alias
    if path is None:
        raise UsageError("missing argument 'MODEL'", hint="see `dlarewrite build --help`")
    if path.is_dir():
        raise UsageError(f"model {str(path)!r} is a folder", hint="give an ONNX file")
    return path

"""The trtexec commands that equal a build: one per DLA core, then a profile of layers and a timeline, as a script.

Every argument goes through the table of options by release, so that none is emitted that the board's trtexec lacks;
what it cannot say is said in a comment instead. The script works from its own folder, so that this folder can be
copied to a board as it is: files beside it go by their names, others by the path given.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dlarewrite.build.cautions import cautions
from dlarewrite.build.formats import Border
from dlarewrite.build.pools import MIB, mib
from dlarewrite.build.release import dotted
from dlarewrite.build.request import BuildRequest
from dlarewrite.build.trtexec_options import available
from dlarewrite.precision.layer_precisions import UNREADABLE

Add = Callable[[str, object], None]

_DEFAULT_WORKSPACE = 1024 * MIB
# Linux takes no longer argument: MAX_ARG_STRLEN, 32 pages of 4 KiB with the closing zero.
_LONGEST = 32 * 4096 - 1
# Its list ends a name at a comma, pairs quotation marks, and reads a star as any text.
_ALL_OTHERS = "*"
_INSTALLED = "/usr/src/tensorrt/bin/trtexec"


def arguments(request: BuildRequest, core: int | None = None) -> list[str]:
    """trtexec's arguments for one core's engine (the first core's by default) in a stable order."""
    core = request.options.dla_cores[0] if core is None else core
    release = request.release.version
    return [text for option, text in _wanted(request, core) if available(option, release)]


def _wanted(request: BuildRequest, core: int) -> list[tuple[str, str]]:
    """Everything that a build asks for, as (option, spelled); the release decides which of them exist."""
    options, found = request.options, list[tuple[str, str]]()

    def add(option: str, value: object = None) -> None:
        found.append((option, option if value is None else f"{option}={value}"))

    def add_if(condition: object, option: str, value: object = None) -> None:
        if condition:
            add(option, value)

    add("--onnx", request.model)
    add("--saveEngine", request.engine_of(core))
    add("--useDLACore", core)
    add_if(options.fallback, "--allowGPUFallback")
    add("--fp16")
    add_if(options.precision == "int8", "--int8")
    add_if(options.precision == "int8" and options.calibration_cache, "--calib", options.calibration_cache)
    add_if(options.fp8, "--fp8")
    add_if(options.constraints != "none", "--precisionConstraints", options.constraints)
    precisions = spellable(options.layer_precisions)
    add_if(precisions, "--layerPrecisions", _pairs(precisions))
    add_if(precisions, "--layerOutputTypes", _pairs(precisions))
    devices = _devices(request)
    add_if(devices, "--layerDeviceTypes", _pairs(devices))
    _add_pools(request, add)
    _add_formats(request, add)
    add_if(options.direct, "--directIO")
    add_if(options.sparsity != "disable", "--sparsity", options.sparsity)
    add_if(options.standalone, _standalone_option(request))
    asymmetric = request.facts.asymmetric
    add_if(asymmetric, "--uint8AsymmetricQuantizationDLA")
    add_if(request.release.typed or asymmetric, "--adjustForDLA")
    add_if(options.optimization_level is not None, "--builderOptimizationLevel", options.optimization_level)
    add_if(options.timing_cache, "--timingCacheFile", options.timing_cache)
    add_if(not options.standalone, "--profilingVerbosity", "detailed")
    add_if(options.verbose, "--verbose")
    add("--skipInference")
    add("--buildOnly")
    return found


def _standalone_option(request: BuildRequest) -> str:
    new = "--buildDLAStandalone"
    return new if available(new, request.release.version) else "--safe"


def _add_pools(request: BuildRequest, add: Add) -> None:
    if available("--memPoolSize", request.release.version):
        sizes = {name: mib(size) for name, size in sorted(request.pools.items())}
        add("--memPoolSize", _pairs(sizes))
        return
    add("--workspace", mib(request.pools.get("workspace", _DEFAULT_WORKSPACE)))


def _add_formats(request: BuildRequest, add: Add) -> None:
    """trtexec wants all formats of one side or none, in the network's order."""
    sides: Sequence[tuple[str, str, tuple[Border, ...]]] = (
        ("--inputIOFormats", "input", request.facts.inputs),
        ("--outputIOFormats", "output", request.facts.outputs),
    )
    for option, direction, borders in sides:
        if any(side == direction for side, _ in request.formats):
            add(option, ",".join(str(request.format_of(b)) for b in borders))


def spellable(named: Mapping[str, str]) -> dict[str, str]:
    """The entries whose names trtexec can read; in ``name:value`` the last colon counts, so names may hold others."""
    return {name: value for name, value in named.items() if name == _ALL_OTHERS or not set(name) & set(UNREADABLE)}


def _devices(request: BuildRequest) -> dict[str, str]:
    """Nodes that the script keeps off the DLA: all, or where they are too many for one argument, those that matter.

    A node that the rules refuse falls back by itself; one that the DLA would take has to be named. None at all where
    even these are too many, since some of them would be worse than the whole.
    """
    every = spellable(dict.fromkeys(request.gpu, "GPU"))
    if _fits(every):
        return every
    nodes = request.facts.nodes
    able = {name: device for name, device in every.items() if name not in nodes or nodes[name].verdict != "gpu"}
    return able if _fits(able) else {}


def _fits(devices: Mapping[str, str]) -> bool:
    return len(f"--layerDeviceTypes={_pairs(devices)}".encode()) <= _LONGEST


def _pairs(named: Mapping[str, object]) -> str:
    return ",".join(f"{name}:{value}" for name, value in named.items())


def unsaid(request: BuildRequest) -> list[str]:
    """What the request asks for and this release's trtexec cannot be told, one sentence each."""
    release, options = request.release.version, request.options
    told = []
    if request.gpu and not available("--layerDeviceTypes", release):
        told.append("no --layerDeviceTypes: TensorRT itself chooses among the nodes that the DLA takes")
    if options.layer_precisions and not available("--layerPrecisions", release):
        told.append("no --layerPrecisions: all layers get the build's precision")
    named = dict.fromkeys((*request.gpu, *options.layer_precisions), "")
    lost = [name for name in named if name not in spellable(named)]
    if lost:
        told.append(f"{len(lost)} names with a comma, quotation mark or star cannot be in its lists, as {lost[0]!r}")
    kept, every = _devices(request), spellable(dict.fromkeys(request.gpu, "GPU"))
    if len(kept) < len(every) and available("--layerDeviceTypes", release):
        rest = "those that the rules refuse are left out, and fall back by themselves" if kept else "none is named"
        told.append(f"{len(every)} nodes on the GPU are more than one argument holds: {rest}")
    if options.ignore_timing_mismatch:
        told.append("trtexec always demands a timing cache of the same device")
    if options.reject_empty_algorithms:
        told.append("trtexec has no option to reject empty algorithms")
    return told


def profile_arguments(request: BuildRequest, core: int) -> list[str]:
    """trtexec's arguments to time the finished engine layer by layer, with a run of its own for the profile."""
    engine = request.engine_of(core)
    wanted = [
        ("--loadEngine", f"--loadEngine={engine}"),
        ("--useDLACore", f"--useDLACore={core}"),
        ("--dumpProfile", "--dumpProfile"),
        ("--separateProfileRun", "--separateProfileRun"),
        ("--exportProfile", f"--exportProfile={_beside(engine, '.profile.json')}"),
        ("--exportLayerInfo", f"--exportLayerInfo={_beside(engine, '.layers.json')}"),
        ("--profilingVerbosity", "--profilingVerbosity=detailed"),
    ]
    return [text for option, text in wanted if available(option, request.release.version)]


def nsys_arguments(request: BuildRequest, core: int) -> list[str]:
    """What comes before ``trtexec`` to record a timeline with the DLA's tasks in it."""
    engine = request.engine_of(core)
    return [
        "nsys",
        "profile",
        "--trace=cuda,nvtx,cublas,cudla",
        f"--output={_beside(engine, '.nsys')}",
        "--force-overwrite=true",
    ]


def _beside(engine: Path, suffix: str) -> Path:
    return engine.with_suffix(suffix)


def script(request: BuildRequest) -> str:
    """A POSIX shell script for the board; its argument is ``build`` (default), ``profile`` or ``nsys``."""
    title = f"{request.engine.name!r}: DLA core {', '.join(map(str, request.options.dla_cores))}"
    request = _from_its_folder(request)
    version, options = request.release.version, request.options
    comments = [
        f"{title} of {request.profile.title}, TensorRT {dotted(version)}.",
        f"DLA regions: {len(request.plan.regions)}; nodes on the GPU: {len(request.gpu)}. Not run on a device.",
        *(f"Caution: {text}." for text in cautions(request)),
        *(f"This trtexec: {text}." for text in unsaid(request)),
    ]
    if options.standalone:
        comments.append("A standalone loadable runs through cuDLA; trtexec cannot load, time or profile it.")
    lines = ["#!/bin/sh", *(f"# {text}" for text in comments), "set -eu"]
    lines += [
        'CDPATH= cd -- "$(dirname -- "$0")"',
        "export CUDA_DEVICE_MAX_CONNECTIONS=32",
        f"trtexec=${{TRTEXEC:-$(command -v trtexec || echo {_INSTALLED})}}",
        "",
        "build() {",
    ]
    lines += [_command(['"$trtexec"'], arguments(request, core)) for core in options.dla_cores]
    lines.append("}")
    names = ["build"]
    if not options.standalone:
        names += ["profile", "nsys"]
        lines += ["", "profile() {"]
        lines += [_command(['"$trtexec"'], profile_arguments(request, core)) for core in options.dla_cores]
        lines += ["}", "", "nsys() {"]
        for core in options.dla_cores:
            head = ["command", *map(shlex.quote, nsys_arguments(request, core)), '"$trtexec"']
            lines.append(_command(head, [f"--loadEngine={request.engine_of(core)}", f"--useDLACore={core}"]))
        lines.append("}")
    usage = f'echo "usage: $0 [{"|".join(names)}]" >&2; exit 2'
    lines += ["", 'case "${1:-build}" in', f'{"|".join(names)}) "${{1:-build}}" ;;', f"*) {usage} ;;", "esac", ""]
    return "\n".join(lines)


def _from_its_folder(request: BuildRequest) -> BuildRequest:
    """The request with paths as the engine's folder sees them."""
    folder, options = request.engine.parent, request.options

    def seen(path: Path) -> Path:
        found = Path(os.path.relpath(path, folder))
        return path if ".." in found.parts else found

    calibration, timing = options.calibration_cache, options.timing_cache
    return replace(
        request,
        model=seen(request.model),
        engine=seen(request.engine),
        options=replace(
            options,
            calibration_cache=None if calibration is None else seen(calibration),
            timing_cache=None if timing is None else seen(timing),
        ),
    )


def _command(head: Sequence[str], args: Sequence[str]) -> str:
    return "    " + " \\\n        ".join([" ".join(head), *map(shlex.quote, args)])

"""What the user should know before an engine is built: said by the dry run, by the build, and in the script."""

from __future__ import annotations

from collections.abc import Iterator

from dlarewrite.build.pools import DEFAULTS, mib
from dlarewrite.build.release import caution
from dlarewrite.build.request import BuildRequest

_POOL_HOLDS = {"dlaLocalDRAM": "activations (GEN-LOCALMEM)", "dlaGlobalDRAM": "weights (GEN-WEIGHTS)"}


def cautions(request: BuildRequest) -> list[str]:
    """One sentence for each doubt about a request, without a stop."""
    return [*_of_the_release(request), *_of_the_types(request), *_of_the_cores(request), *_of_the_pools(request)]


def _of_the_release(request: BuildRequest) -> Iterator[str]:
    options, release = request.options, request.release
    if caution(release.version):
        yield caution(release.version)
    if request.profile.name.startswith("xavier") and release.version > (8, 5, 2):
        yield f"Xavier's last TensorRT is 8.5.2; {release.text} does not come for it"
    if release.version >= (10, 7) and options.direct:
        yield "DIRECT_IO is deprecated from TensorRT 10.7 on"
    if options.calibration_cache is not None and release.version >= (10, 1) and not release.typed:
        yield "calibrators are deprecated from TensorRT 10.1 on; they still work up to 10.x"
    if options.sparsity == "force":
        yield "--sparsity force overwrites weights, which only trtexec does: the Python build keeps them"


def _of_the_types(request: BuildRequest) -> Iterator[str]:
    options, release, facts = request.options, request.release, request.facts
    if release.typed and facts.fp32:
        yield (
            "the model is FP32, and strongly typed networks run as typed: the DLA needs FP16 in the model "
            "(`dlarewrite scales export --to fp16` makes it so)"
        )
    if release.typed and options.precision == "int8":
        yield "INT8 from symmetric Q/DQ is not documented for this release's DLA: experimental"
    if facts.asymmetric and not release.has("OnnxParserFlag.ENABLE_UINT8_AND_ASYMMETRIC_QUANTIZATION_DLA"):
        yield f"TensorRT {release.text} has no UINT8 quantisation on the DLA (10.11 brought it)"
    elif facts.quantized and not facts.asymmetric and not release.typed:
        yield (
            f"the DLA of TensorRT {release.text} takes scales and no Q/DQ nodes: "
            "`dlarewrite scales import` makes a plain model and a cache of them"
        )
    if options.precision == "int8" and facts.unscaled and not facts.quantized:
        lost = facts.unscaled
        yield f"{len(lost)} tensors on the DLA have no scale, their layers run FP16; the first: {lost[0]}"
    if options.precision != "int8" and options.calibration_cache is not None:
        yield f"--calib has no effect in {options.precision}; --precision int8 uses it"


def _of_the_cores(request: BuildRequest) -> Iterator[str]:
    if not request.dla:
        yield "no node is on the DLA: everything in the engine runs on the GPU"
    planned, built = {r.core for r in request.plan.regions}, request.options.dla_cores
    if len(planned) > 1:
        yield (
            f"the plan spreads over {len(planned)} cores, and an engine runs on one: every engine holds all regions; "
            "`dlarewrite split` parts the model"
        )
    elif planned and not planned <= set(built):
        yield f"the plan is for DLA core {min(planned)}, and the engine for core {', '.join(map(str, built))}"


def _of_the_pools(request: BuildRequest) -> Iterator[str]:
    for pool, size in request.pools.items():
        most = DEFAULTS.get(pool)
        if most is None or size <= most:
            continue
        if pool in _POOL_HOLDS:
            yield f"{pool} is {mib(size)} MiB, and a loadable may have {mib(most)} MiB of {_POOL_HOLDS[pool]}"
        elif request.profile.orin:
            yield f"{pool} is {mib(size)} MiB, and a core of Orin has {mib(most)} MiB"
        else:
            yield f"{pool} is {mib(size)} MiB of the 4 MiB that two cores and two PVAs of Xavier share"

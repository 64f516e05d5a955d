"""What is done to the layers of a parsed network, and read from those of a finished engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dlarewrite.build.placement import Disagreement, Placement, disagreement, node_of, read_placement
from dlarewrite.build.request import BuildRequest
from dlarewrite.build.steps import Place
from dlarewrite.build.tensorrt_errors import BuildError

# Their layers have no precision to choose: constants, and what moves indices or shapes about.
_INTEGER_MAKERS = ("CONSTANT", "SHAPE", "CAST")


def place_layers(
    trt: Any, network: Any, config: Any, request: BuildRequest, step: Place
) -> tuple[int, int, tuple[Disagreement, ...]]:
    """Set every layer's device by the plan where TensorRT agrees; layers on the DLA, on the GPU, and disagreements."""
    gpu, planned = set(step.gpu), set(request.dla)
    disagreements: list[Disagreement] = []
    counts = {True: 0, False: 0}
    for layer, node in _layers(network, request):
        if layer.type == trt.LayerType.CONSTANT:
            continue  # folded into its reader, or none of the DLA's
        able = bool(config.can_run_on_DLA(layer))
        wanted = node in planned if node else able
        facts = request.facts.nodes.get(node)
        if facts is not None:
            found = disagreement(layer.name, _kind(layer), node, facts, node in planned, able)
            disagreements.extend([found] if found is not None else [])
        if wanted and not able and not step.fallback:
            raise BuildError(
                f"TensorRT refuses layer {layer.name!r} (node {node!r}) on the DLA, and GPU fallback is off",
                hint="its reason stands in the log of --verbose; `dlarewrite explain` reads it",
            )
        on_dla = wanted and able and node not in gpu
        config.set_device_type(layer, trt.DeviceType.DLA if on_dla else trt.DeviceType.GPU)
        counts[on_dla] += 1
    return counts[True], counts[False], tuple(disagreements)


def set_layer_types(network: Any, members: Mapping[str, Any], request: BuildRequest) -> None:
    """Set precision and output types of the layers of the named nodes; ``*`` means all other planned DLA nodes."""
    planned = set(request.dla)
    for layer, node in _layers(network, request):
        member = members.get(node) or (members.get("*") if node in planned else None)
        if member is None or _kind(layer) in _INTEGER_MAKERS:
            continue
        layer.precision = member
        for index in range(layer.num_outputs):
            layer.set_output_type(index, member)


def inspect_engine(trt: Any, logger: Any, built: bytes, core: int, request: BuildRequest) -> Placement:
    """Load the finished engine and read where its layers run."""
    runtime = trt.Runtime(logger)
    runtime.DLA_core = core
    engine = runtime.deserialize_cuda_engine(built)
    if engine is None:
        raise BuildError(
            f"{str(request.engine)!r} was written, but TensorRT cannot load it again", hint="see --verbose"
        )
    inspector = engine.create_engine_inspector()
    return read_placement(inspector.get_engine_information(trt.LayerInformationFormat.JSON), request)


def _layers(network: Any, request: BuildRequest) -> Iterator[tuple[Any, str]]:
    known = set(request.facts.nodes) or {*request.plan.dla_nodes, *request.plan.gpu}
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        yield layer, node_of(layer.name, getattr(layer, "metadata", "") or "", known)


def _kind(layer: Any) -> str:
    return str(getattr(layer.type, "name", layer.type))

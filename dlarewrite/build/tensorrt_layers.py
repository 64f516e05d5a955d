"""What is done to the layers of a parsed network, and read from those of a finished engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    layers = tuple(_layers(network, request))
    adopted = _adopted(layers)
    for layer, node in layers:
        if layer.type == trt.LayerType.CONSTANT:
            continue  # folded into its reader, or none of the DLA's
        able = bool(config.can_run_on_DLA(layer))
        wanted = node in planned if node else able and adopted.get(layer.name) in planned
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


def _adopted(layers: Sequence[tuple[Any, str]]) -> dict[str, str]:
    """For each layer of no node the node whose layers read it, or else make what it reads.

    On the DLA beside a GPU node it would be a loadable of its own, on the GPU inside a region it would cut the region.
    """
    found: dict[str, str] = {}
    for back in (True, False):
        beside: dict[str, str] = {}
        for layer, node in reversed(layers) if back else layers:
            reads, makes = _names(layer.get_input, layer.num_inputs), _names(layer.get_output, layer.num_outputs)
            here, there = (makes, reads) if back else (reads, makes)
            home = node or found.get(layer.name) or next((beside[name] for name in here if name in beside), "")
            if not home:
                continue
            beside.update(dict.fromkeys(there, home))
            if not node:
                found[layer.name] = home
    return found


def _names(get: Callable[[int], Any], count: int) -> list[str]:
    tensors = (get(index) for index in range(count))
    return [tensor.name for tensor in tensors if tensor is not None]


def _kind(layer: Any) -> str:
    return str(getattr(layer.type, "name", layer.type))

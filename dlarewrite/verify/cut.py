"""Cut two models at nodes that onnxruntime cannot run, so that everything around those nodes can still be proven.

The outputs of such a node become fed inputs, its inputs compared outputs: when the same node, with the same attributes,
gets equal inputs in both models, and both compute the same from equal outputs of it, the models are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx
from onnx import helper

from dlarewrite.verify.failures import CannotRun, describe
from dlarewrite.verify.ports import port
from dlarewrite.verify.shell import all_nodes, inferred

PREFIX = "cut"
_KNOWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "ai.onnx.preview.training"})
_RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
)


@dataclass(frozen=True)
class CutPair:
    """Both models after the cut (the originals where nothing was cut) and the nodes cut, described."""

    before: onnx.ModelProto
    after: onnx.ModelProto
    nodes: tuple[str, ...] = ()


def must_cut(model: onnx.ModelProto) -> Callable[[onnx.NodeProto], bool]:
    """Whether a node of `model` cannot be compared by running it: of an unknown domain, or random.

    A random node is cut even if it has a seed: onnxruntime's generator moves on with every run.
    """
    functions = {(function.domain, function.name) for function in model.functions}
    true = _true_constants(model)

    def decide(node: onnx.NodeProto) -> bool:
        if node.domain not in _KNOWN_DOMAINS:
            return (node.domain, node.op_type) not in functions
        training = node.op_type == "Dropout" and len(node.input) > 2 and node.input[2] in true
        return node.domain in ("", "ai.onnx") and (node.op_type in _RANDOM or training)

    return decide


def cut(
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    extra: Callable[[onnx.NodeProto], bool] = lambda node: False,
) -> CutPair:
    """Cut both models where `must_cut` or `extra` say so.

    Raises CannotRun where a node has no counterpart of the same attributes in the other model, stands inside a
    control-flow body, or yields values of unknown shape.
    """
    chosen = [_chosen(model, extra) for model in (before, after)]
    if not any(chosen):
        return CutPair(before, after)
    pairs = _pairs(chosen[0], chosen[1])
    changed = next((node for node, _ in pairs if not _same_meaning(node, before, after)), None)
    if changed is not None:
        raise _cannot(changed, "its operator set has another version in the rewritten model")
    types = _types(before, after, pairs)
    described = tuple(describe(node) for node, _ in pairs)
    cuts = [_apply(m, [pair[side] for pair in pairs], types) for side, m in enumerate((before, after))]
    return CutPair(cuts[0], cuts[1], described)


def _chosen(model: onnx.ModelProto, extra: Callable[[onnx.NodeProto], bool]) -> list[onnx.NodeProto]:
    decide = must_cut(model)
    wanted = [node for node in all_nodes(model.graph) if decide(node)]
    top = {tuple(node.output) for node in model.graph.node}
    inner = next((node for node in wanted if tuple(node.output) not in top), None)
    if inner is not None:
        raise _cannot(inner, "it stands inside a control-flow body, where the model cannot be cut")
    chosen = [node for node in model.graph.node if decide(node) or extra(node)]
    live = _live(model.graph) if chosen else set()
    return [node for node in chosen if any(name in live for name in node.output)]


def _live(graph: onnx.GraphProto) -> set[str]:
    """Names of the values that some graph output depends on."""
    producers = {name: node for node in graph.node for name in node.output if name}
    live: set[str] = set()
    queue = [info.name for info in graph.output]
    while queue:
        name = queue.pop()
        if name in live:
            continue
        live.add(name)
        node = producers.get(name)
        if node is None:
            continue
        queue += [value for value in node.input if value]
        bodies = [a.g for a in node.attribute if a.HasField("g")] + [g for a in node.attribute for g in a.graphs]
        queue += [value for body in bodies for inner in all_nodes(body) for value in inner.input if value]
    return live


def _pairs(old: Sequence[onnx.NodeProto], new: Sequence[onnx.NodeProto]) -> list[tuple[onnx.NodeProto, onnx.NodeProto]]:
    free = list(new)
    pairs = []
    for node in old:
        twin = next((n for n in free if _same_node(node, n)), None)
        if twin is None:
            raise _cannot(node, "the rewritten model has no such node with the same attributes to cut at")
        free = [n for n in free if n is not twin]
        pairs.append((node, twin))
    if free:
        raise _cannot(free[0], "the original has no such node to cut at")
    return pairs


def _same_node(a: onnx.NodeProto, b: onnx.NodeProto) -> bool:
    if (a.op_type, a.domain) != (b.op_type, b.domain):
        return False
    if not (a.name and a.name == b.name) and list(a.output) != list(b.output):
        return False
    given = [[bool(name) for name in node.input] for node in (a, b)]
    attributes = [{at.name: at.SerializeToString(deterministic=True) for at in node.attribute} for node in (a, b)]
    return given[0] == given[1] and len(a.output) == len(b.output) and attributes[0] == attributes[1]


def _same_meaning(node: onnx.NodeProto, before: onnx.ModelProto, after: onnx.ModelProto) -> bool:
    """Whether both models' opsets define the operator of `node` alike; other domains need the same version."""
    domains = ("", "ai.onnx") if node.domain in ("", "ai.onnx") else (node.domain,)
    versions = [{e.version for e in model.opset_import if e.domain in domains} for model in (before, after)]
    if versions[0] == versions[1]:
        return True
    if "" not in domains or not all(versions):
        return False
    since = [onnx.defs.get_schema(node.op_type, max(found), "").since_version for found in versions]
    return bool(since[0] == since[1])


def _types(
    before: onnx.ModelProto, after: onnx.ModelProto, pairs: Sequence[tuple[onnx.NodeProto, onnx.NodeProto]]
) -> list[dict[int, onnx.TypeProto]]:
    """For each pair, the wholly static type of every output, by its position."""
    known = [_static_types(model) for model in (before, after)]
    found: list[dict[int, onnx.TypeProto]] = []
    for pair in pairs:
        types: dict[int, onnx.TypeProto] = {}
        for index, names in enumerate(zip(pair[0].output, pair[1].output, strict=True)):
            stated = [types_of[name] for types_of, name in zip(known, names, strict=True) if name in types_of]
            if stated:
                types[index] = stated[0]
            elif names[0]:
                why = f"the shape of its output {names[0]!r} is not known, so the model cannot be cut there"
                raise _cannot(pair[0], why)
        found.append(types)
    return found


def _static_types(model: onnx.ModelProto) -> dict[str, onnx.TypeProto]:
    graph = inferred(model).graph
    infos = {info.name: info for info in (*graph.value_info, *graph.output)}
    ports = {name: port(info) for name, info in infos.items()}
    return {
        name: infos[name].type
        for name, found in ports.items()
        if found.kind == "tensor" and found.elem_type and found.shape is not None
        if all(isinstance(size, int) for size in found.shape)
    }


def _apply(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], types: Sequence[dict[int, onnx.TypeProto]]
) -> onnx.ModelProto:
    """A copy of `model` without `nodes`; both models of a pair get the same names for what is fed and compared."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    gone = {tuple(node.output) for node in nodes}
    kept = [node for node in model.graph.node if tuple(node.output) not in gone]
    front, back = [], []
    for number, node in enumerate(nodes):
        for index, type_proto in types[number].items():
            fed = f"{PREFIX}/{number}/output/{index}"
            front.append(helper.make_node("Identity", [fed], [node.output[index]]))
            copy.graph.input.add(name=fed, type=type_proto)
        for index, name in enumerate(node.input):
            if name:
                compared = f"{PREFIX}/{number}/input/{index}"
                back.append(helper.make_node("Identity", [name], [compared]))
                copy.graph.output.add(name=compared)
    del copy.graph.node[:]
    copy.graph.node.extend([*front, *kept, *back])
    return copy


def _true_constants(model: onnx.ModelProto) -> set[str]:
    tensors = [(tensor.name, tensor) for tensor in model.graph.initializer]
    tensors += [
        (node.output[0], attribute.t)
        for node in model.graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    ]
    boolean = [(name, t) for name, t in tensors if t.data_type == onnx.TensorProto.BOOL and not t.external_data]
    return {name for name, tensor in boolean if onnx.numpy_helper.to_array(tensor).any()}


def _cannot(node: onnx.NodeProto, why: str) -> CannotRun:
    return CannotRun(
        f"onnxruntime cannot prove node {describe(node)}: {why}",
        op_type=node.op_type,
        domain=node.domain,
        node=node.name,
    )

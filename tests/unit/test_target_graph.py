"""Whole graphs: constants that fold, and what no single node shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.target import Judge, Judgement, Precision, Verdict, judge_graph, load_target
from dlarewrite.target.samples import conv, ints, node, ones, unary, var


def judged(
    nodes: Sequence[gs.Node],
    inputs: Sequence[gs.Tensor] = (),
    outputs: Sequence[gs.Tensor] = (),
    target: str = "orin-jp6",
    precision: Precision = Precision.FP16,
) -> Judgement:
    return judge_graph(nodes, inputs, outputs, load_target(target, precision), 17)


def rules(judgement: Judgement) -> list[str]:
    return [finding.rule for finding in judgement.findings]


def chain(length: int, *, constant: bool) -> list[gs.Node]:
    """Negations one behind the other, from a constant or from a network input."""
    tensor: gs.Tensor = ones(4) if constant else var((4,))
    nodes = []
    for i in range(length):
        made = gs.Node("Neg", f"n{i}", {}, [tensor], [var((4,), name=f"t{i}")])
        tensor = made.outputs[0]
        nodes.append(made)
    return nodes


def test_a_long_chain_of_constants_folds_in_any_order() -> None:
    nodes = chain(3000, constant=True)
    found = judged(nodes[::-1])
    assert {v.verdict for v in found.verdicts.values()} == {Verdict.FOLDED}
    found = judged(chain(3000, constant=False)[::-1])
    assert {v.verdict for v in found.verdicts.values()} == {Verdict.GPU}


def test_one_node_alone_sees_forty_producers() -> None:
    judge = Judge(load_target("orin-jp6"), 17)
    nodes = chain(60, constant=True)
    assert judge.node(nodes[30]).verdict is Verdict.FOLDED
    assert judge.node(nodes[59]).verdict is Verdict.GPU
    assert judged(nodes).verdicts[id(nodes[59])].verdict is Verdict.FOLDED


def test_shape_arithmetic_folds_where_the_shape_is_static() -> None:
    def arithmetic(dims: Sequence[object]) -> list[gs.Node]:
        shape = gs.Node("Shape", "s", {}, [var(dims)], [var((4,), np.int64, "s")])
        gather = gs.Node("Gather", "g", {"axis": 0}, [shape.outputs[0], ints(1)], [var((1,), np.int64, "g")])
        random = gs.Node("RandomNormal", "r", {"shape": [1]}, [], [var((1,), name="r")])
        return [gather, shape, random]

    gather, shape, random = nodes = arithmetic((1, 16, 8, 8))
    found = judged(nodes).verdicts
    assert [found[id(n)].verdict for n in (gather, shape)] == [Verdict.FOLDED, Verdict.FOLDED]
    assert found[id(random)].verdict is Verdict.GPU
    found = judged(dynamic := arithmetic(("n", 16, 8, 8))).verdicts
    assert [found[id(n)].verdict for n in dynamic[:2]] == [Verdict.GPU, Verdict.GPU]


def test_the_whole_graph_and_single_nodes_agree() -> None:
    nodes = [conv(), unary("Relu"), unary("Elu"), unary("Identity"), *chain(10, constant=True)]
    judge = Judge(load_target("orin-jp6"), 17)
    found = judged(nodes)
    assert all(found.verdicts[id(n)] == judge.node(n) for n in nodes)


def test_inputs_and_outputs_of_lower_rank() -> None:
    found = judged([], [var((1, 16), name="a"), var(name="b"), var((3,), np.int64, "n")], [var((1, 10), name="p")])
    assert rules(found) == ["GEN-RANK", "GEN-RANK"]
    assert found.findings[0].message.startswith("network input a's number of dimensions must be 4")
    assert found.findings[1].message.endswith("got 2")
    assert found.findings[0].cure == "lift-to-4d"


def test_dynamic_inputs() -> None:
    found = judged([], [var(("batch", 3, "h", "w"), name="image")])
    assert rules(found) == ["GEN-STATIC"]
    assert found.findings[0].message == "network input image's shape must be static, got [batch, 3, h, w]"
    assert found.findings[0].cure == "freeze-shapes"
    assert rules(judged([], [var(None, name="image")])) == ["GEN-STATIC"]


def test_layers_of_different_batches() -> None:
    small, large = unary("Relu", (1, 16, 8, 8)), unary("Relu", (8, 16, 8, 8))
    assert rules(judged([small, large])) == ["GEN-SAMEBATCH"]
    assert "got 1 and 8" in judged([small, large]).findings[0].message
    assert rules(judged([small, small])) == []
    refused = unary("Elu", (8, 16, 8, 8))
    assert rules(judged([small, refused])) == []


def test_weights_and_intermediate_tensors() -> None:
    def heavy(maps: int) -> gs.Node:
        weights = gs.Constant("w", np.broadcast_to(np.float32(1), (maps, 4096, 3, 3)))
        return node("Conv", [var((1, 4096, 3, 3)), weights], (1, maps, 1, 1))

    half = 8192 * 4096 * 9 * 2  # bytes in FP16, more than 512 MiB
    assert half > 2**29
    assert rules(judged([heavy(8192)])) == ["GEN-WEIGHTS"]
    assert f"got {half}" in judged([heavy(8192)]).findings[0].message
    assert rules(judged([heavy(8192)], precision=Precision.INT8)) == []
    assert rules(judged([heavy(4096)])) == []

    shape = (1, 64, 4096, 4096)  # 2 GiB in FP16
    big = unary("Relu", shape)
    assert rules(judged([big])) == ["GEN-LOCALMEM"]
    assert rules(judged([big], outputs=big.outputs)) == []


def test_quantizers_in_the_graph() -> None:
    quantize = node("QuantizeLinear", [var(), ones()], dtype=np.int8)
    found = judged([quantize])
    assert rules(found) == ["Q-QDQ-NAIVE"]
    assert "1 of them" in found.findings[0].message
    folded = node("DequantizeLinear", [gs.Constant("w", np.ones((1, 16, 8, 8), np.int8)), ones()])
    assert rules(judged([folded])) == []


def test_strongly_typed_targets_ask_for_fp16_tensors() -> None:
    assert rules(judged([], [var()], target="agx-orin-jp7")) == ["Q-TYPED-FP16"]
    assert rules(judged([], [var(dtype=np.float16)], target="agx-orin-jp7")) == []
    assert rules(judged([], [var()])) == []


def test_what_is_not_checked_is_said() -> None:
    fp16 = judged([]).not_checked
    int8 = judged([], precision=Precision.INT8).not_checked
    assert any(line.startswith("GEN-WHY: ") for line in fp16)
    assert any(line.startswith("GEN-LOADABLES: ") for line in fp16)
    assert not any(line.startswith("Q-SCALE-MISSING") for line in fp16)
    assert any(line.startswith("Q-SCALE-MISSING") for line in int8)
    assert any("Orin NX 8GB" in line for line in fp16)

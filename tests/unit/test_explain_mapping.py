from __future__ import annotations

import io

import pytest

from dlarewrite.explain import Reader, Reading, choose, compare, explain, read_lines
from dlarewrite.explain import document as documents
from dlarewrite.explain.mapping import NodeIndex, place
from dlarewrite.explain.text import render
from dlarewrite.outcome import NodeEntry, Report
from dlarewrite.partition.summary import Summary
from dlarewrite.target import Evidence, Finding, load_target


def read(text: str) -> Reading:
    return Reader().read(read_lines(io.BytesIO(text.encode()), "log"))


def entry(name: str, op: str, verdict: str, rule: str = "", cure: str = "", output: str = "") -> NodeEntry:
    effect = {"gpu": "gpu", "uncertain": "uncertain"}.get(verdict, "note")
    findings = (Finding(rule, Evidence.DOCUMENTED, effect, "said", cure),) if rule else ()
    return NodeEntry(name, op, (output or f"{name}_output_0",), verdict, findings)


def report(*nodes: NodeEntry) -> Report:
    return Report("m.onnx", load_target("orin-jp6"), Summary(len(nodes), 0, 0, 0, 0, 0, 0), nodes, (), ())


NODES = (
    entry("/a/Conv", "Conv", "dla"),
    entry("/a/Relu", "Relu", "dla"),
    entry("/a/Constant_1", "Constant", "folded"),
    entry("/b/Resize", "Resize", "gpu", "RSZ-SCALES", "resize-sizes-to-scales"),
    entry("/c/Conv", "Conv", "dla"),
    entry("/c/Min", "Min", "uncertain", "EW-MIN?", "min-max"),
    entry("/c/Relu", "Relu", "dla"),
    entry("/d/Split", "Split", "dla"),
    entry("/e/Conv", "Conv", "dla"),
)
LOG = """\
[W] [TRT] Layer '/a/Constant_1_output_0' (CONSTANT): Unsupported on DLA. Switching this layer's device type to GPU.
[W] [TRT] Layer '/b/Resize' (RESIZE): Unsupported on DLA. Switching this layer's device type to GPU.
[W] [TRT] /d/Split_25: DLA only supports slicing 4 dimensional tensors.
[W] [TRT] Layer '/d/Split_25' (SLICE): Unsupported on DLA. Switching this layer's device type to GPU.
[W] [TRT] Layer '(Unnamed Layer* 9) [Shuffle]' (SHUFFLE): Unsupported on DLA. Switching this layer's device type to GPU.
[W] [TRT] Layer 'nowhere' (SHUFFLE): Unsupported on DLA. Switching this layer's device type to GPU.
[W] [TRT] DLA supports only 16 subgraphs per DLA core. Switching to GPU for layer /e/Conv
[V] [TRT] [DlaLayer] {ForeignNode[/a/Conv.../a/Relu]}
[V] [TRT] [DlaLayer] {ForeignNode[/c/Conv + (Unnamed Layer* 3) [Scale].../c/Relu]}
[V] [TRT] [DlaLayer] {ForeignNode[gone...lost]}
"""


def test_find() -> None:
    index = NodeIndex(NODES)
    assert index.find("/a/Conv").nodes == (0,)
    assert index.find("/a/Constant_1_output_0").how == "tensor"
    assert (index.find("/d/Split_25").nodes, index.find("/d/Split_25").how) == ((7,), "stem")
    assert index.find("PWN(/a/Conv, /a/Relu)").nodes == (0, 1)
    assert index.find("/c/Conv + (Unnamed Layer* 3) [Scale]").nodes == (4,)
    assert "without a name (Shuffle)" in index.find("(Unnamed Layer* 9) [Shuffle]").how
    assert "no node" in index.find("nowhere").how
    beside = index.find("reshape_after_/a/Conv")
    assert (beside.nodes, beside.own, beside.how) == ((0,), (), "beside")


def test_an_ambiguous_name_is_not_mapped() -> None:
    index = NodeIndex((entry("x", "Relu", "dla"), entry("x", "Relu", "dla")))
    assert index.find("x").nodes == ()
    assert index.find("x").how == "2 nodes are called x"


def test_place_fills_regions_in_the_models_order() -> None:
    placing = place(read(LOG), NodeIndex(NODES))
    assert placing.regions == ((0, 1), (4, 5, 6), None)
    assert placing.device[5] == "dla"
    assert 5 not in placing.by_name
    assert placing.device[3] == placing.device[7] == "gpu"


def test_a_node_named_on_the_gpu_is_not_in_the_region_around_it() -> None:
    log = "Layer '/b/Resize' (RESIZE): Unsupported on DLA.\n[DlaLayer] {ForeignNode[/a/Conv.../c/Relu]}\n"
    assert place(read(log), NodeIndex(NODES)).regions == ((0, 1, 4, 5, 6),)


def test_of_two_regions_around_a_node_the_shorter_one_holds_it() -> None:
    log = "[DlaLayer] {ForeignNode[/a/Conv.../e/Conv]}\n[DlaLayer] {ForeignNode[/c/Conv.../c/Relu]}\n"
    assert place(read(log), NodeIndex(NODES)).regions == ((0, 1, 3, 7, 8), (4, 5, 6))


def test_a_foreign_node_among_the_gpu_layers_is_the_gpus() -> None:
    placing = place(read("[GpuLayer] MYELIN: {ForeignNode[/c/Conv.../c/Relu]}\n"), NodeIndex(NODES))
    assert placing.device == {4: "gpu", 5: "gpu", 6: "gpu"}
    assert placing.regions == ()


def test_a_region_that_runs_backwards_is_not_mapped() -> None:
    assert NodeIndex(NODES).span(read("[DlaLayer] {ForeignNode[/c/Relu.../a/Conv]}\n").regions[0]) is None


def test_compare() -> None:
    found = compare(read(LOG), report(*NODES))
    assert {row.name: row.kind for row in found.rows} == {
        "/a/Conv": "agree",
        "/a/Relu": "agree",
        "/b/Resize": "agree",
        "/c/Conv": "agree",
        "/c/Min": "settled",
        "/c/Relu": "agree",
        "/d/Split": "lenient",
        "/e/Conv": "capped",
    }
    assert {(r.rule, r.left, r.stayed) for r in found.rules} == {("EW-MIN?", 0, 1), ("RSZ-SCALES", 1, 0)}
    (lenient,) = found.of_kind("lenient")
    assert (lenient.device, lenient.verdict, lenient.logged) == ("gpu", "dla", ("SLICE-4D",))


def test_the_log_can_show_that_a_rule_is_too_strict() -> None:
    found = compare(read("[DlaLayer] {ForeignNode[/b/Resize]}\n"), report(*NODES))
    (row,) = found.of_kind("strict")
    assert (row.name, row.rules, row.named) == ("/b/Resize", ("RSZ-SCALES",), True)
    assert [(r.rule, r.left, r.stayed) for r in found.rules] == [("RSZ-SCALES", 0, 1)]


def test_nodes_that_the_log_does_not_place_are_listed() -> None:
    found = compare(read("[DlaLayer] {ForeignNode[/a/Conv]}\n"), report(*NODES))
    assert "/e/Conv" in found.unplaced
    assert "/a/Constant_1" not in found.unplaced


def test_a_reason_that_the_log_leaves_out_comes_from_the_model() -> None:
    reading = read(LOG)
    profile, assumed = choose(reading.version, reading.device, reading.since, reading.until)
    without = {r.layers[0].name: r for r in explain("log", reading, profile, assumed).refusals}
    assert (without["/b/Resize"].basis, without["/b/Resize"].rules[0]) == ("type", "RSZ-SCALES")
    mapped = explain("log", reading, profile, assumed, compare(reading, report(*NODES)))
    found = {r.layers[0].name: r for r in mapped.refusals}
    assert (found["/b/Resize"].basis, found["/b/Resize"].rules) == ("rule book", ("RSZ-SCALES",))
    assert found["/b/Resize"].cures == ("resize-sizes-to-scales",)
    assert found["/b/Resize"].nodes == ("/b/Resize (Resize)",)
    assert found["/d/Split_25"].basis == "log"
    missing = dict(mapped.unmapped())
    assert set(missing) == {"(Unnamed Layer* 9) [Shuffle]", "nowhere", "gone...lost"}
    text = render(mapped)
    for part in (
        "refused[RSZ-SCALES]",
        "Rule book against log",
        "settled by the log",
        "Not mapped to a node",
        "nowhere",
    ):
        assert part in text
    plain = documents.to_dict(mapped)
    assert plain["comparison"]["counts"] == {"agree": 5, "strict": 0, "lenient": 1, "settled": 1, "capped": 1}
    assert plain["loadables"][1]["nodes"] == ["/c/Conv", "/c/Min", "/c/Relu"]
    assert plain["summary"]["unmapped"] == 3


@pytest.mark.parametrize("count", [2000, 8000])
def test_many_overlapping_regions_stay_linear(count: int) -> None:
    nodes = [entry(f"n{i}", "Relu", "dla") for i in range(count)]
    log = "".join(f"[DlaLayer] {{ForeignNode[n{i}...n{count - 1 - i}]}}\n" for i in range(count // 2))
    placing = place(read(log), NodeIndex(nodes))
    assert len(placing.device) == count

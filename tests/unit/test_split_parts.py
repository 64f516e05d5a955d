"""Splitting: the trunk against brute force, and parts that compute bit by bit what the whole computes."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from dlarewrite.compiler import judge_model
from dlarewrite.errors import MismatchError, ModelError, UsageError
from dlarewrite.ir.model import Model
from dlarewrite.partition import folder, manifest, rejoin
from dlarewrite.partition.flow import Flow
from dlarewrite.partition.lineup import line_up
from dlarewrite.partition.manifest import Manifest
from dlarewrite.partition.plan import Plan
from dlarewrite.partition.regions import find_regions
from dlarewrite.partition.split import Split, split, split_regions
from dlarewrite.partition.trunk import Stage, stage
from dlarewrite.planning import plan_model
from dlarewrite.target import load_target
from dlarewrite.testing import parse
from dlarewrite.verify import Evidence, not_proven

TARGET = load_target("orin-jp6")
CONV = "Conv<kernel_shape=[3,3], pads=[1,1,1,1]>"


def graph_of(makers: Sequence[tuple[int, ...]]) -> Flow:
    readers: list[list[int]] = [[] for _ in makers]
    for position, found in enumerate(makers):
        for maker in found:
            readers[maker].append(position)
    return Flow(tuple(makers), tuple(makers), tuple(map(tuple, readers)), tuple(dict.fromkeys(f, ()) for f in makers))


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[tuple[int, ...]], list[bool], list[int]]:
    size = draw(st.integers(1, 6))
    makers = [tuple(sorted(draw(st.sets(st.integers(0, i - 1), max_size=3)))) if i else () for i in range(size)]
    allowed = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    return makers, allowed, draw(st.lists(st.integers(5, 20), min_size=size, max_size=size))


def most_work(makers: Sequence[tuple[int, ...]], allowed: Sequence[bool], work: Sequence[int]) -> int:
    best = 0
    for stages in itertools.product((0, 1, 2), repeat=len(makers)):
        forwards = all(stages[m] <= stages[i] for i, found in enumerate(makers) for m in found)
        if forwards and all(ok or s != 1 for ok, s in zip(allowed, stages, strict=True)):
            best = max(best, sum(w for w, s in zip(work, stages, strict=True) if s == 1))
    return best


@settings(max_examples=120, deadline=None)
@given(networks())
def test_no_trunk_holds_more_work(case: tuple[list[tuple[int, ...]], list[bool], list[int]]) -> None:
    makers, allowed, work = case
    found = stage(graph_of(makers), allowed, work, max_loadables=len(makers))
    assert sum(w for w, s in zip(work, found.stages, strict=True) if s is Stage.TRUNK) == most_work(*case)


@settings(max_examples=120, deadline=None)
@given(networks(), st.integers(1, 2))
def test_stages_go_forwards_and_the_trunk_is_allowed_and_capped(
    case: tuple[list[tuple[int, ...]], list[bool], list[int]], cap: int
) -> None:
    makers, allowed, work = case
    found = stage(graph_of(makers), allowed, work, cap)
    assert all(found.stages[m] <= found.stages[i] for i, ms in enumerate(makers) for m in ms)
    trunk = {i for i, s in enumerate(found.stages) if s is Stage.TRUNK}
    assert all(allowed[i] for i in trunk)
    assert len(found.loadables) <= cap and {i for group in found.loadables for i in group} == trunk
    assert bool(trunk) == any(allowed)


@settings(max_examples=120, deadline=None)
@given(networks())
def test_a_lineup_runs_every_layer_once_after_its_makers(
    case: tuple[list[tuple[int, ...]], list[bool], list[int]],
) -> None:
    makers, allowed, _ = case
    graph = graph_of(makers)
    steps = line_up(graph, find_regions(graph, allowed))
    when = {i: number for number, step in enumerate(steps) for i in step.layers}
    assert sorted(when) == list(range(len(makers))) == sorted(i for step in steps for i in step.layers)
    assert all(when[m] <= when[i] for i, ms in enumerate(makers) for m in ms)
    assert all(allowed[i] == (step.region is not None) for step in steps for i in step.layers)
    assert not any(a.region is None and b.region is None for a, b in itertools.pairwise(steps))


def test_many_layers_are_staged_at_once() -> None:
    """A long legal stretch is one kind of layer: 20,000 of them make a cut of a few vertices."""
    size = 20_000
    makers = [(i - 1,) if i else () for i in range(size)]
    found = stage(graph_of(makers), [i % 1000 != 999 for i in range(size)], [7] * size)
    assert sum(s is Stage.TRUNK for s in found.stages) == 999


Written = tuple[Path, Manifest, Evidence]


def put(
    source: onnx.ModelProto | Path,
    place: Path,
    *,
    regions: bool = False,
    plan: Plan | None = None,
    verify: bool = True,
    max_loadables: int = 1,
) -> tuple[Written, Split]:
    model = Model.load(source)
    judged = judge_model(model, TARGET)
    if regions:
        found = split_regions(model, judged, plan or plan_model(model, TARGET))
    else:
        found = split(model, judged, plan=plan, max_loadables=max_loadables)

    def prove(at: Path, parts: Manifest) -> Evidence:
        return rejoin.prove(at, parts, source, seeds=(0, 1)) if verify else not_proven("off")

    origin = folder.Origin("net.onnx", "0" * 64, "EXACT")
    written, evidence = folder.write(found, model, place, origin=origin, target=TARGET, prove=prove)
    for part in written.parts:
        onnx.checker.check_model(str(place / part.file), full_check=True)
    return (place, written, evidence), found


def names(written: Manifest) -> list[str]:
    return [part.name for part in written.parts]


NET = f"""<ir_version: 8, opset_import: ["" : 17], doc_string: "kept", metadata_props: ["by": "hand"]>
g (uint8[1,8,16,16] x) => (float[1,8,16,16] probs, int64[1,1,16,16] best, float[1,8,16,16] early)
<float[8,8,3,3] w, float[8,8,3,3] v> {{
    f = Cast<to=1>(x)
    a = {CONV}(f, w)
    early = Relu(a)
    b = {CONV}(early, v)
    c = {CONV}(b, w)
    probs = Erf(c)
    best = ArgMax<axis=1>(c)
}}"""


def test_head_trunk_and_tail_are_equal_to_the_whole_and_the_manifest_wires_them(tmp_path: Path) -> None:
    (place, written, evidence), _ = put(parse(NET), tmp_path / "out")
    assert evidence.ok and evidence.numerics == "EXACT" and evidence.seeds == (0, 1)
    assert names(written) == ["head", "trunk", "tail"] and [p.device for p in written.parts] == ["gpu", "dla", "gpu"]
    head, trunk, tail = written.parts
    assert [t.name for t in trunk.inputs] == ["f"] == [t.name for t in head.outputs]
    assert [(t.name, t.readers) for t in trunk.outputs] == [("early", ("output",)), ("c", ("tail",))]
    assert [(t.name, t.source) for t in tail.inputs] == [("c", "trunk")]
    assert [(t.name, t.dtype, t.source) for t in written.outputs] == [
        ("probs", "float32", "tail"),
        ("best", "int64", "tail"),
        ("early", "float32", "trunk"),
    ]
    assert (trunk.macs, trunk.loadables) == (3 * 8 * 8 * 9 * 256, 1)
    saved = onnx.load(place / "trunk.onnx")
    assert saved.doc_string == "kept" and [(p.key, p.value) for p in saved.metadata_props] == [("by", "hand")]
    assert [t.name for t in saved.graph.initializer] == ["w", "v"]
    assert manifest.load(place) == replace(written, version=written.version)
    assert json.loads((place / "manifest.json").read_text())["order"] == ["head", "trunk", "tail"]
    assert sorted(p.name for p in place.iterdir()) == sorted(written.files)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_the_runner_needs_no_dlarewrite_and_agrees_bit_by_bit(tmp_path: Path) -> None:
    (place, written, _), _ = put(parse(NET), tmp_path / "out")
    x = np.random.default_rng(3).integers(0, 255, (1, 8, 16, 16), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x=x)
    text = (place / "runner.py").read_text()
    assert len(text.splitlines()) < 60 and "import dlarewrite" not in text and "from dlarewrite" not in text
    command = [sys.executable, "-I", str(place / "runner.py"), str(tmp_path / "x.npz"), str(tmp_path / "y.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "best: int64 [1, 1, 16, 16]" in done.stdout
    found = np.load(tmp_path / "y.npz")
    for name, value in rejoin.run(place, written, [{"x": x}]).outputs[0].items():
        np.testing.assert_array_equal(found[name], value)


def test_parts_that_would_be_empty_are_not_written(tmp_path: Path) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 17]> g (float[1,8,16,16] x) => (float[1,8,16,16] y)
    <float[8,8,3,3] w> {{ a = {CONV}(x, w) y = Relu(a) }}"""
    (place, written, evidence), _ = put(parse(text), tmp_path / "out")
    assert evidence.ok and names(written) == ["trunk"] and written.empty == ("head", "tail")
    assert not (place / "tail.onnx").exists()


SHARED = f"""<ir_version: 8, opset_import: ["" : 17]>
g (float[1,8,16,16] x) => (float[1,8,16,16] y)
<float[8,8,3,3] w> {{
    s = Erf(x)
    a = {CONV}(s, w)
    b = {CONV}(a, w)
    p = Add(b, x)
    t = Erf(p)
    u = {CONV}(t, w)
    e = Erf(u)
    y = Add(e, x)
}}"""


def test_an_input_read_by_all_parts_and_a_weight_shared_by_two(tmp_path: Path) -> None:
    (place, written, evidence), found = put(parse(SHARED), tmp_path / "out")
    assert evidence.ok and names(written) == ["head", "trunk", "tail"]
    assert all("x" in [t.name for t in part.inputs] for part in written.parts)
    assert written.inputs[0].readers == ("head", "trunk", "tail")
    assert all("w" in [t.name for t in onnx.load(place / f"{n}.onnx").graph.initializer] for n in ("trunk", "tail"))
    [group] = [group for group in found.left_out if group.macs]
    assert group.nodes == ("u",) and group.part == "tail" and group.macs == 8 * 8 * 9 * 256
    assert group.why == "after 't' (Erf), which the DLA does not take"


def test_a_second_group_joins_the_trunk_only_when_asked_for(tmp_path: Path) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    g (float[1,8,16,16] x, float[1,8,16,16] z) => (float[1,8,16,16] y)
    <float[8,8,3,3] w> {{ a = {CONV}(x, w) b = {CONV}(a, w) e = Erf(b) c = {CONV}(z, w) d = Erf(c) y = Mul(e, d) }}"""
    (_, one, evidence), found = put(parse(text), tmp_path / "one")
    assert evidence.ok and [p.loadables for p in one.parts] == [1, 0]
    assert [g.why for g in found.left_out if g.macs] == ["it would be one more loadable"]
    (_, two, evidence), found = put(parse(text), tmp_path / "two", max_loadables=2)
    assert evidence.ok and [p.loadables for p in two.parts] == [2, 0] and not [g for g in found.left_out if g.macs]


def test_outputs_that_no_layer_makes(tmp_path: Path) -> None:
    """An input handed through, a constant, and what is dropped or folded when an engine is built."""
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    g (float[1,8,16,16] x) => (float[1,8,16,16] y, float[1,8,16,16] x, float[1,8,16,16] same, float[1,8,16,16] echo,
       float[2] fixed, int64[4] dims)
    <float[8,8,3,3] w> {{
        a = {CONV}(x, w) y = Relu(a) same = Cast<to=1>(y) echo = Cast<to=1>(x)
        fixed = Constant<value = float[2] {{1.0, 2.0}}>() dims = Shape(y)
    }}"""
    (place, written, evidence), _ = put(parse(text), tmp_path / "out")
    assert evidence.ok, evidence
    sources = {t.name: t.source for t in written.outputs}
    expected = {"y": "trunk", "same": "trunk", "x": "input", "echo": "tail", "fixed": "tail", "dims": "tail"}
    assert sources == expected
    feed = {"x": np.ones((1, 8, 16, 16), np.float32)}
    outputs = rejoin.run(place, written, [feed]).outputs[0]
    assert list(outputs) == [t.name for t in written.outputs]
    np.testing.assert_array_equal(outputs["dims"], [1, 8, 16, 16])


def test_dims_cross_as_values_and_not_as_tensors(tmp_path: Path) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 17]> g (float[1,8,16,16] x) => (float[1,2048] y)
    <float[8,8,3,3] w> {{
        a = {CONV}(x, w)
        b = Relu(a)
        s = Shape(x)
        z = Constant<value = int64[1] {{0}}>()
        n = Gather<axis=0>(s, z)
        m = Constant<value = int64[1] {{-1}}>()
        t = Concat<axis=0>(n, m)
        e = Erf(b)
        y = Reshape(e, t)
    }}"""
    (place, written, evidence), _ = put(parse(text), tmp_path / "out")
    assert evidence.ok and [t.name for t in written.parts[-1].inputs] == ["b"]
    assert "Shape" not in {n.op_type for n in onnx.load(place / "tail.onnx").graph.node}


def test_a_body_gets_what_it_captures(tmp_path: Path) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    g (float[1,8,16,16] x, bool flag) => (float[1,8,16,16] y)
    <float[8,8,3,3] w, float[1] k> {{
        a = {CONV}(x, w)
        b = Relu(a)
        y = If (flag) <
            then_branch = one () => (float[1,8,16,16] p) {{ h = Erf(b) p = Mul(h, k) }},
            else_branch = two () => (float[1,8,16,16] q) {{ q = Add(b, x) }}
        >
    }}"""
    (place, written, evidence), _ = put(parse(text), tmp_path / "out")
    assert evidence.ok and names(written) == ["trunk", "tail"]
    assert sorted(t.name for t in written.parts[1].inputs) == ["b", "flag", "x"]
    assert "k" in [t.name for t in onnx.load(place / "tail.onnx").graph.initializer]


def detector() -> onnx.ModelProto:
    """Boxes and scores from convolutions, and a NonMaxSuppression whose outputs are as long as there are detections."""
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "wb": rng.normal(size=(4, 8, 1, 1)).astype(np.float32),
        "ws": rng.normal(size=(2, 8, 1, 1)).astype(np.float32),
        "flat_b": np.array([1, 4, -1], np.int64),
        "flat_s": np.array([1, 2, -1], np.int64),
        "many": np.array([20], np.int64),
        "iou": np.array([0.5], np.float32),
        "least": np.array([0.1], np.float32),
        "two": np.array([2], np.int64),
        "axis1": np.array([1], np.int64),
        "end": np.array([3], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["f"], "stem", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["f"], ["r"], "act"),
        helper.make_node("Conv", ["r", "wb"], ["box"], "box"),
        helper.make_node("Conv", ["r", "ws"], ["logit"], "score"),
        helper.make_node("Reshape", ["box", "flat_b"], ["bf"], "bf"),
        helper.make_node("Transpose", ["bf"], ["boxes"], "bt", perm=[0, 2, 1]),
        helper.make_node("Reshape", ["logit", "flat_s"], ["sf"], "sf"),
        helper.make_node("Sigmoid", ["sf"], ["scores"], "sig"),
        helper.make_node("NonMaxSuppression", ["boxes", "scores", "many", "iou", "least"], ["picked"], "nms"),
        helper.make_node("Slice", ["picked", "two", "end", "axis1"], ["index"], "pick"),
        helper.make_node("Squeeze", ["index", "axis1"], ["flat_index"], "squeeze"),
        helper.make_node("Gather", ["boxes", "flat_index"], ["detections"], "gather", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 16, 16])],
        [
            helper.make_tensor_value_info("detections", TensorProto.FLOAT, [1, "n", 4]),
            helper.make_tensor_value_info("picked", TensorProto.INT64, ["n", 3]),
        ],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def test_a_detector_keeps_all_its_detections(tmp_path: Path) -> None:
    whole = detector()
    inferred = onnx.shape_inference.infer_shapes(whole)
    (place, written, evidence), _ = put(inferred, tmp_path / "out")
    assert evidence.ok and names(written) == ["trunk", "tail"]
    trunk, tail = written.parts
    assert [t.name for t in trunk.outputs] == ["box", "logit"] and tail.macs == 0
    feeds = [{"image": np.random.default_rng(n).normal(size=(1, 3, 16, 16)).astype(np.float32)} for n in range(4)]
    counts = [sample["detections"].shape[1] for sample in rejoin.run(place, written, feeds).outputs]
    assert min(counts) > 1 and len(set(counts)) > 1
    assert rejoin.prove(place, written, whole, feeds=feeds).ok


def test_each_region_can_be_its_own_part(tmp_path: Path) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 17]> g (float[1,8,16,16] x) => (float[1,8,16,16] y)
    <float[8,8,3,3] w> {{
        a = {CONV}(x, w) b = {CONV}(a, w) c = Erf(b) d = {CONV}(c, w) e = {CONV}(d, w) f = Erf(e) y = Add(f, b)
    }}"""
    model = Model.load(parse(text))
    planned = plan_model(model, TARGET)
    plan = replace(planned, regions=tuple(r for r in planned.regions if r.macs))
    (_, written, evidence), _ = put(parse(text), tmp_path / "out", regions=True, plan=plan)
    assert evidence.ok and written.kind == "regions"
    assert [part.device for part in written.parts] == ["dla", "gpu", "dla", "gpu"]
    assert [part.name for part in written.parts] == ["dla_0", "gpu_0", "dla_1", "gpu_1"]
    assert sum(part.macs for part in written.parts if part.device == "dla") == 4 * 8 * 8 * 9 * 256


def edited(plan: Plan, nodes: Sequence[Sequence[str]], names: Sequence[str] = ("dla_0", "dla_1")) -> Plan:
    region = plan.regions[0]
    made = [replace(region, name=name, nodes=tuple(of)) for name, of in zip(names, nodes, strict=False)]
    return replace(plan, regions=tuple(made))


def test_a_plan_narrows_the_trunk_and_what_does_not_fit_is_said(tmp_path: Path) -> None:
    model = Model.load(parse(SHARED))
    plan = edited(plan_model(model, TARGET), [["b", "t", "ghost"]])
    (_, written, evidence), _ = put(parse(SHARED), tmp_path / "out", plan=plan)
    assert evidence.ok and [p.macs for p in written.parts if p.name == "trunk"] == [8 * 8 * 9 * 256]
    said = "; ".join(written.notes)
    assert "planned nodes that are not in the model: 1, the first: 'ghost'" in said
    assert "dla_0: node 't' is gpu (UNARY-NO" in said and "it goes to the GPU" in said


def test_regions_of_a_plan_that_wait_for_each_other_are_found_anew(tmp_path: Path) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    g (float[1,8,16,16] x, float[1,8,16,16] z) => (float[1,8,16,16] y, float[1,8,16,16] u)
    <float[8,8,3,3] w> {{
        a = {CONV}(x, w) b = {CONV}(z, w) p = Add(a, b) q = Add(b, a) y = Relu(p) u = Relu(q)
    }}"""
    model = Model.load(parse(text))
    plan = edited(plan_model(model, TARGET), [["a", "p"], ["b", "q"]])
    (_, written, evidence), _ = put(parse(text), tmp_path / "out", regions=True, plan=plan)
    assert evidence.ok and any("wait for each other" in note for note in written.notes)


def test_a_region_that_a_path_leaves_is_split_and_strange_names_are_not_file_names(tmp_path: Path) -> None:
    model = Model.load(parse(SHARED))
    plan = edited(plan_model(model, TARGET), [["a", "b", "u"]], names=["../../dla"])
    (place, written, evidence), _ = put(parse(SHARED), tmp_path / "out", regions=True, plan=plan)
    assert evidence.ok and any("falls into 2" in note for note in written.notes)
    assert [p.name for p in written.parts if p.device == "dla"] == ["dla_0", "dla_1"]
    assert all(path.parent == place for path in place.iterdir())


def test_a_custom_operator_is_cut_at_and_the_rest_is_proven(tmp_path: Path) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 17, "com.example" : 1]>
    g (float[1,8,16,16] x) => (float[1,8,16,16] y) <float[8,8,3,3] w, float[1,8,16,16] a, float[1,8,16,16] s>
    {{ a = {CONV}(x, w) s = com.example.Swirl(a) y = Erf(s) }}"""
    model = onnx.parser.parse_model(text)
    del model.graph.value_info[0]
    weight = np.random.default_rng(0).normal(size=(8, 8, 3, 3)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    place = tmp_path / "out"
    found = Model.load(model)
    cut = split(found, judge_model(found, TARGET))
    origin = folder.Origin("net.onnx", "", "EXACT")

    def prove(at: Path, parts: Manifest) -> Evidence:
        return rejoin.prove(at, parts, model)

    written, evidence = folder.write(cut, found, place, origin=origin, target=TARGET, prove=prove)
    assert evidence.ok and evidence.cut and names(written) == ["trunk", "tail"]
    assert {e.domain: e.version for e in onnx.load(place / "tail.onnx").opset_import}["com.example"] == 1


def test_external_weights_are_copied_beside_the_parts_that_read_them(tmp_path: Path) -> None:
    source = tmp_path / "net.onnx"
    onnx.save_model(parse(SHARED), source, save_as_external_data=True, location="net.bin", size_threshold=0)
    (place, written, evidence), _ = put(source, tmp_path / "out")
    assert evidence.ok and [part.data for part in written.parts] == ["", "trunk.onnx.data", "tail.onnx.data"]
    (tmp_path / "net.bin").unlink()
    x = np.random.default_rng(0).normal(size=(1, 8, 16, 16)).astype(np.float32)
    assert rejoin.run(place, written, [{"x": x}]).outputs[0]["y"].shape == (1, 8, 16, 16)
    manifest.check_files(place, written)


def test_a_difference_leaves_nothing_behind(tmp_path: Path) -> None:
    model = Model.load(parse(SHARED))
    found = split(model, judge_model(model, TARGET))
    origin = folder.Origin("net.onnx", "", "EXACT")
    other = parse(SHARED.replace("Erf(u)", "Relu(u)"))
    with pytest.raises(MismatchError, match="output 'y'"):
        folder.write(
            found,
            model,
            tmp_path / "out",
            origin=origin,
            target=TARGET,
            prove=lambda at, parts: rejoin.prove(at, parts, other),
        )
    assert list(tmp_path.iterdir()) == []


def test_a_changed_or_missing_file_is_found(tmp_path: Path) -> None:
    (place, written, _), _ = put(parse(NET), tmp_path / "out", verify=False)
    with (place / "tail.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelError, match=r"tail\.onnx.*SHA-256"):
        manifest.check_files(place, written)
    manifest.check_files(place, written, checksums=False)
    (place / "trunk.onnx").unlink()
    with pytest.raises(ModelError, match=r"trunk\.onnx.*missing"):
        manifest.check_files(place, written, checksums=False)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: [],
        lambda data: data | {"version": 99},
        lambda data: {k: v for k, v in data.items() if k != "parts"},
        lambda data: data | {"parts": [{"name": "trunk"}]},
        lambda data: data | {"parts": [data["parts"][0] | {"file": "../x.onnx"}]},
        lambda data: data | {"inputs": 3},
    ],
)
def test_a_bad_manifest_is_one_clear_error(spoil: Callable[[Any], Any], tmp_path: Path) -> None:
    (place, _, _), _ = put(parse(NET), tmp_path / "out", verify=False)
    path = place / "manifest.json"
    path.write_text(json.dumps(spoil(json.loads(path.read_text()))))
    with pytest.raises(UsageError, match=r"manifest\.json"):
        manifest.load(place)


def test_nothing_for_the_dla_is_said(tmp_path: Path) -> None:
    model = Model.load(
        parse('<ir_version: 8, opset_import: ["" : 17]> g (float[1,4] x) => (float[1,4] y) {y = Erf(x)}')
    )
    judged = judge_model(model, TARGET)
    with pytest.raises(UsageError, match="takes no layer"):
        split(model, judged)


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "out"
    put(parse(NET), place, verify=False)
    with pytest.raises(UsageError, match="not empty"):
        folder.check_folder(place, [])
    folder.check_folder(place, [], force=True)
    with pytest.raises(UsageError, match="would be replaced"):
        folder.check_folder(place, [place / "trunk.onnx"], force=True)
    (place / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"no split wrote.*notes\.txt"):
        folder.check_folder(place, [], force=True)
    with pytest.raises(UsageError, match="is a file"):
        folder.check_folder(place / "notes.txt", [])
    with pytest.raises(UsageError, match="does not exist"):
        folder.check_folder(tmp_path / "no" / "where", [])

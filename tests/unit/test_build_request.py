"""What a build can be asked for: releases, options, pools, formats, plans; and what is refused in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from build_samples import CACHE, HALF, MIXED, WHOLE, prepare

from dlarewrite.build.formats import Border, IoFormat, native, parse_formats, resolve
from dlarewrite.build.limits import limit_regions
from dlarewrite.build.pools import MIB, parse_pools, planned_pools
from dlarewrite.build.release import caution, known, parse_version, refusal
from dlarewrite.errors import UsageError


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("8.0.1", "older than 8.2"),
        ("11.0", "no DLA support"),
        ("11.1.0", "no DLA support"),
        ("11.3.1", "no DLA support"),
        ("11.4.0.106", "Windows-on-ARM"),
        ("8.2.1", ""),
        ("8.6.2", ""),
        ("10.3.0", ""),
        ("10.7.0.post1", ""),
        ("10.16.1", ""),
        ("11.4.1", ""),
    ],
)
def test_releases_without_a_dla_are_refused_with_the_reason(version: str, words: str) -> None:
    found = refusal(parse_version(version))
    assert words in found
    assert bool(found) == bool(words)


@pytest.mark.parametrize(("version", "doubtful"), [("10.7", False), ("10.8", True), ("10.16", True), ("11.4.1", False)])
def test_only_releases_without_a_known_jetson_package_are_doubtful(version: str, doubtful: bool) -> None:
    assert bool(caution(parse_version(version))) == doubtful


def test_a_version_is_numbers() -> None:
    assert parse_version("10.7.0.post1") == (10, 7, 0)
    with pytest.raises(UsageError, match="no TensorRT version"):
        parse_version("ten")


@pytest.mark.parametrize(
    ("target", "options", "words"),
    [
        ("orin-jp6", {"dla_cores": (2,)}, "--dla-core 2 does not exist"),
        ("orin-jp6", {"dla_cores": (-1,)}, "--dla-core -1 does not exist"),
        ("orin-jp6", {"dla_cores": (0, 0)}, "a core twice"),
        ("orin-jp6", {"standalone": True, "gpu_fallback": True}, "no GPU to fall back to"),
        ("orin-jp6", {"standalone": True}, "1 nodes do not run on the DLA and a standalone loadable has no GPU"),
        ("orin-jp6", {"gpu_fallback": False}, "GPU fallback is off; the first: c"),
        ("orin-jp6", {"precision": "int8"}, "needs scales"),
        ("orin-jp6", {"precision": "int8", "fp8": True}, "FP8 or with INT8, not with both"),
        ("agx-orin-jp7", {"precision": "int8"}, "INT8 has to be in the model"),
        ("orin-jp6", {"fp8": True, "optimization_level": 6}, "0 to 5, not 6"),
        ("orin-jp5", {"fp8": True}, "BuilderFlag.FP8, which TensorRT 8.5.2 does not have"),
        ("agx-orin-jp7", {"fp8": True}, "before 11.0 it exists"),
        ("orin-jp5", {"optimization_level": 3}, "builder_optimization_level"),
        ("agx-orin-jp7", {"reject_empty_algorithms": True}, "REJECT_EMPTY_ALGORITHMS"),
        ("agx-orin-jp7", {"layer_precisions": {"a": "fp16"}}, "ILayer.precision"),
        ("agx-orin-jp7", {"precision_constraints": "obey"}, "OBEY_PRECISION_CONSTRAINTS"),
        ("xavier-jp4", {"pools": {"dlaSRAM": MIB}}, "set_memory_pool_limit"),
        ("xavier-jp5", {"sparsity": "enable"}, "no structured sparsity"),
        ("orin-jp6", {"layer_precisions": {"a": "int8"}}, "cannot be INT8"),
        ("orin-jp6", {"layer_precisions": {"a": "fp64"}}, "none of fp32, fp16 and int8"),
        ("orin-jp6", {"layer_devices": {"nobody": "GPU"}}, "no node 'nobody'"),
        ("orin-jp6", {"io_formats": "keep", "direct_io": True}, "without reformats"),
        ("orin-jp6", {"input_formats": (("x", IoFormat("int8", "chw32")),)}, "cannot be INT8"),
        ("agx-orin-jp7", {"input_formats": (("x", IoFormat("fp16", "chw16")),)}, "is fp32 in the model"),
    ],
)
def test_wrong_requests_say_what_is_wrong(target: str, options: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(MIXED, target, tmp_path, **options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "pools"),
    [
        ("", {}),
        ("dlaSRAM:1,dlaLocalDRAM:1024", {"dlaSRAM": MIB, "dlaLocalDRAM": 1024 * MIB}),
        ("dlaSRAM:0.5", {"dlaSRAM": MIB // 2}),
        ("dlaSRAM:512K, dlaGlobalDRAM:1G", {"dlaSRAM": MIB // 2, "dlaGlobalDRAM": 1024 * MIB}),
        ("workspace:1000", {"workspace": 1000 * MIB}),
    ],
)
def test_pools_in_the_spelling_of_trtexec(text: str, pools: dict[str, int]) -> None:
    assert parse_pools(text) == pools


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("dlaSRAM", "not NAME:MIB", ""),
        ("sram:1", "no memory pool 'sram'", ""),
        ("dlaSRAM:3", "powers of two", "dlaSRAM:2"),
        ("dlaLocalDRAM:2K", "at least 4,096", "dlaLocalDRAM:0.00390625"),
        ("dlaSRAM:-1", "not NAME:MIB", ""),
    ],
)
def test_pools_that_no_loadable_compiles_with(text: str, words: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_pools(text)
    assert words in str(caught.value)
    assert hint in caught.value.hint


def test_planned_pools_hold_the_largest_region(tmp_path: Path) -> None:
    request = prepare(MIXED, "orin-jp6", tmp_path)
    region = request.plan.regions[0].name
    found = planned_pools(request.plan, {region: 100 * MIB})
    assert found == {"dlaSRAM": MIB, "dlaLocalDRAM": 256 * MIB, "dlaGlobalDRAM": 64 * MIB}
    assert all(size & (size - 1) == 0 for size in request.pools.values())
    heavy = replace(request.plan, regions=(replace(request.plan.regions[0], weight_bytes=100 * MIB),))
    assert planned_pools(heavy, {})["dlaGlobalDRAM"] == 256 * MIB
    # Of 8 channels in FP16 half a block is padding: a and b, 32 x 32.
    assert request.facts.intermediates[region] == 2 * 32 * 32 * 32
    assert prepare(MIXED, "orin-jp6", tmp_path, pools={"dlaSRAM": 4096}).pools["dlaSRAM"] == 4096


@pytest.mark.parametrize(
    ("border", "precision", "expected"),
    [
        (Border("input", "x", "fp32", (1, 3, 32, 32), True, image=True), "fp16", "fp16:dla_hwc4"),
        (Border("input", "x", "fp32", (1, 3, 32, 32), True, True, True), "int8", "int8:dla_hwc4"),
        (Border("input", "x", "fp32", (1, 64, 32, 32), True, image=True), "fp16", "fp16:chw16"),
        (Border("input", "x", "fp32", (1, 64, 32, 32), True, True, True), "int8", "int8:chw32"),
        (Border("input", "x", "fp32", (1, 64, 32, 32), True, image=True), "int8", "fp16:chw16"),
        (Border("input", "x", "fp32", (1, 3, 32, 32), True), "fp16", "fp16:dla_linear"),
        (Border("output", "y", "fp32", (1, 3, 32, 32), True, image=True), "fp16", "fp16:dla_linear"),
        (Border("output", "y", "fp32", (1, 32, 1, 1), True), "fp16", "fp16:chw16"),
        (Border("output", "y", "fp32", (1, 16, 32, 32), False), "fp16", "fp32:chw"),
        (Border("output", "y", "fp32", (1, 16), True), "fp16", "fp32:chw"),
        (Border("input", "n", "int64", (1, 3, 32, 32), True), "fp16", "int64:chw"),
    ],
)
def test_the_format_that_spares_the_reformat(border: Border, precision: str, expected: str) -> None:
    assert str(native(border, precision)) == expected


def test_formats_by_name_by_position_and_for_all() -> None:
    borders = [Border("input", "a:0", "fp32", (1, 3, 8, 8)), Border("input", "b", "fp32", (1, 3, 8, 8))]
    half, plain = IoFormat("fp16", "chw16"), IoFormat("fp32", "chw")
    assert resolve(parse_formats("fp16:chw16"), borders, "input") == {"a:0": half, "b": half}
    assert resolve(parse_formats("fp16:chw16,fp32:chw"), borders, "input") == {"a:0": half, "b": plain}
    assert resolve(parse_formats("a:0:fp16:chw16"), borders, "input") == {"a:0": half}
    for text, words in (
        ("fp16:chw16,fp16:chw16,fp16:chw16", "3 formats are given for 2"),
        ("c:fp16:chw16", "no input"),
    ):
        with pytest.raises(UsageError, match=words):
            resolve(parse_formats(text), borders, "input")
    with pytest.raises(UsageError, match="no I/O format"):
        parse_formats("fp17:chw16")


def test_a_standalone_loadable_takes_dla_formats_alone(tmp_path: Path) -> None:
    request = prepare(WHOLE, "orin-jp6", tmp_path, standalone=True)
    assert {key: str(form) for key, form in request.formats.items()} == {
        ("input", "x"): "fp16:dla_hwc4",
        ("output", "y"): "fp16:chw16",
    }
    with pytest.raises(UsageError, match="cannot be fp16:dla_hwc4"):
        prepare(WHOLE, "orin-jp6", tmp_path, standalone=True, output_formats=(("", IoFormat("fp16", "dla_hwc4")),))
    with pytest.raises(UsageError, match="cannot be fp32:chw"):
        prepare(WHOLE, "agx-orin-jp7", tmp_path, standalone=True)
    assert str(prepare(HALF, "agx-orin-jp7", tmp_path, standalone=True).formats["output", "y"]) == "fp16:chw16"


def test_int8_borders_where_a_scale_is_known(tmp_path: Path) -> None:
    cache = tmp_path / "calib.cache"
    cache.write_text(CACHE)
    request = prepare(WHOLE, "orin-jp6", tmp_path, precision="int8", calibration_cache=cache, io_formats="auto")
    assert {name: str(form) for (_, name), form in request.formats.items()} == {"x": "int8:dla_hwc4", "y": "int8:chw32"}
    assert request.facts.unscaled == ()


def test_the_caller_may_overrule_the_plan(tmp_path: Path) -> None:
    request = prepare(MIXED, "orin-jp6", tmp_path, layer_devices={"a": "GPU", "c": "DLA"})
    assert request.gpu["a"] == "asked for"
    assert "c" in request.dla
    assert "c" not in request.gpu
    assert not set(request.dla) & set(request.gpu)


def test_small_and_surplus_regions_go_to_the_gpu_with_the_reason(tmp_path: Path) -> None:
    plan = prepare(MIXED, "orin-jp6", tmp_path).plan
    assert [r.nodes for r in plan.regions] == [("a", "b"), ("y",)]
    one = limit_regions(plan, max_chunks=1)
    assert [r.nodes for r in one.regions] == [("a", "b")]
    assert one.gpu["y"] == "over --max-chunks 1"
    assert one.dropped == (*plan.dropped, "y")
    assert set(one.crossings) == {"b"}
    large = limit_regions(plan, min_layers=2)
    assert large.gpu["y"] == "region of 1 nodes, fewer than --min-layers 2"
    assert limit_regions(plan, max_chunks=2, min_layers=1) is plan


def test_what_a_release_has_is_never_guessed() -> None:
    with pytest.raises(KeyError):
        known((10, 3)).has("BuilderFlag.FP17")

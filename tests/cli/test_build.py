"""``dlarewrite build`` on a laptop: the dry run, what is written for a board, trtexec's spellings, wrong use."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, make

from dlarewrite.partition.plan import load_plan

WHOLE = """<ir_version: 9, opset_import: ["": 17]> g (float[1,3,32,32] images) => (float[1,16,32,32] maps)
<float[8,3,3,3] w, float[16,8,3,3] v> {
    a = Conv<pads=[1,1,1,1]>(images, w) b = Relu(a) maps = Conv<pads=[1,1,1,1]>(b, v)
}"""
CACHE = "TRT-8600-EntropyCalibration2\nimages: 3c000000\na: 3c800000\nb: 3c800000\nmaps: 3d000000\n"


@pytest.fixture(autouse=True)
def laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    """No TensorRT, whatever the machine has."""
    monkeypatch.setitem(sys.modules, "tensorrt", None)


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A network that the DLA takes whole."""
    return make(WHOLE, tmp_path / "net.onnx")


def test_without_tensorrt_all_that_a_board_needs_is_written_and_the_exit_is_5(run: Run, whole: Path) -> None:
    done = run("build", whole, "--dla-core", "1")
    assert done.exit_code == 5
    assert "no engine was built: TensorRT's Python package is not usable here" in done.stderr
    names = {"net.onnx", "net.dla.onnx", "net.dla.plan.yaml", "net.trtexec.sh"}
    assert {p.name for p in whole.parent.iterdir()} == names
    assert (whole.parent / "net.trtexec.sh").stat().st_mode & 0o111
    assert load_plan(whole.parent / "net.dla.plan.yaml").regions[0].nodes == ("a", "b", "maps")


def test_emit_is_all_that_is_wanted(run: Run, whole: Path) -> None:
    done = run("build", whole, "--emit", "trtexec", "-o", whole.parent / "other.engine")
    assert done.exit_code == 0
    assert "--useDLACore=0" in (whole.parent / "other.trtexec.sh").read_text()


def test_a_plan_of_unnamed_nodes_places_them(run: Run, whole: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    assert run("plan", whole, "-o", plan).exit_code == 0
    done = run("build", whole, "--no-optimize", "--plan", plan, "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert "3 nodes of the plan's regions" in done.stdout


def test_a_plan_for_another_target_is_told(run: Run, whole: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    assert run("plan", whole, "-o", plan).exit_code == 0
    done = run("build", whole, "--no-optimize", "--plan", plan, "--dry-run", "--target", "orin-jp5")
    assert "was made for orin-jp6 in fp16, not for orin-jp5 in fp16" in done.stderr


def test_of_a_plan_that_does_not_fit_the_rest_is_built_and_each_thing_is_told(
    run: Run, whole: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.yaml"
    assert run("plan", whole, "-o", plan).exit_code == 0
    text = plan.read_text()
    assert "  - b\n" in text
    plan.write_text(text.replace("  - b\n", "  - gone\n", 1))
    done = run("build", whole, "--no-optimize", "--plan", plan, "--emit", "trtexec", "-o", tmp_path / "new.engine")
    assert done.exit_code == 0, done.stderr
    assert "plan: planned nodes that are not in the model: 1, the first: 'gone'" in done.stderr
    assert "plan: layers of the model that the plan lacks and the GPU takes: 1, the first: 'b'" in done.stderr
    built = load_plan(tmp_path / "new.dla.plan.yaml")
    assert [r.nodes for r in built.regions] == [("a",), ("maps",)]
    assert dict(built.gpu) == {"b": "not in the plan"}


def test_a_plan_that_fits_is_followed_to_the_letter(run: Run, whole: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    assert run("plan", whole, "-o", plan, "--power-mode", "15W").exit_code == 0
    done = run("build", whole, "--no-optimize", "--plan", plan, "--emit", "trtexec", "-o", tmp_path / "new.engine")
    assert done.exit_code == 0, done.stderr
    assert load_plan(tmp_path / "new.dla.plan.yaml") == load_plan(plan)


def test_the_plan_of_another_model_is_refused(run: Run, whole: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    other = make(
        WHOLE.replace("maps", "masks").replace(" a = ", " c = ").replace("(a)", "(c)").replace("b", "d"),
        tmp_path / "other.onnx",
    )
    assert run("plan", other, "-o", plan).exit_code == 0
    for command in (["build", whole, "--no-optimize", "--dry-run"], ["plan", whole]):
        done = run(*command, "--plan", plan)
        assert done.exit_code == 2
        assert "the plan names no node of this model" in done.stderr


def test_a_dry_run_writes_nothing(run: Run, whole: Path) -> None:
    done = run("build", whole, "--dry-run")
    assert done.exit_code == 0
    assert "config.set_flag(BuilderFlag.GPU_FALLBACK)" in done.stdout
    assert [p.name for p in whole.parent.iterdir()] == ["net.onnx"]
    data = json.loads(run("build", whole, "--dry-run", "--json").stdout)
    assert data["engines"][0]["steps"][0]["step"] == "Call"
    assert run("build", whole, "--dry-run", "--emit", "trtexec").stdout.startswith("#!/bin/sh\n")


@pytest.mark.parametrize(
    ("release", "has", "lacks"),
    [
        ("8.6.2", "NetworkDefinitionCreationFlag.EXPLICIT_BATCH", "progress_monitor"),
        ("10.7", "progress_monitor", "EXPLICIT_BATCH"),
        ("10.13", "caution: no Jetson package is known for TensorRT 10.13", "ADJUST_FOR_DLA"),
        ("11.4.1", "OnnxParserFlag.ADJUST_FOR_DLA", "BuilderFlag.FP16"),
    ],
)
def test_a_dry_run_for_another_release(run: Run, whole: Path, release: str, has: str, lacks: str) -> None:
    done = run("build", whole, "--dry-run", "--tensorrt", release)
    assert has in done.stdout
    assert lacks not in done.stdout


def test_the_spellings_of_trtexec(run: Run, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "calib.cache").write_text(CACHE)
    shown = ["--useDLACore=1", "--allowGPUFallback", "--inputIOFormats=int8:dla_hwc4", "--outputIOFormats=int8:chw32"]
    shown += ["--int8", "--fp16", "--timingCacheFile=t.cache", "--layerPrecisions=a:fp16", "--layerDeviceTypes=b:GPU"]
    shown += ["--sparsity=enable", "--directIO", "--verbose", "--precisionConstraints=obey", "--skipInference"]
    shown += ["--builderOptimizationLevel=4"]
    files = [f"--onnx={whole}", f"--saveEngine={tmp_path / 'x.engine'}", f"--calib={tmp_path / 'calib.cache'}"]
    done = run("build", *files, *shown, "--memPoolSize=dlaSRAM:0.5", "--dry-run", "--emit", "trtexec")
    assert done.exit_code == 0, done.stderr
    for word in [*shown, "dlaSRAM:0.5"]:
        assert word in done.stdout
    assert "--calib=calib.cache" in done.stdout


def test_a_standalone_loadable_in_the_spelling_of_trtexec(run: Run, whole: Path) -> None:
    done = run("build", whole, "--buildDLAStandalone", "--dry-run")
    assert "config.engine_capability = EngineCapability.DLA_STANDALONE" in done.stdout
    assert "input('images').allowed_formats = 1 << int(TensorFormat.DLA_HWC4)" in done.stdout
    assert "GPU_FALLBACK" not in done.stdout


def test_scales_as_json_become_a_cache(run: Run, whole: Path, tmp_path: Path) -> None:
    from dlarewrite.precision import cache

    scales = tmp_path / "scales.json"
    cache.parse(CACHE).renamed({})[0].save(scales)
    data = json.loads(scales.read_text())
    data.pop("header")
    scales.write_text(json.dumps(data))
    done = run("build", whole, "--precision", "int8", "--calib", scales, "--emit", "trtexec")
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "net.dla.calib.cache").read_text() == CACHE
    assert "--calib=net.dla.calib.cache" in (tmp_path / "net.trtexec.sh").read_text()


def test_tensors_without_a_scale_are_told(run: Run, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "calib.cache").write_text(CACHE.replace("b: 3c800000\n", ""))
    done = run("build", whole, "--int8", "--calib", tmp_path / "calib.cache", "--emit", "trtexec")
    assert "1 tensors on the DLA have no scale" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--standalone", "--gpu-fallback"], "a standalone DLA loadable has no GPU to fall back to"),
        (["--buildDLAStandalone", "--allowGPUFallback"], "a standalone DLA loadable has no GPU to fall back to"),
        (["--precision", "int8"], "an INT8 build needs scales"),
        (["--int8"], "an INT8 build needs scales"),
        (["--calib", "nowhere.cache", "--int8"], "cannot read scales"),
        (["--dla-core", "2"], "--dla-core 2 does not exist on orin-jp6"),
        (["--dla-cores", "0,x"], "is no list of numbers"),
        (["--dla-cores", "0,1", "--dla-core", "0"], "are both given"),
        (["--target", "orin-jp5", "--optimization-level", "3"], "which TensorRT 8.5.2 does not have"),
        (["--tensorrt", "11.1", "--dry-run"], "TensorRT 11.1 has no DLA support"),
        (["--tensorrt", "10.7"], "--tensorrt is for --dry-run and --emit"),
        (["--mem-pool-size", "dlaSRAM:3"], "powers of two"),
        (["--input-format", "fp16:chw17"], "is no I/O format"),
        (["--layer-devices", "a:TPU"], "neither DLA nor GPU"),
        (["--layer-precisions", "a"], "is not NODE:VALUE"),
        (["-o", "no/such/folder/net.engine"], "does not exist"),
        (["--plan", "nowhere.yaml"], "cannot read plan"),
        (["--onnx", "other.onnx"], "MODEL and --onnx are both given"),
        (["--json"], "--json shows a dry run"),
        (["-o", "."], "output '.' is a folder"),
        (["--timing-cache", "no/such/folder/t.cache"], "of the timing cache does not exist"),
        (["--dry-run", "--engine-cache"], "--engine-cache needs a build, and --dry-run builds nothing"),
        (["--emit", "trtexec", "--export-disagreements", "d.json"], "--export-disagreements needs a build"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(run: Run, whole: Path, words: list[Any], told: str) -> None:
    done = run("build", whole, *words)
    assert done.exit_code == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("[E]")]
    assert len(lines) == 1
    assert told in lines[0]
    assert [p.name for p in whole.parent.iterdir()] == ["net.onnx"]


def test_what_is_read_is_never_overwritten(run: Run, whole: Path, tmp_path: Path) -> None:
    plan = tmp_path / "net.dla.plan.yaml"
    assert run("plan", whole, "-o", plan).exit_code == 0
    before = plan.read_text()
    done = run("build", whole, "--no-optimize", "--plan", plan, "--emit", "trtexec")
    assert done.exit_code == 2
    assert "would be overwritten, and it is read" in done.stderr
    assert plan.read_text() == before


def test_a_cache_from_elsewhere_is_put_beside_the_engine(run: Run, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "calib.cache").write_text(CACHE)
    done = run("build", whole, "--int8", "--calib", tmp_path / "data" / "calib.cache", "--emit", "trtexec")
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "net.dla.calib.cache").read_text() == CACHE


def test_scales_of_another_model_are_refused(run: Run, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "calib.cache").write_text("TRT-8600-EntropyCalibration2\nstranger: 3c000000\n")
    done = run("build", whole, "--int8", "--calib", tmp_path / "calib.cache", "--dry-run")
    assert done.exit_code == 2
    assert "names no tensor of" in done.stderr


def test_the_core_of_the_plan_is_that_of_the_engine(run: Run, whole: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    assert run("plan", whole, "-o", plan, "--dla-cores", "1").exit_code == 0
    done = run("build", whole, "--no-optimize", "--plan", plan, "--dry-run")
    assert "config.DLA_core = 1" in done.stdout
    done = run("build", whole, "--no-optimize", "--plan", plan, "--dry-run", "--dla-core", "0")
    assert "the plan is for DLA core 1, and the engine for core 0" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--mem-pool-size", "dlaSRAM:4"], "dlaSRAM is 4 MiB, and a core of Orin has 1 MiB"),
        (["--mem-pool-size", "dlaLocalDRAM:2G"], "dlaLocalDRAM is 2048 MiB, and a loadable may have 1024 MiB"),
        (["--target", "xavier-jp5", "--tensorrt", "10.3"], "Xavier's last TensorRT is 8.5.2"),
        (["--target", "agx-orin-jp7", "--no-optimize"], "`dlarewrite scales export --to fp16` makes it so"),
    ],
)
def test_doubts_are_told_before_the_build(run: Run, whole: Path, words: list[str], told: str) -> None:
    assert told in run("build", whole, "--dry-run", *words).stdout


def test_a_folder_is_no_model(run: Run, tmp_path: Path) -> None:
    done = run("build", tmp_path, "--dry-run")
    assert done.exit_code == 2
    assert "is a folder" in done.stderr


def test_a_model_has_to_be_given(run: Run) -> None:
    assert run("build").exit_code == 2


def test_dynamic_shapes_are_refused_with_the_option_that_mends_them(run: Run, dynamic: Path) -> None:
    done = run("build", dynamic, "--dry-run")
    assert done.exit_code == 2
    assert "the DLA needs static shapes" in done.stderr
    assert "--shape images:" in done.stderr


def test_the_engine_is_never_the_model(run: Run, whole: Path) -> None:
    done = run("build", whole, "-o", whole)
    assert done.exit_code == 2
    assert "is the input model" in done.stderr

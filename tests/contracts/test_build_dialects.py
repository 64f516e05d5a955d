"""One builder on every TensorRT: the steps shown on a laptop, the calls made on the real surfaces, and the script.

``python tests/contracts/test_build_dialects.py`` writes the golden files anew.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from click.testing import CliRunner
from tensorrt_api.fake import VERSIONS, calls, fake_tensorrt

from dlarewrite import compiler, planning
from dlarewrite.build import tensorrt
from dlarewrite.build.dryrun import as_json, describe
from dlarewrite.build.formats import IoFormat
from dlarewrite.build.options import BuildOptions
from dlarewrite.build.placement import export_disagreements
from dlarewrite.build.pools import MIB
from dlarewrite.build.prepare import Files, make_request, name_nodes, write
from dlarewrite.build.recipe import build_steps
from dlarewrite.build.release import PRESENCE, detect, known, parse_version, refusal
from dlarewrite.build.request import BuildRequest
from dlarewrite.build.tensorrt import BuildError, Built, build_engine
from dlarewrite.build.tensorrt_callbacks import calibrator
from dlarewrite.build.trtexec import arguments, nsys_arguments, profile_arguments, script
from dlarewrite.build.trtexec_options import OPTIONS, available
from dlarewrite.cli.main import program
from dlarewrite.errors import DlarewriteError, EnvironmentMissing, UsageError
from dlarewrite.ir.model import Model
from dlarewrite.target import Precision, load_target
from dlarewrite.testing import parse

GOLDEN = Path(__file__).parents[1] / "cases-build"
MIXED = """<ir_version: 9, opset_import: ["": 17]> g (float[1,3,32,32] x) => (float[1,8,32,32] y)
<float[8,3,3,3] w, float[8,8,3,3] v, float[8,8,3,3] u> {
    a = Conv<pads=[1,1,1,1]>(x, w) b = Conv<pads=[1,1,1,1]>(a, v) c = Erf(b) y = Conv<pads=[1,1,1,1]>(c, u)
}"""
WHOLE = """<ir_version: 9, opset_import: ["": 17]> g (float[1,3,32,32] x) => (float[1,16,32,32] y)
<float[8,3,3,3] w, float[16,8,3,3] v> {
    a = Conv<pads=[1,1,1,1]>(x, w) b = Relu(a) y = Conv<pads=[1,1,1,1]>(b, v)
}"""
CACHE = "TRT-8600-EntropyCalibration2\nx: 3c000000\na: 3c800000\nb: 3c800000\nc: 3c800000\ny: 3d000000\n"
# The target's own release, or another one built for the same machine.
FAMILIES = {
    "8.2": ("xavier-jp4", ""),
    "8.5": ("orin-jp5", ""),
    "8.6": ("orin-jp6.0", ""),
    "10.3": ("orin-jp6", ""),
    "10.7": ("orin-jp6", "10.7.0"),
    "10.13": ("orin-jp6", "10.13.3"),
    "10.16": ("orin-jp6", "10.16.1"),
    "11.4.1": ("agx-orin-jp7", ""),
}
# The surfaces of the real bindings; 11.4.0 stands for 11.4.1, of which no bindings are published.
REAL = {"8.6.1": "8.6", "10.3.0": "10.3", "10.7.0.post1": "10.7", "10.13.3.9": "10.13", "10.16.1.11": "10.16"}
REAL["11.4.0.106"] = "11.4.1"
SETTING = re.compile(r"(IBuilderC|c)onfig\.(set_flag|set_memory_pool_limit|\w+ = )")
NO_TEXT = re.compile(r"<\w+>|dlarewrite\.\w+\(.*\)")
UP_TO_TEN = [v for v in VERSIONS if not v.startswith("11")]


def prepare(text: str, family: str, engine: Path, save: bool = False, **options: Any) -> BuildRequest:
    target, release = FAMILIES[family]
    chosen = BuildOptions(**options)
    machine = load_target(target, Precision(chosen.precision))
    model = Model.load(parse(text))
    name_nodes(model)
    files = Files(engine)
    judgement, plan = compiler.judge_model(model, machine), planning.plan_model(model, machine)
    features = known(parse_version(release)) if release else None
    request = make_request(model, judgement, plan, machine.profile, files, chosen, features)
    if save:
        write(model, request, files, chosen.calibration_cache)
    return request


def fake(version: str, **behaviour: Any) -> Any:
    return fake_tensorrt(version, reports="11.4.1" if version.startswith("11") else None, **behaviour)


def refuses(*names: str) -> Any:
    return lambda layer, config: layer.name not in names


def build(request: BuildRequest, trt: Any, **more: Any) -> Built:
    return build_engine(request, request.options.dla_cores[0], trt=trt, **more)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_release_is_said_to_have_is_what_its_bindings_have(version: str) -> None:
    real = detect(fake_tensorrt(version))
    assert real.names == known(real.version).names
    assert len(real.names) > len(PRESENCE) / 2


def golden(family: str) -> str:
    request = prepare(MIXED, family, Path("net.engine"))
    return f"{describe(request)}\n{script(request)}"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_dry_run_of_each_family(family: str) -> None:
    assert golden(family) == (GOLDEN / f"{family}.txt").read_text()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_build_makes_exactly_the_calls_that_the_dry_run_shows(version: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "dla_cores": (1,),
        "timing_cache": tmp_path / "t.cache",
        "ignore_timing_mismatch": True,
        "optimization_level": 2,
        "sparsity": "enable",
        "pools": {"dlaSRAM": MIB // 2, "workspace": 256 * MIB},
    }
    request = prepare(MIXED, REAL[version], tmp_path / "net.engine", save=True, **options)
    trt = fake(version, can_run_on_dla=refuses("c"))
    built = build(request, trt)
    shown = [str(step) for step in build_steps(request.built_by(detect(trt)), 1)]
    expected = [s.replace("config.", "IBuilderConfig.", 1) for s in shown if SETTING.match(s)]
    made = calls(trt)
    found = [c for c in made if SETTING.match(c)]
    assert [NO_TEXT.sub("", c) for c in found] == [NO_TEXT.sub("", s) for s in expected]
    asked = [c for c in made if c.startswith("IBuilderConfig.can_run_on_DLA")]
    placed = [c for c in made if c.startswith("IBuilderConfig.set_device_type")]
    assert len(asked) == len(placed) == 4
    assert made.index(asked[0]) > max(made.index(c) for c in made if "set_flag" in c)
    assert [("GPU" in c) for c in placed] == [False, False, True, False]
    assert (built.dla_layers, built.gpu_layers, built.disagreements) == (3, 1, ())
    assert request.engine.read_bytes()
    assert (tmp_path / "t.cache").is_file()
    assert built.placement is not None
    assert len(built.placement.loadables) == 2
    assert set(built.placement.homes) == {"dla_0", "dla_1"}
    assert all(built.placement.homes.values())
    assert built.placement.strayed == ()


@pytest.mark.parametrize("version", UP_TO_TEN)
def test_an_int8_build_hands_over_the_cache_with_formats_and_layer_types(version: str, tmp_path: Path) -> None:
    (tmp_path / "calib.cache").write_text(CACHE)
    request = prepare(
        WHOLE,
        REAL[version],
        tmp_path / "net.engine",
        save=True,
        precision="int8",
        calibration_cache=tmp_path / "calib.cache",
        gpu_fallback=False,
        layer_precisions={"a": "fp16", "*": "int8"},
        reject_empty_algorithms=True,
    )
    trt = fake(version)
    build(request, trt)
    made = calls(trt)
    flags = {c for c in made if "set_flag" in c}
    for name in ("FP16", "INT8", "DIRECT_IO", "PREFER_PRECISION_CONSTRAINTS", "REJECT_EMPTY_ALGORITHMS"):
        assert f"IBuilderConfig.set_flag(BuilderFlag.{name})" in flags
    assert "IBuilderConfig.set_flag(BuilderFlag.GPU_FALLBACK)" not in flags
    assert any(c.startswith("IBuilderConfig.int8_calibrator = ") for c in made)
    assert [c for c in made if "allowed_formats" in c] == [
        f"ITensor.allowed_formats = {1 << int(trt.TensorFormat.DLA_HWC4)}",
        f"ITensor.allowed_formats = {1 << int(trt.TensorFormat.CHW32)}",
    ]
    assert [c for c in made if "ITensor.dtype = " in c] == ["ITensor.dtype = DataType.INT8"] * 2
    precisions = [c.rpartition(" ")[2] for c in made if ".precision = " in c]
    assert precisions == ["DataType.HALF", "DataType.INT8", "DataType.INT8"]
    assert len([c for c in made if ".set_output_type(" in c]) == 3


def test_a_calibrator_gives_the_bytes_of_the_cache(tmp_path: Path) -> None:
    found = calibrator(fake("10.3.0"), b"scales")
    assert bytes(found.read_calibration_cache()) == b"scales"
    assert found.get_batch(["x"]) is None
    assert found.get_batch_size() == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_disagreements_are_told_both_ways_and_exported(version: str, tmp_path: Path) -> None:
    request = prepare(MIXED, REAL[version], tmp_path / "net.engine", save=True)
    built = build(request, fake(version, can_run_on_dla=refuses("b")))
    found = [(d.node, d.op, d.verdict, d.planned, d.tensorrt) for d in built.disagreements]
    assert found == [("b", "Conv", "dla", "dla", "gpu"), ("c", "Erf", "gpu", "gpu", "dla")]
    data = json.loads(export_disagreements(request, "10.3.0", built.disagreements))
    assert data["disagreements"][1]["rules"] == ["UNARY-NO"]
    assert data["disagreements"][1]["inputs"] == [[1, 8, 32, 32]]
    assert built.placement is not None
    assert built.placement.strayed == ("b",)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_hook_gets_the_parsed_network(version: str, tmp_path: Path) -> None:
    request = prepare(WHOLE, REAL[version], tmp_path / "net.engine", save=True)
    seen = []
    build(request, fake(version), hooks=[lambda network: seen.append(network.num_layers)])
    assert seen == [3]


def test_progress_and_messages_reach_the_caller(tmp_path: Path) -> None:
    told: list[str] = []
    phases: list[str] = []
    for verbose in (True, False):
        request = prepare(WHOLE, "10.3", tmp_path / "net.engine", save=True, verbose=verbose)
        build(request, fake("10.3.0", messages=[("INFO", "tactics")]), log=told.append, watch=phases.append)
    assert told.count("TensorRT INFO: tactics") == 1
    assert phases == ["Building Engine", "Building Engine 1/1"] * 2


def test_a_loadable_must_carry_the_mark(tmp_path: Path) -> None:
    request = prepare(WHOLE, "10.3", tmp_path / "net.bin", save=True, standalone=True)
    with pytest.raises(DlarewriteError, match="no DLA loadable"):
        build(request, fake("10.3.0"))
    assert not request.engine.exists()
    loadable = b"\0\0\0\0NVDA and more"
    key = "Builder.build_serialized_network"
    trt = fake("10.3.0", extra={key: lambda surface, builder, network, config: surface.memory(loadable)})
    build(request, trt)
    assert request.engine.read_bytes() == loadable
    assert "IBuilderConfig.engine_capability = EngineCapability.DLA_STANDALONE" in calls(trt)
    assert not [c for c in calls(trt) if c.startswith("Runtime")]


@pytest.mark.parametrize(
    ("behaviour", "options", "error", "words"),
    [
        ({"dla_cores": 0}, {}, EnvironmentMissing, "no DLA on this machine"),
        ({"dla_cores": 1}, {"dla_cores": (1,)}, UsageError, "this machine has 1 DLA cores"),
        ({"builds": False, "messages": [("ERROR", "out of\nCBUF")]}, {}, BuildError, "could not build.*out of CBUF"),
        ({"parse_errors": ["node a is odd"]}, {}, BuildError, "parser refuses.*node a is odd"),
        ({"can_run_on_dla": lambda layer, config: False}, {"gpu_fallback": False}, BuildError, "GPU fallback is off"),
    ],
)
def test_what_fails_on_a_board_is_one_error(
    behaviour: dict[str, Any], options: dict[str, Any], error: type[DlarewriteError], words: str, tmp_path: Path
) -> None:
    request = prepare(WHOLE, "10.3", tmp_path / "net.engine", save=True, **options)
    with pytest.raises(error, match=words):
        build(request, fake("10.3.0", **behaviour))
    assert not request.engine.exists()


def test_a_release_without_a_dla_is_refused_on_the_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt("11.4.0.106"))
    with pytest.raises(EnvironmentMissing, match="Windows-on-ARM"):
        tensorrt.load_tensorrt()
    monkeypatch.setitem(sys.modules, "tensorrt", fake("10.3.0", dla_cores=0))
    with pytest.raises(EnvironmentMissing, match="no DLA on this machine"):
        tensorrt.load_tensorrt()
    assert not refusal((11, 4, 1))


class Board:
    """The command on a machine whose TensorRT is the fake of 10.3."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **behaviour: Any) -> None:
        self.folder = folder
        monkeypatch.setitem(sys.modules, "tensorrt", fake("10.3.0", **behaviour))
        onnx.save(parse(MIXED), folder / "net.onnx")

    def run(self, *words: str) -> Any:
        common = ["build", str(self.folder / "net.onnx"), "--no-verify", "-o", str(self.folder / "net.engine")]
        return CliRunner().invoke(program, [*common, *words])


def test_the_command_builds_on_a_board_and_tells_what_runs_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = Board(tmp_path, monkeypatch, can_run_on_dla=refuses("b"))
    done = board.run("--no-optimize", "--export-disagreements", str(tmp_path / "differ.json"))
    assert done.exit_code == 0, done.output
    assert "layer 'b' of Conv 'b': the rules say dla, TensorRT says gpu (planned on the dla)" in done.output
    assert f"wrote {tmp_path}/net.engine: 2 layers on the DLA, 2 on the GPU" in done.output
    assert "planned on the DLA, found on the GPU: b" in done.output
    assert "2 loadables (planned 2)" in done.output
    assert len(json.loads((tmp_path / "differ.json").read_text())["disagreements"]) == 2


def test_two_cores_give_two_engines_that_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(tmp_path, monkeypatch)
    first = board.run("--dla-cores", "0,1", "--engine-cache")
    assert first.exit_code == 0, first.output
    assert {p.name for p in tmp_path.glob("*.engine")} == {"net.dla0.engine", "net.dla1.engine"}
    assert board.run("--dla-cores", "0,1", "--engine-cache").output.count("kept ") == 2
    assert board.run("--dla-cores", "0,1", "--engine-cache", "--sparsity", "enable").output.count("kept ") == 0
    (tmp_path / "net.dla0.engine").write_bytes(b"broken")
    assert board.run("--dla-cores", "0,1", "--engine-cache", "--sparsity", "enable").output.count("kept ") == 1


@pytest.mark.parametrize(
    ("behaviour", "words", "code", "told"),
    [
        ({"dla_cores": 0}, [], 5, "no engine was built: TensorRT sees no DLA"),
        ({"dla_cores": 1}, ["--dla-core", "1"], 2, "this machine has 1 DLA cores"),
        ({"builds": False}, [], 1, "could not build the engine: Could not find any implementation"),
    ],
)
def test_what_fails_on_a_board_is_one_line_and_its_exit_code(
    behaviour: dict[str, Any], words: list[str], code: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = Board(tmp_path, monkeypatch, **behaviour).run(*words)
    assert done.exit_code == code
    assert told in done.output
    assert not (tmp_path / "net.engine").exists()


EVERYTHING: dict[str, Any] = {
    "dla_cores": (0, 1),
    "timing_cache": Path("t.cache"),
    "ignore_timing_mismatch": True,
    "sparsity": "force",
    "io_formats": "auto",
    "direct_io": True,
    "verbose": True,
    "layer_devices": {"a": "GPU"},
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("text", [MIXED, WHOLE])
@pytest.mark.parametrize("everything", [False, True])
def test_no_trtexec_option_is_emitted_that_the_release_lacks(family: str, text: str, everything: bool) -> None:
    options = dict(EVERYTHING) if everything else {}
    if family.startswith("8.2"):
        options.pop("sparsity", None)
    request = prepare(text, family, Path("net.engine"), **options)
    release = request.release.version
    emitted = [*arguments(request), *profile_arguments(request, 0)]
    names = [word.partition("=")[0] for word in emitted]
    assert all(name in OPTIONS and available(name, release) for name in names)
    commands = [line for line in script(request).split("\nnsys()")[0].splitlines() if not line.startswith("#")]
    in_script = {word for line in commands for word in re.findall(r"^\s+'?(--\w+)", line)}
    assert in_script >= set(names)
    assert in_script <= {name for name in OPTIONS if available(name, release)}
    assert ("--fp16" in names) == (release < (11,))
    assert ("--skipInference" in names) != ("--buildOnly" in names)
    assert ("--layerDeviceTypes" in names) == (release >= (8, 6) and bool(request.gpu))
    assert nsys_arguments(request, 0)[:2] == ["nsys", "profile"]


def test_the_script_says_what_trtexec_cannot_be_told() -> None:
    text = script(prepare(MIXED, "8.5", Path("net.engine"), ignore_timing_mismatch=True))
    assert "no --layerDeviceTypes: TensorRT itself chooses" in text
    assert "always demands a timing cache of the same device" in text
    assert "Not run on a device" in text


@pytest.mark.parametrize("family", ["8.5", "8.6", "10.3"])
def test_an_int8_script_has_cache_precisions_and_formats(family: str, tmp_path: Path) -> None:
    (tmp_path / "calib.cache").write_text(CACHE)
    request = prepare(
        WHOLE,
        family,
        tmp_path / "with space" / "net.engine",
        precision="int8",
        calibration_cache=tmp_path / "calib.cache",
        layer_precisions={"a": "fp16"},
        input_formats=(("", IoFormat("int8", "dla_hwc4")),),
    )
    found = arguments(request)
    for word in (
        "--fp16",
        "--int8",
        f"--calib={tmp_path}/with space/net.dla.calib.cache",
        "--precisionConstraints=prefer",
    ):
        assert word in found
    assert "--layerPrecisions=a:fp16" in found
    assert "--inputIOFormats=int8:dla_hwc4" in found
    assert not [w for w in found if w.startswith("--outputIOFormats")]
    assert "--onnx=net.dla.onnx" in script(request)
    assert "--calib=net.dla.calib.cache" in script(request)


@pytest.mark.parametrize(("family", "option"), [("8.5", "--safe"), ("8.6", "--buildDLAStandalone")])
def test_a_standalone_script_has_no_fallback_and_no_profile(family: str, option: str) -> None:
    request = prepare(WHOLE, family, Path("net.bin"), standalone=True)
    assert option in arguments(request)
    assert "--allowGPUFallback" not in arguments(request)
    assert "profile()" not in script(request)


def test_the_script_is_shell(tmp_path: Path) -> None:
    path = tmp_path / "a folder" / "b.sh"
    path.parent.mkdir()
    path.write_text(script(prepare(MIXED, "10.3", path.parent / "it's.engine", dla_cores=(0, 1))))

    def run(*words: str) -> Any:
        environment = {"TRTEXEC": "echo", "PATH": "/usr/bin:/bin"}
        return subprocess.run(
            ["sh", str(path), *words], env=environment, capture_output=True, text=True, check=False, cwd="/"
        )

    done = run()
    assert done.returncode == 0
    assert [line.count("--useDLACore=") for line in done.stdout.splitlines()] == [1, 1]
    assert "--saveEngine=it's.dla1.engine" in done.stdout
    assert "--separateProfileRun" in run("profile").stdout
    assert run("fly").returncode == 2


def test_a_timing_cache_that_is_refused_ends_the_build_with_the_cure(tmp_path: Path) -> None:
    refusing = {"IBuilderConfig.set_timing_cache": lambda surface, config, cache, ignore: False}
    request = prepare(MIXED, "10.3", tmp_path / "net.engine", save=True, timing_cache=tmp_path / "t.cache")
    with pytest.raises(BuildError, match=r"TensorRT refuses config\.set_timing_cache") as caught:
        build(request, fake("10.3.0", extra=refusing))
    assert "--ignore-timing-mismatch" in caught.value.hint


@pytest.mark.parametrize(("forgotten", "device"), [("b", "GPU"), ("c", "DLA")])
def test_a_layer_of_no_node_goes_where_its_reader_is(forgotten: str, device: str, tmp_path: Path) -> None:
    def forget(network: Any) -> None:
        layer = next(x for x in map(network.get_layer, range(network.num_layers)) if x.name == forgotten)
        layer.name, layer.metadata = "(Unnamed Layer* 7) [Shuffle]", ""

    trt = fake("10.3.0")
    build(prepare(MIXED, "10.3", tmp_path / "net.engine", save=True), trt, hooks=[forget])
    placed = [c for c in calls(trt) if c.startswith("IBuilderConfig.set_device_type") and "Unnamed" in c]
    assert [c.endswith(f"DeviceType.{device})") for c in placed] == [True]


def test_the_dry_run_as_data() -> None:
    data = as_json(prepare(MIXED, "10.7", Path("net.engine"), dla_cores=(0, 1), direct_io=True))
    assert [e["engine"] for e in data["engines"]] == ["net.dla0.engine", "net.dla1.engine"]
    assert data["cautions"] == ["DIRECT_IO is deprecated from TensorRT 10.7 on"]
    assert json.loads(json.dumps(data)) == data


if __name__ == "__main__":
    for name in FAMILIES:
        (GOLDEN / f"{name}.txt").write_text(golden(name))

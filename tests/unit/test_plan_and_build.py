"""Plans, trtexec commands per release, build requests, and placement through a stand-in for TensorRT."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from dlarewrite.build import tensorrt, trtexec
from dlarewrite.build.request import BuildRequest, parse_pools
from dlarewrite.cli.main import program
from dlarewrite.compiler import plan
from dlarewrite.errors import EnvironmentMissing, UsageError
from dlarewrite.partition.plan import Plan, load_plan
from dlarewrite.target import load_target
from dlarewrite.testing import parse

NET = """<ir_version: 9, opset_import: ["": 17]> g (float[1,8,32,32] x) => (float[1,8,32,32] y)
<float[8,8,3,3] w, float[8,8,3,3] v, float[8,1,1,1] k> {
    a = Conv<pads=[1,1,1,1]>(x, w) b = Conv<pads=[1,1,1,1]>(a, v) c = Erf(b) d = Conv<group=8>(c, k) y = Erf(d)
}"""


def made(**changes: Any) -> Plan:
    return plan(parse(NET), **changes)


def request_for(target: str, plan_: Plan, folder: Path, **changes: Any) -> BuildRequest:
    files = {"model": folder / "m.dla.onnx", "engine": folder / "m.engine"}
    return BuildRequest(**files, plan=plan_, profile=load_target(target).profile, **changes)


def test_a_small_island_is_dropped_and_said() -> None:
    found = made()
    assert [r.nodes for r in found.regions] == [("a", "b")]
    assert found.dropped == ("d",)
    assert found.gpu["d"] == "island too small to be worth a loadable"
    assert found.gpu["c"].startswith("UNARY-NO: ")
    assert found.crossings == {"b": 8 * 32 * 32 * 2}


def test_every_island_is_kept_on_request_and_the_cap_holds() -> None:
    assert [r.nodes for r in made(min_macs=0).regions] == [("a", "b"), ("d",)]
    capped = made(min_macs=0, max_loadables=1)
    assert [r.nodes for r in capped.regions] == [("a", "b")]
    assert capped.gpu["d"] == "over the cap of 1 loadables"


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(made().dump())
    assert load_plan(path) == made()


@pytest.mark.parametrize("text", ["{", "version: 9", "version: 1\nregions: 3", "- a"])
def test_a_bad_plan_file_is_one_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"plan .*plan\.yaml"):
        load_plan(path)


@pytest.mark.parametrize(
    ("target", "has", "lacks"),
    [
        ("xavier-jp4", ["--workspace=1024", "--fp16", "--buildOnly"], ["--memPoolSize", "--layerDeviceTypes"]),
        ("orin-jp5", ["--memPoolSize=dlaSRAM:1", "--fp16", "--buildOnly"], ["--layerDeviceTypes"]),
        ("orin-jp6.0", ["--layerDeviceTypes=c:GPU,d:GPU,y:GPU", "--skipInference"], ["--workspace"]),
        ("orin-jp6", ["--layerDeviceTypes=c:GPU,d:GPU,y:GPU", "--fp16", "--skipInference"], ["--buildOnly"]),
        ("agx-orin-jp7", ["--layerDeviceTypes=c:GPU,d:GPU,y:GPU"], ["--fp16", "--int8", "--calib"]),
    ],
)
def test_trtexec_options_by_release(target: str, has: list[str], lacks: list[str], tmp_path: Path) -> None:
    found = trtexec.arguments(request_for(target, made(target=target), tmp_path, dla_core=1))
    assert "--useDLACore=1" in found
    assert "--allowGPUFallback" in found
    assert set(has) <= set(found)
    assert not [a for a in found if a.startswith(tuple(lacks))]


def test_the_script_is_shell_and_quotes_paths(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    text = trtexec.script(request_for("orin-jp6", made(), folder))
    assert text.startswith("#!/bin/sh\n")
    assert f"'--onnx={folder}/m.dla.onnx'" in text
    assert "Not run on a device" in text


def test_wrong_requests_say_what_and_how(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--dla-core 2 does not exist"):
        request_for("orin-jp6", made(), tmp_path, dla_core=2)
    with pytest.raises(UsageError, match="needs scales"):
        request_for("orin-jp6", made(), tmp_path, precision="int8")
    with pytest.raises(UsageError, match="3 nodes do not run on the DLA and GPU fallback is off"):
        request_for("orin-jp6", made(), tmp_path, gpu_fallback=False)
    with pytest.raises(UsageError, match="power of two"):
        request_for("orin-jp6", made(), tmp_path, pools={"dlaSRAM": 3})
    with pytest.raises(UsageError, match="no memory pool"):
        request_for("orin-jp6", made(), tmp_path, pools={"sram": 4})
    with pytest.raises(UsageError, match="NAME:MIB"):
        parse_pools("dlaSRAM")


class Config:
    """Takes only what the builder is meant to use; anything else raises AttributeError."""

    def __init__(self, able: set[str]) -> None:
        self.able, self.devices, self.flags = able, {}, []  # type: ignore[var-annotated]
        self.default_device_type, self.DLA_core = None, -1

    def can_run_on_DLA(self, layer: Any) -> bool:  # noqa: N802 - TensorRT's name
        return layer.name in self.able

    def set_device_type(self, layer: Any, device: str) -> None:
        self.devices[layer.name] = device


def network(*names: str) -> Any:
    layers = [SimpleNamespace(name=n, metadata=f"[ONNX Layer: {n}]") for n in names]
    return SimpleNamespace(num_layers=len(layers), get_layer=layers.__getitem__)


def test_placement_follows_the_plan_and_tells_disagreements(tmp_path: Path) -> None:
    trt = SimpleNamespace(DeviceType=SimpleNamespace(DLA="DLA", GPU="GPU"))
    config = Config({"a", "c"})
    built = tensorrt._place(trt, network("a", "b", "c", "d", "y"), config, request_for("orin-jp6", made(), tmp_path))
    assert config.devices == {"a": "DLA", "b": "GPU", "c": "GPU", "d": "GPU", "y": "GPU"}
    assert (built.dla_layers, built.gpu_layers) == (1, 4)
    assert [(d.node, d.planned, d.tensorrt) for d in built.disagreements] == [("b", "dla", "gpu"), ("c", "gpu", "dla")]


def test_without_tensorrt_the_board_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    with pytest.raises(EnvironmentMissing, match="not usable here"):
        tensorrt.load_tensorrt()


def test_the_command_writes_what_a_board_needs_and_exits_5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx

    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    onnx.save(parse(NET), tmp_path / "m.onnx")
    words = ["build", str(tmp_path / "m.onnx"), "--dla-core", "1", "-o", str(tmp_path / "m.engine")]
    demanded = CliRunner().invoke(program, words)
    assert demanded.exit_code == 5
    assert "no engine was built" in demanded.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"m.onnx", "m.dla.onnx", "m.plan.yaml", "m.trtexec.sh"}
    assert (tmp_path / "m.trtexec.sh").stat().st_mode & 0o111
    emitted = CliRunner().invoke(program, [*words, "--emit", "trtexec"])
    assert emitted.exit_code == 0
    assert load_plan(tmp_path / "m.plan.yaml").regions

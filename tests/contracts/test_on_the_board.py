"""``probe`` and ``verify`` as on a board, against a TensorRT that has exactly what the real releases have."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from tensorrt_api.fake import VERSIONS, calls, fake_tensorrt

from dlarewrite.build import verify_engine as board
from dlarewrite.build.probe import ask, network, probe, questions
from dlarewrite.build.tensorrt_errors import BuildError
from dlarewrite.cli.main import program
from dlarewrite.errors import EnvironmentMissing, ModelError, UsageError
from dlarewrite.target import Precision, load_target
from dlarewrite.testing import parse
from dlarewrite.verify import run

NET = """<ir_version: 8, opset_import: ["": 17]> g (float[1,8,8,8] x) => (float[1,8,8,8] y, float[1,8,8,8] z)
<float[8,8,3,3] w> { y = Conv<pads=[1,1,1,1]>(x, w) z = Relu(y) }"""
TARGETS = {"8": "orin-jp6.0", "10": "orin-jp6", "11": "agx-orin-jp7"}


def test_an_int8_border_is_refused_for_want_of_its_scale() -> None:
    board._demand_kin("x", np.float16, np.zeros(1, np.float32))
    board._demand_kin("x", np.int8, np.zeros(1, np.int64))
    with pytest.raises(UsageError, match="'x' is INT8 in the engine and floating-point in the model"):
        board._demand_kin("x", np.int8, np.zeros(1, np.float32))


def kernel_is_small(layer: Any, config: Any) -> bool:
    """A board that takes convolutions of any kernel, and refuses all poolings."""
    return str(layer.type) != "LayerType.POOLING"


def engine_of(trt: Any, path: Path) -> Path:
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    flag = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    definition = builder.create_network(0 if flag is None else 1 << int(flag))
    assert trt.OnnxParser(definition, trt.Logger()).parse(parse(NET).SerializeToString())
    path.write_bytes(bytes(builder.build_serialized_network(definition, builder.create_builder_config())))
    return path


class HostMemory:
    """Device memory that is the host's, and that knows whether all was given back."""

    def __init__(self) -> None:
        self.stream, self.taken, self.waited = 7, dict[int, Any](), False
        self.count = 0

    def allocate(self, size: int) -> int:
        self.count += 1
        buffer = ctypes.create_string_buffer(max(size, 1))
        self.taken[ctypes.addressof(buffer)] = buffer
        return ctypes.addressof(buffer)

    def upload(self, address: int, values: Any) -> None:
        ctypes.memmove(address, values.ctypes.data, values.nbytes)

    def download(self, values: Any, address: int) -> None:
        assert self.waited
        ctypes.memmove(values.ctypes.data, address, values.nbytes)

    def wait(self) -> None:
        self.waited = True

    def close(self) -> None:
        self.taken.clear()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    onnx.save(parse(NET), path)
    return path


def computing(model: Path, off: float = 0.0) -> Any:
    return lambda inputs: {name: value + off for name, value in run(str(model), inputs).items()}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_question_is_put_to_every_release(version: str) -> None:
    target = load_target(TARGETS[version.partition(".")[0]])
    trt = fake_tensorrt(version, can_run_on_dla=kernel_is_small)
    question = next(q for q in questions(target) if q.rule == "POOL-WIN" and q.keeps)
    half = not hasattr(trt.BuilderFlag, "FP16")
    assert ask(trt, network(question.make(), half=half), Precision.FP16) == "gpu"
    said = calls(trt)
    asked = next(i for i, line in enumerate(said) if "can_run_on_DLA" in line)
    assert ("IBuilderConfig.set_flag(BuilderFlag.FP16)" in said[:asked]) is not half
    assert "IBuilderConfig.default_device_type = DeviceType.DLA" in said[:asked]


def test_a_board_that_differs_is_written_down_and_read_as_a_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt("10.3", can_run_on_dla=kernel_is_small))
    path = tmp_path / "board.yaml"
    done = CliRunner().invoke(program, ["probe", "-o", str(path)])
    assert done.exit_code == 0, done.stderr
    assert "answered otherwise" in done.stdout
    said = {(e.rule, e.value): e.observed for e in load_target(str(path)).corrections.entries}
    assert said["CONV-KERNEL", 33] == "dla"
    assert said["POOL-WIN", 8] == "gpu"
    assert ("CONV-KERNEL", 32) not in said
    onnx.save(parse(NET.replace("8,8,3,3", "8,8,33,1").replace("1,1,1,1]>", "16,0,16,0]>")), tmp_path / "m.onnx")
    refused = CliRunner().invoke(program, ["check", str(tmp_path / "m.onnx"), "--require-full-dla"])
    taken = CliRunner().invoke(
        program, ["check", str(tmp_path / "m.onnx"), "--require-full-dla", "--target", str(path)]
    )
    assert (refused.exit_code, taken.exit_code) == (3, 0), taken.stdout


def test_a_parser_that_refuses_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    trt = fake_tensorrt("10.3", parse_errors=["no"])
    assert {a.observed for a in probe(trt, load_target("orin-jp6"))} == {"refused"}


def test_a_board_of_another_release_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt("8.6"))
    done = CliRunner().invoke(program, ["probe", "--target", "orin-jp6"])
    assert done.exit_code == 0
    assert "its answers hold for 8.6.1" in done.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_an_engine_that_computes_the_same_is_equal(version: str, model: Path) -> None:
    trt = fake_tensorrt(version, execute=computing(model))
    memory = HostMemory()
    found = board.verify_engine(trt, model, engine_of(trt, model.with_suffix(".engine")), core=1, memory=memory)
    assert found.ok, found.reason
    assert [o.name for o in found.outputs] == ["y", "z"]
    assert f"TensorRT {trt.__version__}, DLA core 1" in found.runtime
    assert "Runtime.DLA_core = 1" in calls(trt)
    assert not memory.taken
    assert memory.count == 3  # x, y and z, once for all three seeds


def test_an_engine_that_differs_is_told_by_output(model: Path) -> None:
    trt = fake_tensorrt("10.3", execute=computing(model, off=0.5))
    path = engine_of(trt, model.with_suffix(".engine"))
    found = board.verify_engine(trt, model, path, memory=HostMemory())
    assert not found.ok
    assert "'y'" in found.reason
    assert "'z'" in found.reason
    assert board.verify_engine(trt, model, path, memory=HostMemory(), atol=1.0).ok


def test_the_command_on_a_board(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trt = fake_tensorrt("10.3", execute=computing(model))
    engine = engine_of(trt, model.with_suffix(".engine"))
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setattr(board, "Cuda", HostMemory)
    done = CliRunner().invoke(program, ["verify", str(model), str(engine)])
    assert done.exit_code == 0, done.stderr
    assert "TensorRT 10.3.0, DLA core 0" in done.stdout
    monkeypatch.setattr("shutil.which", lambda name: None)
    layers = CliRunner().invoke(program, ["verify", str(model), str(engine), "--layers"])
    assert layers.exit_code == 5
    assert "Polygraphy is not installed here" in layers.stderr


def test_polygraphy_is_given_what_its_release_takes(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/bin/polygraphy")
    words = board.layer_wise(fake_tensorrt("10.3"), model, atol=0.0, rtol=0.01)
    assert words[:3] == ["/bin/polygraphy", "run", str(model)]
    assert "--fp16" in words
    assert "--fp16" not in board.layer_wise(fake_tensorrt("11.4"), model, atol=0.0, rtol=0.01)


def test_what_cannot_be_run_says_why(model: Path) -> None:
    trt = fake_tensorrt("10.3")
    path = engine_of(trt, model.with_suffix(".engine"))
    with pytest.raises(BuildError, match="TensorRT cannot run the engine"):
        board.verify_engine(trt, model, path, memory=HostMemory())
    with pytest.raises(UsageError, match="--dla-core 2 does not exist here"):
        board.verify_engine(trt, model, path, core=2, memory=HostMemory())
    broken = model.with_suffix(".plan")
    broken.write_bytes(b"not an engine")
    with pytest.raises(BuildError, match="magicTag"):
        board.verify_engine(trt, model, broken, memory=HostMemory())
    stranger = model.with_name("stranger.onnx")
    onnx.save(parse(NET.replace(" y", " q").replace("(y)", "(q)")), stranger)
    with pytest.raises(ModelError, match="has the outputs y, z; the model has q, z"):
        board.verify_engine(trt, stranger, path, memory=HostMemory())


def test_formats_other_than_linear_are_refused(model: Path) -> None:
    trt = fake_tensorrt(
        "10.3", extra={"ICudaEngine.get_tensor_format": lambda s, e, n: s.constant("TensorFormat.CHW16")}
    )
    with pytest.raises(UsageError, match=r"'x' .* has format CHW16"):
        board.verify_engine(trt, model, engine_of(trt, model.with_suffix(".engine")), memory=HostMemory())


def test_without_cuda_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from dlarewrite.build import cuda

    def missing(name: str) -> Any:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(EnvironmentMissing, match="libcudart"):
        cuda.Cuda()


class Library:
    """CUDA's runtime as far as :class:`Cuda` uses it; every call and its arguments are kept."""

    def __init__(self, fails: str = "") -> None:
        self.fails, self.called, self.buffers = fails, [], []  # type: ignore[var-annotated]

    def __getattr__(self, name: str) -> Any:
        if name not in {"cudaStreamCreate", "cudaMalloc", "cudaMemcpy", "cudaStreamSynchronize"} | {
            "cudaFree",
            "cudaStreamDestroy",
        }:
            raise AttributeError(name)

        def call(*arguments: Any) -> int:
            self.called.append(name)
            if name == self.fails:
                return 2
            if name == "cudaMalloc":
                self.buffers.append(ctypes.create_string_buffer(arguments[1].value))
                arguments[0]._obj.value = ctypes.addressof(self.buffers[-1])
            if name == "cudaMemcpy":
                ctypes.memmove(arguments[0], arguments[1], arguments[2].value)
            return 0

        return call


def test_cuda_is_called_and_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    from dlarewrite.build import cuda

    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    memory = cuda.Cuda()
    values = np.arange(6, dtype=np.float16)
    address = memory.allocate(values.nbytes)
    memory.upload(address, values)
    memory.wait()
    back = np.zeros_like(values)
    memory.download(back, address)
    memory.close()
    assert back.tolist() == values.tolist()
    assert library.called.count("cudaMalloc") == library.called.count("cudaFree") == 1
    assert library.called[-1] == "cudaStreamDestroy"
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library("cudaMalloc"))
    with pytest.raises(BuildError, match="cudaMalloc fails with error 2"):
        cuda.Cuda().allocate(4)

"""Runs the program in-process, and makes the small models that its tests work on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import onnx.parser
import pytest
from click.testing import CliRunner, Result

from dlarewrite.cli.main import program

Run = Callable[..., Result]

HARD_SIGMOID = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1,8,8,8] images) => (float[1,8,8,8] scores) <float[8,8,3,3] w> {
  a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(images, w)
  b = HardSigmoid<alpha=0.2, beta=0.5>(a)
  scores = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(b, w)
}
"""

DYNAMIC = HARD_SIGMOID.replace("[1,8,8,8]", "[N,8,H,W]")

CUSTOM = """
<ir_version: 8, opset_import: ["" : 17, "com.example" : 1]>
g (float[1,8,8,8] images) => (float[1,8,8,8] scores) <float[8,8,3,3] w> {
  a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(images, w)
  scores = com.example.Swirl(a)
}
"""


@pytest.fixture
def run() -> Run:
    """Run the program with the given words; stdout and stderr are kept apart."""

    def invoke(*words: object) -> Result:
        try:
            runner = CliRunner(mix_stderr=False)  # type: ignore[call-arg]
        except TypeError:
            runner = CliRunner()
        return runner.invoke(program, [str(word) for word in words], prog_name="dlarewrite")

    return invoke


def make(text: str, path: Path, check: bool = True) -> Path:
    """Save the model that the ONNX text describes; declared weights are drawn from a seed."""
    from dlarewrite.testing import parse

    onnx.save(parse(text) if check else _parse_unchecked(text), path)
    return path


def _parse_unchecked(text: str) -> onnx.ModelProto:
    model = onnx.parser.parse_model(text)
    for value in list(model.graph.value_info):
        dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
        count = 1
        for dim in dims:
            count *= dim
        values = [0.01 * (i % 17 - 8) for i in range(count)]
        model.graph.initializer.append(onnx.helper.make_tensor(value.name, onnx.TensorProto.FLOAT, dims, values))
        model.graph.value_info.remove(value)
    return model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two convolutions with a HardSigmoid between, which the default target refuses and a pass rewrites."""
    return make(HARD_SIGMOID, tmp_path / "model.onnx")


@pytest.fixture
def dynamic(tmp_path: Path) -> Path:
    """The same network with symbolic N, H and W."""
    return make(DYNAMIC, tmp_path / "dynamic.onnx", check=False)


_PASS = '''
"""A pass of a test's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Phase, Refusal


@dataclass(frozen=True)
class Own(Pass[None]):
    """Claims to be exact."""

    name: ClassVar[str] = "{name}"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    phase: ClassVar[Phase] = Phase.CLEAN
    anchors: ClassVar[tuple[str, ...]] = ("HardSigmoid",)

    def match(self, node: Node, context: Context) -> Match[None] | Refusal | None:
        return Match((node,), None)

    def apply(self, match: Match[None], edit: Editor) -> None:
        node = match.nodes[0]
        {apply}
'''


def hard_sigmoid_pass(name: str, apply: str) -> str:
    """The text of a plugin whose pass does ``apply`` to each HardSigmoid ``node``."""
    return _PASS.format(name=name, apply=apply)

"""The whole road: who is blamed when outputs differ, what is undone, and what the caller keeps."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

import dlarewrite
from dlarewrite.compiler import Options, optimize
from dlarewrite.errors import MismatchError, PassError, UsageError
from dlarewrite.testing import parse

NET = """<ir_version: 9, opset_import: ["": 17]> g (float[1,8,16,16] x) => (float[1,8,16,16] y)
<float[8,8,3,3] w, float[8,8,3,3] v> {
    a = Conv<pads=[1,1,1,1]>(x, w) b = HardSwish(a) c = Conv<pads=[1,1,1,1]>(b, v) y = HardSigmoid(c)
}"""

WRONG = '''
from dlarewrite.api import *

class Wrong(Pass[None]):
    """Turns a Sigmoid into a Tanh, which is another function."""
    name = "wrong"
    numerics = Numerics.EXACT
    phase = Phase.CLEAN
    anchors = ("HardSigmoid",)
    def match(self, node, context):
        return Match((node,), None)
    def apply(self, match, edit):
        node = match.nodes[0]
        edit.replace_uses(node.outputs[0], edit.op("Tanh", [node.inputs[0]]))
'''


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong_pass.py"
    path.write_text(WRONG)
    return path


def test_the_result_is_one_loadable_and_proven() -> None:
    result = dlarewrite.optimize(parse(NET))
    assert result.evidence.ok
    assert result.modified
    assert (result.report.before.gpu_nodes, result.report.summary.gpu_nodes) == (2, 0)
    assert result.report.summary.loadables == 1
    onnx.checker.check_model(result.model, full_check=True)


def test_the_callers_model_is_never_changed() -> None:
    model = parse(NET)
    copy = model.SerializeToString(deterministic=True)
    dlarewrite.optimize(model)
    dlarewrite.check(model)
    dlarewrite.plan(model)
    assert model.SerializeToString(deterministic=True) == copy


def test_a_graphsurgeon_graph_is_never_changed() -> None:
    graph = gs.import_onnx(parse(NET))
    before = [n.op for n in graph.nodes]
    result = dlarewrite.optimize(graph)
    assert [n.op for n in graph.nodes] == before
    assert result.report.summary.loadables == 1


@pytest.mark.parametrize("verify", ["end", "each"])
def test_the_pass_to_blame_is_named_and_nothing_results(wrong: Path, verify: str) -> None:
    with pytest.raises(MismatchError, match="pass 'wrong' changed the outputs") as caught:
        optimize(parse(NET), plugins=(wrong,), verify=verify)
    assert caught.value.exit_code == 4
    assert "--skip wrong" in caught.value.hint


@pytest.mark.parametrize("verify", ["end", "each"])
def test_keep_going_takes_the_pass_out(wrong: Path, verify: str) -> None:
    result = optimize(parse(NET), plugins=(wrong,), keep_going=True, verify=verify)
    assert result.evidence.ok
    assert "'wrong'" in result.report.rolled_back[0]
    assert "Tanh" not in {n.op_type for n in result.model.graph.node}
    assert result.report.summary.loadables == 1


def test_an_untouched_model_about_which_nothing_can_be_shown_comes_back_with_the_reason() -> None:
    text = """<ir_version: 9, opset_import: ["": 17]> g (float[1,4] x) => (float[1,4] y)
    { a = Abs(x) b = Exp(a) c = Log(b) d = Sub(c, c) y = Div(d, d) }"""
    result = optimize(parse(text), limit=0)
    assert not result.modified
    assert "nothing was rewritten; " in result.evidence.skipped
    assert "proves nothing" in result.evidence.skipped


def noise(layers: int) -> onnx.ModelProto:
    """A Conv with a BatchNormalization, and behind it layers that multiply a difference by about five each."""
    text = "".join(f" m{i} = Conv(s{i}, w{i}) s{i + 1} = Sin(m{i})" for i in range(layers))
    names = ", ".join(f"float[8,8,1,1] w{i}" for i in range(layers))
    model = parse(f"""<ir_version: 9, opset_import: ["": 17]> g (float[1,8,4,4] x) => (float[1,8,4,4] s{layers})
    <float[8,8,3,3] v, float[8] g, float[8] b, float[8] m, float[8] d = {{1,2,3,4,5,6,7,8}}, {names}> {{
        c = Conv<pads=[1,1,1,1]>(x, v) s0 = BatchNormalization(c, g, b, m, d){text} }}""")
    rng = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        if tensor.name.startswith("w"):
            loud = rng.standard_normal((8, 8, 1, 1)) * 5 / np.sqrt(8)
            tensor.CopyFrom(onnx.numpy_helper.from_array(loud.astype(np.float32), tensor.name))
    return model


def test_no_pass_is_blamed_where_nothing_can_be_shown() -> None:
    with pytest.raises(MismatchError, match=r"no rewrite is to blame: .*proves nothing") as caught:
        optimize(noise(60))
    assert "--inputs" in (caught.value.hint or "")
    assert "pass '" not in str(caught.value)


def test_a_custom_operator_is_unknown_and_proven_around() -> None:
    text = """<ir_version: 9, opset_import: ["": 17, "com.acme": 1]> g (float[1,4] x) => (float[1,4] y)
    { y = com.acme.Magic(x) }"""
    result = optimize(onnx.parser.parse_model(text))
    assert result.evidence.ok
    assert result.evidence.cut
    assert result.report.summary.unknown_nodes == 1


def test_without_verification_the_wrong_pass_goes_through(wrong: Path) -> None:
    result = optimize(parse(NET), plugins=(wrong,), verify="off")
    assert "Tanh" in {n.op_type for n in result.model.graph.node}
    assert not result.evidence.ok
    assert result.evidence.skipped


def test_the_limit_stops_early() -> None:
    counts = [sum(p.fired for p in optimize(parse(NET), limit=n).report.passes) for n in range(4)]
    assert counts[0] == 0
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


def test_passes_are_chosen_skipped_and_piped() -> None:
    def fired(**changes: object) -> set[str]:
        return {p.name for p in optimize(parse(NET), **changes).report.passes if p.fired}

    assert fired(passes=("hard-swish",)) == {"hard-swish"}
    assert "hard-swish" not in fired(skip=("hard-swish",))
    assert fired(pipeline="(hard-sigmoid)*") == {"hard-sigmoid"}
    with pytest.raises(UsageError, match="no pass named 'hard-swich'") as caught:
        optimize(parse(NET), passes=("hard-swich",))
    assert "hard-swish" in caught.value.hint


def test_lossy_passes_need_leave() -> None:
    text = NET.replace("HardSwish(a)", "Mish(a)").replace('"": 17', '"": 18')
    assert all(str(p.numerics) != "LOSSY" for p in optimize(parse(text)).report.passes)
    result = optimize(parse(text), lossy=True)
    lossy = [p.name for p in result.report.passes if str(p.numerics) == "LOSSY" and p.fired]
    assert lossy
    assert result.evidence.numerics == "LOSSY"


def test_a_dynamic_model_is_told_how_to_freeze() -> None:
    text = NET.replace("float[1,8,16,16] x", "float[N,8,16,16] x").replace("float[1,8,16,16] y", "float[N,8,16,16] y")
    with pytest.raises(UsageError, match="dynamic inputs: x") as caught:
        optimize(parse(text))
    assert "--shape x:1x8x16x16" in caught.value.hint
    assert optimize(parse(text), batch=1).report.summary.loadables == 1
    frozen = optimize(parse(text), shapes={"x": (2, 8, 16, 16)}).model
    assert frozen.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 2


def test_a_pass_that_raises_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text(WRONG.replace("return Match((node,), None)", "raise RuntimeError('no')"))
    with pytest.raises(PassError, match="pass 'wrong' raised RuntimeError at node 'y'"):
        optimize(parse(NET), plugins=(path,))


def test_external_weights_survive(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(parse(NET), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    result = optimize(path)
    assert result.evidence.ok
    (tmp_path / "out").mkdir()
    result.save(tmp_path / "out" / "o.onnx")
    again = optimize(tmp_path / "out" / "o.onnx")
    assert again.evidence.ok
    assert not again.modified
    assert not again.report.summary.gpu_nodes


def test_the_users_inputs_are_used(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=np.full((1, 8, 16, 16), 0.5, np.float32))
    result = optimize(parse(NET), Options(inputs=tmp_path / "in.npz"))
    assert result.evidence.ok
    assert "in.npz" in result.evidence.inputs_from


def test_an_islands_rewrite_is_declined_unless_everything_is_asked_for() -> None:
    text = """<ir_version: 9, opset_import: ["": 17]> g (float[1,8,64,64] x) => (float[1,8,64,64] y, float[1,4] z)
    <float[8,8,3,3] w, float[8,8,3,3] v, float[4,4] m> {
        a = Conv<pads=[1,1,1,1]>(x, w) y = Conv<pads=[1,1,1,1]>(a, v)
        i = ArgMax<axis=1, keepdims=0>(y) f = Cast<to=1>(i) r = ReduceMean<axes=[2], keepdims=0>(f)
        s = Slice(r, b, e, x1) z = MatMul(s, m)
    }"""
    text = text.replace("float[4,4] m>", "float[4,4] m, int64[1] b = {0}, int64[1] e = {4}, int64[1] x1 = {1}>")
    minimal = optimize(parse(text)).report.summary
    everything = optimize(parse(text), everything=True).report.summary
    assert minimal.loadables <= everything.loadables
    assert minimal.loadables == 1


def test_the_garbage_collector_is_as_it_was_afterwards() -> None:
    before = gc.get_threshold()
    optimize(parse(NET))
    assert gc.get_threshold() == before
    with pytest.raises(UsageError):
        optimize(parse(NET), Options(target="none"))
    assert gc.get_threshold() == before

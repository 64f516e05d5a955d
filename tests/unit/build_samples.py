"""A small network with both devices in it, and requests to build it, for the tests of the builder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlarewrite import compiler, planning
from dlarewrite.build.options import BuildOptions
from dlarewrite.build.prepare import Files, make_request, name_nodes, write
from dlarewrite.build.release import known, parse_version
from dlarewrite.build.request import BuildRequest
from dlarewrite.ir.model import Model
from dlarewrite.target import Precision, load_target
from dlarewrite.testing import parse

MIXED = """<ir_version: 9, opset_import: ["": 17]> g (float[1,3,32,32] x) => (float[1,8,32,32] y)
<float[8,3,3,3] w, float[8,8,3,3] v, float[8,8,3,3] u> {
    a = Conv<pads=[1,1,1,1]>(x, w) b = Conv<pads=[1,1,1,1]>(a, v) c = Erf(b) y = Conv<pads=[1,1,1,1]>(c, u)
}"""
WHOLE = """<ir_version: 9, opset_import: ["": 17]> g (float[1,3,32,32] x) => (float[1,16,32,32] y)
<float[8,3,3,3] w, float[16,8,3,3] v> {
    a = Conv<pads=[1,1,1,1]>(x, w) b = Relu(a) y = Conv<pads=[1,1,1,1]>(b, v)
}"""
HALF = WHOLE.replace("float[", "float16[")

CACHE = "TRT-8600-EntropyCalibration2\nx: 3c000000\na: 3c800000\nb: 3c800000\ny: 3d000000\n"


def prepare(
    text: str, target: str, folder: Path, release: str = "", save: bool = False, **options: Any
) -> BuildRequest:
    """The request to build a network for a target (or another release) with these options."""
    chosen = BuildOptions(**options)
    machine = load_target(target, Precision(chosen.precision))
    model = Model.load(parse(text))
    name_nodes(model)
    files = Files(folder / "net.engine")
    judgement, plan = compiler.judge_model(model, machine), planning.plan_model(model, machine)
    features = known(parse_version(release)) if release else None
    request = make_request(model, judgement, plan, machine.profile, files, chosen, features)
    if save:
        write(model, request, files, chosen.calibration_cache)
    return request

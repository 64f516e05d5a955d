"""The trtexec script: names and paths that a shell or trtexec could misread, and lists too long for an argument."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from build_samples import MIXED, prepare

from dlarewrite import compiler, planning
from dlarewrite.build.options import BuildOptions
from dlarewrite.build.prepare import Files, make_request, name_nodes
from dlarewrite.build.request import BuildRequest
from dlarewrite.build.trtexec import arguments, script
from dlarewrite.ir.model import Model
from dlarewrite.target import load_target
from dlarewrite.testing import parse

TWO = (
    """<ir_version: 9, opset_import: ["": 17]> g (float[1,8,8,8] x) => (float[1,8,8,8] y) { a = Erf(x) y = Relu(a) }"""
)


def test_the_script_works_from_the_folder_that_it_was_copied_to(tmp_path: Path) -> None:
    board = tmp_path / "board"
    board.mkdir()
    (board / "net.dla.onnx").touch()
    (board / "net.trtexec.sh").write_text(script(prepare(MIXED, "orin-jp6.0", tmp_path / "laptop" / "net.engine")))
    (tmp_path / "trtexec").write_text('#!/bin/sh\ntest -f "${1#--onnx=}" && echo found\n')
    (tmp_path / "trtexec").chmod(0o755)
    done = subprocess.run(
        ["sh", "board/net.trtexec.sh"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "found\n")


@pytest.mark.parametrize("name", ["it's", "a,b", "a*b"])
def test_names_that_break_the_lists_of_trtexec_are_told_and_left_out(name: str) -> None:
    request = _named(name)
    assert not [w for w in arguments(request) if w.startswith("--layerDeviceTypes")]
    assert "1 names with a comma, quotation mark or star cannot be in its lists" in script(request)


@pytest.mark.parametrize("name", ["scope:0/op:1", 'say "$(id)" `id`', "größe/層"])
def test_other_names_reach_trtexec_as_they_are(name: str, tmp_path: Path) -> None:
    (tmp_path / "b.sh").write_text(script(_named(name)))
    done = subprocess.run(
        ["sh", str(tmp_path / "b.sh")],
        env={"TRTEXEC": "echo", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"--layerDeviceTypes={name}:GPU " in done.stdout


def _named(name: str) -> BuildRequest:
    machine = load_target("orin-jp6")
    model = Model.load(parse(TWO))
    model.nodes[0].name = name
    name_nodes(model)
    judgement, plan = compiler.judge_model(model, machine), planning.plan_model(model, machine)
    return make_request(model, judgement, plan, machine.profile, Files(Path("net.engine")), BuildOptions())


def test_more_nodes_than_an_argument_holds_are_cut_to_those_that_matter() -> None:
    request = prepare(MIXED, "orin-jp6", Path())
    refused = {f"/a/long/module/path/refused_{i}": "no such layer" for i in range(5000)}
    facts = {name: replace(request.facts.nodes["c"], verdict="gpu") for name in refused}
    plan = replace(request.plan, gpu={**request.plan.gpu, **refused, "moved": "asked for"})
    able = {"moved": replace(request.facts.nodes["c"], verdict="dla")}
    nodes = {**request.facts.nodes, **facts, **able}
    request = replace(request, plan=plan, facts=replace(request.facts, nodes=nodes))
    assert "--layerDeviceTypes=moved:GPU" in arguments(request)
    assert "5002 nodes on the GPU are more than one argument holds: those that the rules refuse" in script(request)


def test_a_node_that_the_plan_forgets_is_kept_off_the_dla() -> None:
    request = prepare(MIXED, "orin-jp6", Path())
    forgetful = replace(request, plan=replace(request.plan, regions=request.plan.regions[:1]))
    assert forgetful.gpu["y"] == "in no region of the plan"
    assert "--layerDeviceTypes=c:GPU,y:GPU" in arguments(forgetful)


def test_a_star_moves_all_nodes_that_are_not_named() -> None:
    request = prepare(MIXED, "orin-jp6", Path(), layer_devices={"*": "GPU", "a": "DLA"})
    assert request.dla == ("a",)
    assert set(request.gpu) == {"b", "c", "y"}

"""dlarewrite plan: the report, the file and its editing, the frontier, two models at once, and wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from conftest import make

NET = """<ir_version: 9, opset_import: ["": 17]> g (float[1,64,112,112] x) => (float[1,64,112,112] y)
<float[64,64,3,3] w, float[64,64,3,3] v> {
    a = Conv<pads=[1,1,1,1]>(x, w) b = Relu(a) c = Erf(b) y = Conv<pads=[1,1,1,1]>(c, v)
}"""
HEAVY = """<ir_version: 9, opset_import: ["": 17]> g (float[1,256,SIZE,SIZE] x) => (float[1,256,SIZE,SIZE] y)
<float[256,256,3,3] w> {
    a = Conv<pads=[1,1,1,1]>(x, w) b = Conv<pads=[1,1,1,1]>(a, w) c = Conv<pads=[1,1,1,1]>(b, w)
    y = Conv<pads=[1,1,1,1]>(c, w)
}"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return make(NET, tmp_path / "net.onnx")


@pytest.fixture
def planned(run, net: Path, tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    assert run("plan", net, "--precision", "int8", "-o", path).exit_code == 0
    return path


def test_the_report_says_what_runs_where_and_why(run, net: Path) -> None:
    text = run("plan", net, "--precision", "int8").stdout
    assert "2 nodes" not in text.splitlines()[0]
    assert "dla_0 ends before c (UNARY-NO)" in text
    assert "dla_1 begins after c (UNARY-NO)" in text
    assert "inferences/s at most" in text
    # b leaves the DLA for the GPU, where c is made from it.
    lines = [line.split() for line in text.splitlines()]
    assert ["b", "dla_0", "GPU", "784.0", "KiB"] in lines
    assert ["c", "GPU", "dla_1", "784.0", "KiB"] in lines
    # 64 x 64 x 3 x 3 weights of a byte.
    assert "36.0 KiB" in text


def test_an_edited_plan_is_priced(run, net: Path, planned: Path) -> None:
    data = yaml.safe_load(planned.read_text())
    dropped = data["regions"].pop()
    data["gpu"].update(dict.fromkeys(dropped["nodes"], "mine"))
    data["regions"][0]["core"] = 1
    planned.write_text(yaml.safe_dump(data))
    made = json.loads(run("plan", net, "--precision", "int8", "--plan", planned, "--json").stdout)
    assert [(r["name"], r["core"], r["nodes"]) for r in made["regions"]] == [("dla_0", 1, ["a", "b"])]
    assert made["gpu"]["y"] == "mine"
    assert made["predicted"]["dla_ms"] == pytest.approx(data["regions"][0]["milliseconds"])
    data["regions"] = []
    planned.write_text(yaml.safe_dump(data))
    done = run("plan", net, "--plan", planned)
    assert done.stdout.startswith("All of it on the GPU")
    assert "made for orin-jp6 in int8, the figures are for orin-jp6 in fp16" in done.stderr


def test_each_point_of_the_frontier_can_be_asked_for(run, net: Path) -> None:
    done = run("plan", net, "--precision", "int8", "--pareto", "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["version"] == 1
    assert len(found["frontier"]) > 1
    for point in found["frontier"]:
        made = json.loads(run("plan", net, "--precision", "int8", "--json", *point["option"].split()).stdout)
        assert made["predicted"] == point["estimate"]
    assert [p["name"] for p in found["frontier"]][:: len(found["frontier"]) - 1] == ["fastest", "least energy"]


def test_two_models_share_the_gpu_and_have_a_core_each(run, tmp_path: Path) -> None:
    one, other = (make(HEAVY.replace("SIZE", size), tmp_path / f"{size}.onnx") for size in ("96", "64"))
    plans = tmp_path / "a.yaml", tmp_path / "b.yaml"
    words = ("plan", one, "--with", other, "--precision", "int8", "-o", plans[0], "--with-output", plans[1])
    done = run(*words, "--json")
    found = json.loads(done.stdout)
    busy = found["together_ms"]
    assert busy["pace"] == max(*busy["cores"], busy["gpu"])
    assert busy["pace"] < busy["gpu_alone"]
    cores = [{r["core"] for r in yaml.safe_load(p.read_text())["regions"]} for p in plans]
    assert cores[0] <= {0} and cores[1] <= {1} and any(cores)
    assert run(*words).stdout.startswith("One inference of both models every")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "NET"], "is the input model"),
        (["-o", "DIR"], "is a folder"),
        (["-o", "DIR/none/plan.yaml"], "does not exist"),
        (["--pareto", "-o", "DIR/p.yaml"], "--pareto lists plans, and --output is given"),
        (["--pareto", "--objective", "energy"], "--objective is given"),
        (["--plan", "PLAN", "--objective", "energy"], "--plan prices a plan as it is"),
        (["--plan", "DIR/none.yaml"], "cannot read plan"),
        (["--plan", "NET"], "is not YAML"),
        (["--module", "orin-x"], "no module named"),
        (["--power-mode", "3W"], "no power mode"),
        (["--dla-cores", "0,7"], "core 7 does not exist"),
        (["--layer-info", "NET"], "without --profile"),
        (["--profile", "NET"], "is not"),
        (["--with", "NET", "--dla-cores", "1"], "two models need two cores"),
        (["--with-output", "DIR/p.yaml"], "without --with"),
        (["--with", "NET", "-o", "DIR/p.yaml", "--with-output", "DIR/p.yaml"], "one file"),
    ],
)
def test_wrong_requests_are_one_line(
    run, net: Path, planned: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    before = net.read_bytes()
    places = {"NET": str(net), "PLAN": str(planned)}
    done = run("plan", net, *(places.get(w, w.replace("DIR", str(tmp_path))) for w in words))
    assert done.exit_code == 2
    assert message in done.stderr
    assert sum(line.startswith("[E]") for line in done.stderr.splitlines()) == 1
    assert net.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 7}, "not a plan of version 2"),
        ({"regions": [{"nodes": ["a"]}]}, "lacks the entry 'name'"),
        ({"regions": [{"name": "r", "nodes": ["a"], "core": "two"}]}, "wrong kind"),
        ({"regions": [{"name": "r", "nodes": ["a"], "core": 5}]}, "core 5 does not exist"),
        ({"regions": [{"name": "r", "nodes": ["ghost"]}], "gpu": {}}, "no node of this model"),
    ],
)
def test_a_plan_that_was_edited_wrongly(run, net: Path, planned: Path, change: dict, message: str) -> None:
    planned.write_text(yaml.safe_dump({**yaml.safe_load(planned.read_text()), **change}))
    done = run("plan", net, "--precision", "int8", "--plan", planned)
    assert done.exit_code == 2
    assert message in done.stderr

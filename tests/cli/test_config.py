"""--config and --dump-config."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dlarewrite.cli import options
from dlarewrite.cli.optimize import optimize


def test_the_file_sets_options(run, model: Path, tmp_path: Path) -> None:
    config = tmp_path / "dlarewrite.yaml"
    config.write_text("target: xavier-jp5\nprecision: int8\nskip: [hard-sigmoid]\nshape: {images: [1, 8, 8, 8]}\n")
    chosen = yaml.safe_load(run("optimize", "--config", config, "--dump-config").stdout)
    assert (chosen["target"], chosen["precision"]) == ("xavier-jp5", "int8")
    assert (chosen["skip"], chosen["shape"]) == (["hard-sigmoid"], ["images:1x8x8x8"])


def test_the_command_line_wins(run, tmp_path: Path) -> None:
    config = tmp_path / "dlarewrite.yaml"
    config.write_text("target: xavier-jp5\nlimit: 3\n")
    chosen = yaml.safe_load(run("optimize", "--target", "orin-jp5", "--config", config, "--dump-config").stdout)
    assert (chosen["target"], chosen["limit"]) == ("orin-jp5", 3)


def test_it_takes_effect(run, model: Path, tmp_path: Path) -> None:
    config = tmp_path / "dlarewrite.yaml"
    config.write_text("json: true\ntarget: xavier-jp5\n")
    result = run("check", model, "--config", config)
    assert result.exit_code == 0
    assert '"name": "xavier-jp5"' in result.stdout


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("traget: orin-jp6", "optimize has no option 'traget'", "did you mean 'target'?"),
        ("zzzzzz: 1", "optimize has no option 'zzzzzz'", "keys: "),
        ("- a\n- b", "is not a mapping", ""),
        ("a: [", "is not YAML", ""),
        ("limit: many", "'many' is not a valid integer", "--help"),
        ("verify: sometimes", "'sometimes' is not one of", "--help"),
    ],
)
def test_what_is_wrong_with_a_file(run, tmp_path: Path, text: str, said: str, hint: str) -> None:
    config = tmp_path / "dlarewrite.yaml"
    config.write_text(text)
    result = run("optimize", "in.onnx", "out.onnx", "--config", config)
    assert result.exit_code == 2
    assert said in result.stderr and hint in result.stderr


def test_a_missing_file(run, tmp_path: Path) -> None:
    result = run("optimize", "in.onnx", "out.onnx", "--config", tmp_path / "none.yaml")
    assert result.exit_code == 2 and "cannot read config" in result.stderr


def test_a_file_beside_the_model_is_not_read(run, model: Path, monkeypatch) -> None:
    monkeypatch.chdir(model.parent)
    Path("dlarewrite.yaml").write_text("no-such-option: 1\n")
    assert run("check", model).exit_code == 0


def test_a_dump_reads_back(run, tmp_path: Path) -> None:
    words = [
        "--target",
        "orin-jp5",
        "--pass",
        "hard-sigmoid",
        "--skip",
        "a,b",
        "--shape",
        "x:0:1x2,y:3x4",
        "--batch",
        2,
    ]
    words += ["--allow", "lossy", "--io", "native", "--verify", "each", "--seed", 5, "--seed", 6, "--limit", 9]
    words += ["--atol", "boxes:1e-4", "--rtol", "1e-3", "--max-growth-macs", "50%", "--max-growth-bytes", "1KiB"]
    words += ["--print-after", "all", "--dump-each", "steps", "--keep-going", "--json", "--inputs", "data.npz"]
    first = run("optimize", *words, "--dump-config")
    assert first.exit_code == 0, first.stderr
    config = tmp_path / "again.yaml"
    config.write_text(first.stdout)
    second = run("optimize", "--config", config, "--dump-config")
    assert second.stdout == first.stdout
    assert yaml.safe_load(first.stdout)["shape"] == ["x:0:1x2", "y:3x4"]


def test_defaults_are_the_library_s() -> None:
    from dlarewrite.compiler import Options

    context = optimize.make_context("optimize", ["in.onnx", "out.onnx"])
    given = {k: v for k, v in context.params.items() if k not in ("model", "output", "as_json")}
    assert options.collect(Path("in.onnx"), given) == Options()


def test_every_option_reaches_the_library(tmp_path: Path) -> None:
    from dlarewrite.compiler import Options

    words = ["in.onnx", "out.onnx", "--target", "orin-jp5", "--precision", "int8", "--pass", "a,b", "--pass", "c"]
    words += ["--skip", "d", "--pipeline", "a,(b)*", "--allow", "lossy", "--shape", "x:1x2", "--batch", "2"]
    words += ["--io", "native", "--verify", "each", "--inputs", "d.npz", "--atol", "1e-4", "--rtol", "o:0:1e-3"]
    words += ["--seed", "7", "--limit", "9", "--keep-going", "--plugin", "p.py", "--print-after", "a,b"]
    words += ["--dump-each", "steps", "--max-growth-macs", "1.5", "--max-growth-bytes", "2MiB"]
    context = optimize.make_context("optimize", words)
    given = {k: v for k, v in context.params.items() if k not in ("model", "output", "as_json")}
    assert options.collect(Path("in.onnx"), given) == Options(
        target="orin-jp5",
        precision="int8",
        passes=("a", "b", "c"),
        skip=("d",),
        pipeline="a,(b)*",
        lossy=True,
        shapes={"x": (1, 2)},
        batch=2,
        native_io=True,
        verify="each",
        inputs=Path("d.npz"),
        atol=1e-4,
        rtol={"o:0": 1e-3},
        seeds=(7,),
        limit=9,
        keep_going=True,
        plugins=(Path("p.py"),),
        print_after=("a", "b"),
        dump_each=Path("steps"),
        max_growth_macs=1.5,
        max_growth_bytes=2 * 2**20,
    )

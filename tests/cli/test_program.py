"""The program around its commands: help, start-up time, errors, messages."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dlarewrite.cli import main as main_module
from dlarewrite.cli.main import COMMANDS, program
from dlarewrite.errors import GateError


def test_help_names_every_command(run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", result.stdout, re.MULTILINE)


@pytest.mark.parametrize("words", [[name] for name in COMMANDS] + [["new", "pass"]], ids=" ".join)
def test_each_command_has_help(run, words: list[str]) -> None:
    result = run(*words, "--help")
    assert result.exit_code == 0, result.stderr
    assert "Usage: dlarewrite " + " ".join(words) in result.stdout


def test_the_help_table_says_what_the_commands_say() -> None:
    context = click.Context(program)
    for name, entry in COMMANDS.items():
        command = program.get_command(context, name)
        assert command is not None and command.name == name
        if not isinstance(command, click.Group):
            assert command.short_help == entry.help


def test_help_imports_neither_onnx_nor_numpy_nor_rich() -> None:
    code = (
        "import sys\n"
        "from dlarewrite.cli.main import program\n"
        "program.main(['--help'], standalone_mode=False)\n"
        "heavy = {'onnx', 'numpy', 'onnxruntime', 'onnx_graphsurgeon', 'rich', 'yaml'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_version(run) -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert re.fullmatch(r"dlarewrite \d+\.\d+\.\d+\S*\n", result.stdout)


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["optimse"], "there is no command 'optimse'", "did you mean optimize?"),
        (["optimize"], "Missing argument 'MODEL'", "dlarewrite optimize --help"),
        (["check", "m.onnx", "--max-loadables", "many"], "'many' is not a valid integer", "dlarewrite check --help"),
        (["check", "m.onnx", "--no-such"], "--no-such", "dlarewrite check --help"),
        (["list", "nothing"], "'nothing' is not one of", "dlarewrite list --help"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_usage_errors_are_one_line_and_a_hint(run, words: list[str], said: str, hint: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    error, help_line = result.stderr.splitlines()
    assert error.startswith("[E] ") and said in error
    assert help_line.startswith("    hint: ") and hint in help_line


def test_an_internal_error_leaves_a_reproducer(run, model: Path, tmp_path: Path, monkeypatch) -> None:
    from dlarewrite import compiler

    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(compiler, "check", broken)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    result = run("check", model)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("[E] internal error (ZeroDivisionError)")
    report = Path(line.rpartition(" ")[2])
    text = report.read_text()
    assert f"dlarewrite check {model}" in text
    assert f"{model.resolve()}: {model.stat().st_size} bytes" in text
    assert "onnxruntime: " in text and "Traceback" in text and "a bug" in text


def test_the_library_s_errors_keep_their_exit_code(run, model: Path, monkeypatch) -> None:
    from dlarewrite import compiler

    def refuse(*args: object, **kwargs: object) -> None:
        raise GateError("first line\n  second line", hint="do this")

    monkeypatch.setattr(compiler, "check", refuse)
    result = run("check", model)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "[E] first line second line\n    hint: do this\n"


def test_interrupted(run, model: Path, monkeypatch) -> None:
    from dlarewrite import compiler

    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(compiler, "check", interrupt)
    result = run("check", model)
    assert result.exit_code == main_module._INTERRUPTED
    assert "Traceback" not in result.stderr


def test_a_closed_pipe_is_quiet() -> None:
    code = (
        "import os, sys\n"
        "from dlarewrite.cli.main import main\n"
        "sys.argv = ['dlarewrite', 'list', 'targets']\n"
        "read, write = os.pipe()\n"
        "os.close(read)\n"
        "os.dup2(write, 1)\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (main_module._BROKEN_PIPE, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "dlarewrite.cli", "list", "targets"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "[E] cannot write to stdout: No space left on device\n")


def test_verbosity(run, model: Path) -> None:
    quiet, normal, loud = run("check", model, "-q"), run("check", model), run("check", model, "-v")
    assert quiet.stdout == normal.stdout == loud.stdout
    assert quiet.stderr == ""
    assert "[V] check: judge" in loud.stderr and "[V]" not in normal.stderr


def test_log_file_holds_what_the_screen_does_not(run, model: Path, tmp_path: Path) -> None:
    result = run("check", model, "-q", "--log-file", tmp_path / "run.log")
    assert result.exit_code == 0 and result.stderr == ""
    assert re.search(r"^\d{4}-\d\d-\d\dT\S+ \[V\] check: judge$", (tmp_path / "run.log").read_text(), re.MULTILINE)


def test_log_file_in_a_missing_folder(run, model: Path, tmp_path: Path) -> None:
    result = run("check", model, "--log-file", tmp_path / "none" / "run.log")
    assert result.exit_code == 2
    assert "cannot write log file" in result.stderr


def test_library_warnings_show_with_vv_only(run, model: Path, monkeypatch) -> None:
    from dlarewrite import compiler

    original = compiler.check

    def noisy(*args: object, **kwargs: object) -> object:
        import logging
        import warnings

        logging.getLogger("some.library").warning("a %s record", "logged")
        warnings.warn("from a library", DeprecationWarning, stacklevel=1)
        print("from a plugin")  # noqa: T201
        return original(*args, **kwargs)

    monkeypatch.setattr(compiler, "check", noisy)
    normal, loud = run("check", model, "--json"), run("check", model, "--json", "-vv")
    assert "from a library" not in normal.stderr
    assert "[X] DeprecationWarning: from a library" in loud.stderr
    assert "[X] some.library: a logged record" in loud.stderr and "logged" not in normal.stderr
    assert normal.stdout == loud.stdout and "from a plugin" not in normal.stdout


def test_no_command_shows_the_help(run) -> None:
    result = run()
    assert result.stdout.startswith("Usage: dlarewrite")
    assert not result.stderr

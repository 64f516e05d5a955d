"""``dlarewrite explain``: a rule's page, or what a pasted TensorRT build log says and what to do about it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlarewrite.cli import options
from dlarewrite.cli.command import FILE, command, operand
from dlarewrite.cli.console import Console
from dlarewrite.cli.extensions import find_plugins
from dlarewrite.cli.output import width
from dlarewrite.cli.types import TargetType
from dlarewrite.errors import UsageError

if TYPE_CHECKING:
    from dlarewrite.explain import Comparison, Reading
    from dlarewrite.target import Profile, Rule

_STDIN = "-"


@command("explain", short_help="Explain a rule, or a pasted TensorRT build log.")
@operand("what")
@click.option("--onnx", "model", type=FILE, help="The model that the log is of: maps layers to nodes and compares.")
@click.option("--target", type=TargetType(), help="Default: what the log's TensorRT version and device say.")
@click.option("--precision", type=click.Choice(["fp16", "int8"]), help="Default: what the log says, else fp16.")
@options.shape
@options.plugin
@click.option("--json", "as_json", is_flag=True, help="Everything as one JSON document.")
def explain(
    what: Path,
    model: Path | None,
    target: str | None,
    precision: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Explain WHAT: a rule's id, or the file of a TensorRT build log ("-" for stdin).

    A log of any version is read: which layers left the DLA, by which rule, what cures it, how many loadables there are.
    """
    console = Console.current()
    rule = _rule(str(what))
    if rule is not None:
        if model is not None:
            raise UsageError("--onnx goes with a build log, not with a rule")
        console.product(_page(console, rule, as_json, given))
        return
    from dlarewrite.explain import choose, document, text
    from dlarewrite.explain import explain as put_together
    from dlarewrite.report.json_ import document_text
    from dlarewrite.target import load_target

    with console.working("explain") as tell:
        tell("read the log")
        reading = _read(what)
        if target is not None:
            profile, assumed = load_target(target).profile, ""
        else:
            profile, assumed = choose(reading.version, reading.device, reading.since, reading.until)
        comparison = None
        if model is not None:
            tell("judge the model")
            comparison = _compare(model, reading, profile, precision, given)
    found = put_together("stdin" if str(what) == _STDIN else str(what), reading, profile, assumed, comparison)
    console.product(document_text(document.to_dict(found)) if as_json else text.render(found))


def _rule(word: str) -> Rule | None:
    """The rule of that id; None for a log; raises :class:`UsageError` where it is neither."""
    from dlarewrite.target import rulebook

    try:
        return rulebook().get(word)
    except UsageError as error:
        if word == _STDIN or Path(word).exists():
            return None
        raise UsageError(f"{word!r} is neither a rule nor a file", hint=error.hint) from None


def _page(console: Console, rule: Rule, as_json: bool, given: dict[str, Any]) -> str:
    from dlarewrite.explain import page
    from dlarewrite.report.json_ import document_text

    if as_json:
        return document_text(page.to_dict(rule))
    registry = find_plugins(console, given.get("plugin") or ())
    known = {name: registry.find(name).summary() for name in rule.cures if name in registry.refs}
    return page.render(rule, width(), known)


def _read(what: Path) -> Reading:
    from dlarewrite.explain import Reader, open_log, read_lines

    if str(what) == _STDIN:
        return Reader().read(read_lines(sys.stdin.buffer, "stdin"))
    with open_log(what) as stream:
        return Reader().read(read_lines(stream, repr(str(what))))


def _compare(
    model: Path, reading: Reading, profile: Profile, precision: str | None, given: dict[str, Any]
) -> Comparison:
    from dlarewrite import compiler
    from dlarewrite.explain import compare

    if reading.shapes and not given.get("shape"):
        given = {**given, "logged": _logged_shapes(model, reading)}
    logged = given.pop("logged", None)
    chosen = options.collect(model, {**given, "target": profile.name, "precision": precision or reading.precision})
    changes = {"shapes": logged} if logged else {}
    return compare(reading, compiler.check(model, chosen, **changes))


def _logged_shapes(model: Path, reading: Reading) -> dict[str, tuple[int, ...]]:
    """The shapes that trtexec was given, as far as the model has such inputs and leaves them open."""
    from dlarewrite.analysis.shapes import dynamic_inputs
    from dlarewrite.ir.model import Model

    open_inputs = dynamic_inputs(Model.load(model))
    return {name: dims for name, dims in reading.shapes.items() if name in open_inputs}

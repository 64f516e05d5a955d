"""``dlarewrite probe``: ask a board about every rule, and keep what it says otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlarewrite.cli import options
from dlarewrite.cli.command import FILE, command
from dlarewrite.cli.console import Console
from dlarewrite.cli.output import width

if TYPE_CHECKING:
    from dlarewrite.build.probe import Answer, Question


@command("probe", short_help="Ask a board about every rule; write a correction file.")
@options.target
@click.option("-o", "--output", type=FILE, metavar="FILE.yaml", help="Write what the board says otherwise here.")
@click.option("--list", "only_list", is_flag=True, help="Show what would be asked; needs no board.")
def probe(target: str, precision: str, output: Path | None, only_list: bool) -> None:
    """Ask TensorRT's can_run_on_DLA about nodes at every rule's edges, and compare with the rule book.

    Runs on a board. The file that -o writes can be given as --target to every command, in place of the target it was
    probed for. Exit codes: 0 asked (differences or not), 1 failure, 2 usage, 5 TensorRT or a DLA is missing.
    """
    from dlarewrite.build import probe as asking
    from dlarewrite.errors import UsageError
    from dlarewrite.ir.exporter import atomic
    from dlarewrite.report.tables import table
    from dlarewrite.target import Precision, load_target

    console = Console.current()
    chosen = load_target(target, Precision(precision))
    if only_list:
        asked = asking.questions(chosen)
        console.info(f"{len(asked)} questions about {len({q.rule for q in asked})} rules of {chosen}")
        console.product(table(("Rule", "Node", "Layer", "Rule book"), [_row(q) for q in asked], width()))
        return
    if output is not None and output.suffix not in (".yaml", ".yml"):
        raise UsageError(f"correction file {str(output)!r} must end in .yaml", hint=f"-o {output.with_suffix('.yaml')}")
    if output is not None and not output.parent.is_dir():
        raise UsageError(f"output folder {str(output.parent)!r} does not exist", hint=f"mkdir -p {output.parent}")
    from dlarewrite.build.tensorrt import load_tensorrt

    trt = load_tensorrt()
    _check_release(console, str(trt.__version__), chosen.profile.version)
    with console.working("probe") as watch:
        answers = asking.probe(trt, chosen, watch)
    found = asking.corrections(chosen, str(trt.__version__), answers)
    if output is not None:
        with atomic(output) as file:
            file.write(found.dump().encode())
    differing = [a for a in answers if a.differs]
    summary = f"{len(answers)} questions to TensorRT {trt.__version__}: {len(differing)} answered otherwise"
    if differing:
        columns = ("Rule", "Node", "Layer", "Rule book", "Board")
        console.product(table(columns, [(*_row(a.question), _answer(a)) for a in differing], width()))
    console.product(summary if output is None else f"{summary}\nwrote {output}")


def _row(question: Question) -> tuple[str, str, str, str]:
    return question.rule, question.case, question.layer, question.expected


def _answer(answer: Answer) -> str:
    return "refused by the parser" if answer.observed == "refused" else answer.observed


def _check_release(console: Console, board: str, profile: Any) -> None:
    """A board of another release answers for itself, not for the target."""
    if board.split(".")[:2] != str(profile).split(".")[:2]:
        console.warn(f"the board has TensorRT {board}, the target {profile}: its answers hold for {board}")

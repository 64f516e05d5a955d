"""The program: its commands, and what every error becomes: one line, one hint, and an exit code that is API."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from dlarewrite import __version__
from dlarewrite.cli.console import Console, ReaderGone, complain
from dlarewrite.cli.lazy import Entry, LazyGroup
from dlarewrite.errors import DlarewriteError

_INTERRUPTED = 130
_BROKEN_PIPE = 141

COMMANDS = {
    "optimize": Entry("dlarewrite.cli.optimize:optimize", "Rewrite a model so that the DLA takes it; prove it equal."),
    "check": Entry("dlarewrite.cli.check:check", "Judge a model without changing it; gates for CI."),
    "plan": Entry("dlarewrite.cli.plan:plan", "Plan what of a model runs on the DLA, where and why."),
    "split": Entry("dlarewrite.cli.split:split", "Cut a model into what the DLA runs whole and what stands around it."),
    "run": Entry("dlarewrite.cli.run:run", "Run the parts that `split` wrote, and compare them with a model."),
    "build": Entry("dlarewrite.cli.build:build", "Build a TensorRT engine with the DLA regions placed."),
    "verify": Entry("dlarewrite.cli.verify:verify", "Prove a model equal to another, or an engine to its model."),
    "probe": Entry("dlarewrite.cli.probe:probe", "Ask a board about every rule; write a correction file."),
    "calibrate": Entry("dlarewrite.cli.calibrate:calibrate", "Find INT8 scales by running the model on data."),
    "emulate": Entry("dlarewrite.cli.emulate:emulate", "Show the error that INT8 with a table of scales makes."),
    "sparsity": Entry("dlarewrite.cli.sparsity:sparsity", "Say which convolutions could be 2:4 sparse on the DLA."),
    "scales": Entry(
        "dlarewrite.cli.scales:scales", "INT8 scales: show, convert, merge, carry, coverage, import, export."
    ),
    "diff": Entry("dlarewrite.cli.diff:diff", "Say what changed between two models, node by node, by pass."),
    "explain": Entry("dlarewrite.cli.explain:explain", "Explain a rule, or a pasted TensorRT build log."),
    "list": Entry("dlarewrite.cli.list_:list_", "List passes, targets, rules, support or plugins."),
    "new": Entry("dlarewrite.cli.new:new", "Start a new pass with its cases and test."),
}


class Program(LazyGroup):
    """The root group: whatever its commands raise ends as a line on stderr and the documented exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the program; exits with the code, or returns it where ``standalone_mode`` is False."""
        words = list(sys.argv[1:] if args is None else args)
        console = Console()
        try:
            with console.hushed():
                code = self._guarded(console, words, prog_name or "dlarewrite", complete_var, extra)
        finally:
            console.close()
        if standalone_mode:
            sys.exit(code)
        return code

    def _guarded(
        self, console: Console, words: list[str], prog_name: str, complete_var: str | None, extra: dict[str, Any]
    ) -> int:
        try:
            code = super().main(words, prog_name, complete_var, standalone_mode=False, obj=console, **extra)
            return code if isinstance(code, int) else 0
        except DlarewriteError as error:
            return complain(console, error)
        except click.ClickException as error:
            return _usage(console, error)
        except (click.Abort, KeyboardInterrupt):
            console.error("interrupted")
            return _INTERRUPTED
        except ReaderGone:
            return _BROKEN_PIPE
        except Exception as error:
            from dlarewrite.cli.reproducer import write

            path = write(error, words)
            console.error(f"internal error ({type(error).__name__}); what is needed to reproduce it: {path}")
            return 1


def _usage(console: Console, error: click.ClickException) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" and context is not None:  # click 8.2 and later raise it
        console.product(context.get_help())
        return error.exit_code
    command = context.command_path if context is not None else "dlarewrite"
    console.error(" ".join(error.format_message().split()), f"see `{command} --help`")
    return error.exit_code


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    ctx.ensure_object(Console).product(f"dlarewrite {__version__}")
    ctx.exit()


@click.group(
    cls=Program,
    entries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 failure, 2 usage, 3 gate not met, 4 verification mismatch, 5 environment missing.",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def program() -> None:
    """Rewrite ONNX graphs so that NVIDIA's DLA takes them, and prove that they compute the same."""


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    program.main()

"""How the program speaks: the product on stdout, all else as ``[I]``-like lines on stderr and in the log file."""

from __future__ import annotations

import contextlib
import datetime
import enum
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from dlarewrite.errors import DlarewriteError, UsageError

if TYPE_CHECKING:
    from rich.status import Status


class Level(enum.IntEnum):
    """How much is shown; the letters are Polygraphy's."""

    ERROR = 0
    INFO = 1
    VERBOSE = 2
    EXTRA = 3


class ReaderGone(Exception):  # noqa: N818 - a signal, not an error
    """Whoever read stdout has closed it, as ``head`` does."""


class Console:
    """One per run of the program. ``level`` rules stderr only: the log file gets every line."""

    def __init__(self) -> None:
        self.level = Level.INFO
        self._log: TextIO | None = None
        self._status: Status | None = None

    @staticmethod
    def current() -> Console:
        """The console of the command that runs now."""
        return click.get_current_context().ensure_object(Console)

    def open_log(self, path: Path) -> None:
        """Keep every line of this run in ``path`` as well; raises :class:`UsageError` where it cannot be written."""
        try:
            self._log = path.open("w", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise UsageError(f"cannot write log file {str(path)!r}: {error.strerror}") from error

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    def product(self, text: str) -> None:
        """What the user asked for, to stdout; raises :class:`ReaderGone` where nobody reads it any more."""
        try:
            sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
            sys.stdout.flush()
        except BrokenPipeError as error:
            _silence_stdout()
            raise ReaderGone from error
        except OSError as error:
            _silence_stdout()
            raise DlarewriteError(f"cannot write to stdout: {error.strerror}") from error

    def info(self, text: str) -> None:
        self._say("I", Level.INFO, text)

    def verbose(self, text: str) -> None:
        self._say("V", Level.VERBOSE, text)

    def extra(self, text: str) -> None:
        self._say("X", Level.EXTRA, text)

    def warn(self, text: str) -> None:
        self._say("W", Level.INFO, text)

    def error(self, text: str, hint: str = "") -> None:
        self._say("E", Level.ERROR, text)
        if hint:
            self._write(Level.ERROR, f"    hint: {hint}")

    def raw(self, text: str) -> None:
        """Text that was asked for beside the product (``--print-after``): to stderr, without a prefix."""
        self._write(Level.ERROR, text)

    def _say(self, prefix: str, level: Level, text: str) -> None:
        self._write(level, f"[{prefix}] {text}")

    def _write(self, level: Level, text: str) -> None:
        self._record(text)
        if level > self.level:
            return
        if self._status is not None:
            self._status.console.print(text, markup=False, highlight=False, soft_wrap=True)
            return
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    @contextlib.contextmanager
    def hushed(self) -> Iterator[None]:
        """Warnings and log records of libraries are shown with ``-vv`` only, and kept in the log file."""
        handler = _Records(self)
        logging.getLogger().addHandler(handler)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("default")
                warnings.showwarning = lambda message, category, *rest: self.extra(f"{category.__name__}: {message}")
                yield
        finally:
            logging.getLogger().removeHandler(handler)

    def _record(self, text: str) -> None:
        if self._log is not None:
            self._log.write(f"{datetime.datetime.now().isoformat(timespec='milliseconds')} {text}\n")
            self._log.flush()

    @contextlib.contextmanager
    def working(self, task: str) -> Iterator[Callable[[str], None]]:
        """Shows what goes on: a live line on a terminal, else plain lines with ``-v``; yields the teller.

        Whatever libraries and plugins print meanwhile goes to stderr, so that stdout carries the product alone.
        """
        with contextlib.redirect_stdout(sys.stderr):
            if self.level is not Level.INFO or not sys.stderr.isatty():
                yield lambda text: self.verbose(f"{task}: {text}")
                return
            yield from self._live(task)

    def _live(self, task: str) -> Iterator[Callable[[str], None]]:
        from rich.console import Console as Terminal

        with Terminal(stderr=True).status(f"{task} ...") as status:
            self._status = status

            def tell(text: str) -> None:
                self._record(f"[V] {task}: {text}")
                status.update(f"{task}: {text}")

            try:
                yield tell
            finally:
                self._status = None


class _Records(logging.Handler):
    """Brings the log records of libraries to the console."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.extra(f"{record.name}: {record.getMessage()}")


def _silence_stdout() -> None:
    """Let the interpreter flush into nothing, at exit, what can no longer be written."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(console: Console, error: DlarewriteError) -> int:
    """Say the error and its hint; returns the exit code."""
    console.error(" ".join(error.message.split()), " ".join(error.hint.split()))
    return error.exit_code

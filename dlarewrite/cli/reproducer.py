"""What an internal error leaves behind: a file with all that is needed to see it again."""

from __future__ import annotations

import shlex
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from dlarewrite.cli.versions import versions


def write(error: BaseException, words: Sequence[str]) -> Path:
    """Write the command line, the files it names, the versions and the traceback; returns the file's path."""
    lines = ["# dlarewrite met an internal error. This file says how to see it again.", ""]
    lines += ["[command]", f"cd {shlex.quote(str(Path.cwd()))}", shlex.join(["dlarewrite", *words]), ""]
    lines += ["[files]", *_files(words), ""]
    lines += ["[versions]", *(f"{name}: {text}" for name, text in versions().items()), ""]
    lines += ["[traceback]", "".join(traceback.format_exception(error)).rstrip()]
    path = Path(tempfile.mkdtemp(prefix="dlarewrite-crash-")) / "report.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="backslashreplace")
    return path


def _files(words: Sequence[str]) -> list[str]:
    """Every word of the command line that is a file, with its size in bytes."""
    paths = [Path(word) for word in words if word and not word.startswith("-")]
    return [f"{path.resolve()}: {path.stat().st_size} bytes" for path in paths if path.is_file()]

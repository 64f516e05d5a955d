"""Where the result goes: everything that can be wrong with the place is said before the work starts."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from dlarewrite.errors import UsageError

_PIPED_WIDTH = 120


def check_paths(source: Path, output: Path) -> None:
    """Raise :class:`UsageError` where ``output`` cannot be written, or is the model itself by any name."""
    if not source.exists():
        raise UsageError(f"model file {str(source)!r} does not exist")
    if output.is_dir():
        raise UsageError(f"output {str(output)!r} is a folder", hint=f"write {str(output / source.name)!r}")
    with contextlib.suppress(OSError):
        if output.exists() and source.samefile(output):
            raise UsageError(f"output {str(output)!r} is the input model", hint="write to another file")
    folder = output.parent
    if not folder.is_dir():
        raise UsageError(f"output folder {str(folder)!r} does not exist", hint=f"mkdir -p {folder}")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(
            f"cannot write into {str(folder)!r}: {error.strerror}", hint="choose a writable folder"
        ) from error
    if output.exists() and not os.access(output, os.W_OK):
        raise UsageError(f"output {str(output)!r} is write-protected")
    _check_weights(source, output.with_name(f"{output.name}.data"))


def _check_weights(source: Path, data: Path) -> None:
    """The file that the weights of a large result go to must not be the one that the model's own weights are in."""
    if not data.exists():
        return
    import onnx

    try:
        tensors = onnx.load(str(source), load_external_data=False).graph.initializer
    except Exception:
        return  # what is wrong with the model is said where it is loaded
    places = {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}
    for place in places:
        with contextlib.suppress(OSError):
            if data.samefile(source.parent / place):
                raise UsageError(
                    f"{str(data)!r} holds the weights of the input model", hint="choose another output name"
                )


def width() -> int:
    """Columns of the terminal; a fixed number where stdout is none, so that files and pipes always look the same."""
    return shutil.get_terminal_size((_PIPED_WIDTH, 24)).columns if sys.stdout.isatty() else _PIPED_WIDTH

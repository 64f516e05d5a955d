"""What a log says about the build itself: TensorRT's version, the device, the command line and how it ended."""

from __future__ import annotations

import re

from dlarewrite.explain.pattern import Version
from dlarewrite.explain.versions import version_in

_LONGEST = 4096
_SHAPES = re.compile(r"--(?:shapes|optShapes|minShapes)=(\S+)")
_SHAPE = re.compile(r"([^\s,]+?):(\d+(?:x\d+)*)(?:,|$)")


class Circumstances:
    """Filled line by line; what is said first counts, but for the outcome."""

    def __init__(self) -> None:
        self.version: Version = ()
        self.device = self.command = self.precision = self.outcome = ""
        self.shapes: dict[str, tuple[int, ...]] = {}

    def read(self, text: str) -> None:
        """Take in one line."""
        self.version = self.version or version_in(text)
        if text.startswith("Selected Device:"):
            self.device = self.device or text.partition(":")[2].strip()
        elif text.startswith("Precision:"):
            self.precision = "int8" if "INT8" in text else self.precision or "fp16"
        elif "&&&&" in text:
            self._banner(text)

    def _banner(self, text: str) -> None:
        if "FAILED" in text or "PASSED" in text:
            self.outcome = "failed" if "FAILED" in text else "passed"
        command = text.partition(" # ")[2].strip()
        if not command or self.command:
            return
        self.command = command[:_LONGEST]
        if "--int8" in command or "--best" in command:
            self.precision = "int8"
        for word in _SHAPES.findall(self.command):
            for name, dims in _SHAPE.findall(word):
                self.shapes.setdefault(name.strip("'\""), tuple(int(d) for d in dims.split("x")))

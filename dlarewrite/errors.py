"""The exceptions dlarewrite raises on purpose; each class knows its exit code, which is API.

0 ok, 1 failure, 2 usage, 3 gate not met, 4 verification mismatch, 5 environment missing.
"""

from __future__ import annotations


class DlarewriteError(Exception):
    """Something went wrong that one sentence explains and, if ``hint`` is given, one more mends."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ModelError(DlarewriteError):
    """The model cannot be read, is malformed, or holds what the request cannot work on."""


class EditError(DlarewriteError):
    """An edit would break the graph: another dtype or shape, a cycle, a tensor with two producers."""


class PassError(DlarewriteError):
    """A pass raised; the message names the pass and the node, the cause is chained."""


class PluginError(DlarewriteError):
    """A pass plugin could not be loaded, or two providers claim one name."""


class UsageError(DlarewriteError):
    """The request itself is wrong: an unknown name, a missing shape, an output that equals the input."""

    exit_code = 2


class GateError(DlarewriteError):
    """The model was judged, and does not meet what the caller demanded."""

    exit_code = 3


class MismatchError(DlarewriteError):
    """The rewritten model's outputs differ from the original's beyond the declared numerics."""

    exit_code = 4


class EnvironmentMissing(DlarewriteError):  # noqa: N818 - the name states the condition, not an error class
    """What was asked for needs something this machine lacks, such as TensorRT or a DLA."""

    exit_code = 5

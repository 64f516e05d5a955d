"""What a build on a board raises."""

from __future__ import annotations

from dlarewrite.errors import DlarewriteError


class BuildError(DlarewriteError):
    """TensorRT refused the network or could not build it; the message carries TensorRT's own words."""

"""The search for the rewrite that is to blame for a proof that fails."""

from __future__ import annotations

from collections.abc import Callable

from dlarewrite.compiler.watch import Watch, tell
from dlarewrite.ir.model import Model
from dlarewrite.rewrite.manager import RewriteLog


def find_culprit(
    count: int,
    rewrite: Callable[[int], tuple[Model, RewriteLog]],
    equal: Callable[[Model, RewriteLog], bool],
    watch: Watch | None = None,
) -> str | None:
    """The pass whose rewrite is the first after which the outputs differ; about log2(count) proofs.

    ``rewrite`` makes the first so many of the ``count`` rewrites, ``equal`` proves what comes of it. None where even
    the untouched model does not prove equal to itself.
    """
    if not equal(*rewrite(0)):
        return None
    low, high, culprit = 0, count, None
    while low < high:
        middle = (low + high) // 2
        model, log = rewrite(middle + 1)
        tell(watch, f"bisect {len(log.changes)}")
        if equal(model, log):
            low = middle + 1
        else:
            high = middle
            culprit = log.changes[min(middle, len(log.changes) - 1)].by
    return culprit

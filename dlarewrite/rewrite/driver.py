"""Runs one pass to its own fixpoint with a worklist, and holds it to the laws.

Law 1: a LEGALISE rewrite stays only if less is refused afterwards: fewer MACs off the DLA or, at equal MACs, fewer
refused nodes among those it replaced, made or stands beside. Law 4: added cost is charged to a budget.
What breaks a law is undone and reported as a :class:`Refusal`, never silence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import onnx_graphsurgeon as gs

from dlarewrite.analysis.cost import macs, weight_bytes
from dlarewrite.errors import DlarewriteError, EditError, PassError
from dlarewrite.ir.editor import Editor, Group
from dlarewrite.ir.view import is_op, label
from dlarewrite.rewrite.context import Budget, Context
from dlarewrite.rewrite.pass_ import AnyPass, GraphPass, Match, Pass, Phase, Refusal
from dlarewrite.target import Verdict

_WEIGHT = {Verdict.GPU: 2, Verdict.UNKNOWN: 2, Verdict.UNCERTAIN: 1}
_ROUNDS_PER_NODE = 20


@dataclass
class Outcome:
    """What one run of one pass did."""

    pass_: AnyPass
    fired: int = 0
    refusals: list[Refusal] = field(default_factory=list)


class LimitReached(Exception):  # noqa: N818 - a signal, not an error
    """The number of rewrites that the user allowed is used up."""


class _Undone(Exception):  # noqa: N818
    """Rolls the open group back and carries the reason."""


def run_pass(pass_: AnyPass, context: Context, edit: Editor, budget: Budget) -> Outcome:
    """Run ``pass_`` once over the model; raises :class:`PassError` if it raises."""
    if isinstance(pass_, GraphPass):
        return _run_graph_pass(pass_, context, edit)
    if isinstance(pass_, Pass):
        return _run_rewrites(pass_, context, edit, budget)
    raise PassError(f"pass {pass_.name!r} is neither a Pass nor a GraphPass")


def _run_graph_pass(pass_: GraphPass, context: Context, edit: Editor) -> Outcome:
    before = len(edit.changes)
    if context.settings.limit is not None and before >= context.settings.limit:
        raise LimitReached
    try:
        refusals = pass_.run(context, edit)
    except DlarewriteError:
        raise
    except Exception as error:
        raise PassError(f"pass {pass_.name!r} raised {type(error).__name__}: {error}") from error
    if len(edit.changes) > before:
        context.forget_all()
    return Outcome(pass_, len(edit.changes) - before, list(refusals))


def _run_rewrites(pass_: Pass[Any], context: Context, edit: Editor, budget: Budget) -> Outcome:
    outcome = Outcome(pass_)
    context.budget = budget if pass_.phase is Phase.LEGALISE else None
    refused: dict[int, Refusal] = {}
    queue = deque(context.model.standard(*pass_.anchors))
    waiting = {id(n) for n in queue}
    fuel = _ROUNDS_PER_NODE * len(context.model) + 1000
    while queue:
        node = queue.popleft()
        waiting.discard(id(node))
        if node not in context.model:
            continue
        fuel -= 1
        if fuel < 0:
            raise PassError(f"pass {pass_.name!r} does not settle; it was last at node {label(node)!r}")
        refused.pop(id(node), None)
        found = _guarded(pass_, node, context)
        if found is None or _is_native(pass_, found, context):
            continue
        if isinstance(found, Refusal):
            refused[id(node)] = found
            continue
        if (pass_.name, label(node)) in context.settings.declined:
            refused[id(node)] = Refusal("it would only make an island that is not worth a loadable", found.nodes)
            continue
        if pass_.phase is Phase.LEGALISE and label(node) in context.settings.left:
            refused[id(node)] = Refusal("the plan leaves it to the GPU", found.nodes)
            continue
        if context.settings.limit is not None and len(edit.changes) >= context.settings.limit:
            raise LimitReached
        result = _attempt(pass_, node, found, context, edit, budget)
        if isinstance(result, Refusal):
            refused[id(node)] = result
            continue
        outcome.fired += 1
        for fresh in (*result.added.values(), *result.touched.values()):
            if fresh in context.model and id(fresh) not in waiting and is_op(fresh, *pass_.anchors):
                queue.append(fresh)
                waiting.add(id(fresh))
    outcome.refusals = [r for r in refused.values() if all(n in context.model for n in r.nodes)]
    return outcome


def _guarded(pass_: Pass[Any], node: gs.Node, context: Context) -> Match[Any] | Refusal | None:
    try:
        return pass_.match(node, context)
    except Exception as error:
        raise PassError(
            f"pass {pass_.name!r} raised {type(error).__name__} at node {label(node)!r} ({node.op}): {error}",
            hint=f"run again with --skip {pass_.name}",
        ) from error


def _is_native(pass_: Pass[Any], found: Match[Any] | Refusal, context: Context) -> bool:
    """Whether the target takes all nodes concerned as they are, so that a legalising pass has no business there."""
    return pass_.phase is Phase.LEGALISE and all(context.is_native(n) for n in found.nodes)


def _attempt(
    pass_: Pass[Any], node: gs.Node, found: Match[Any], context: Context, edit: Editor, budget: Budget
) -> Group | Refusal:
    before = {id(n): _refused_work(n, context) for n in found.nodes}
    old_macs, old_bytes = sum(map(macs, found.nodes)), sum(map(weight_bytes, found.nodes))
    group: Group | None = None
    charge = Budget(0, 0, 0)
    try:
        with edit.rewrite(pass_.name, node, found.detail) as group:
            pass_.apply(found, edit)
            edit.sweep(found.nodes)
            if not group.edits:
                raise _Undone("it changed nothing")
            added = group.added.values()
            charge = Budget(
                sum(map(macs, added)) - old_macs,
                sum(map(weight_bytes, added)) - old_bytes,
                len(added) - len(group.removed),
            )
            if pass_.phase is Phase.LEGALISE:
                _check_gain(group, before, context)
                _check_budget(charge, budget)
    except (_Undone, EditError) as reason:
        if group is not None:
            context.forget(group)
        return Refusal(str(reason), found.nodes)
    except DlarewriteError:
        raise
    except Exception as error:
        raise PassError(
            f"pass {pass_.name!r} raised {type(error).__name__} while rewriting {label(node)!r} ({node.op}): {error}",
            hint=f"run again with --skip {pass_.name}",
        ) from error
    context.settle(group)
    if pass_.phase is Phase.LEGALISE:
        budget.macs -= max(charge.macs, 0)
        budget.bytes -= max(charge.bytes, 0)
        budget.layers -= max(charge.layers, 0)
    return group


def _refused_work(node: gs.Node, context: Context) -> tuple[int, int]:
    """(MACs off the DLA, weight of the verdict) of one node."""
    weight = _WEIGHT.get(context.verdict(node).verdict, 0)
    return (macs(node) if weight else 0, weight)


def _check_gain(group: Group, before: dict[int, tuple[int, int]], context: Context) -> None:
    """Law 1 over replaced, made and neighbouring nodes; raises :class:`_Undone` where nothing is gained."""
    beside = [n for n in group.touched.values() if n in context.model and id(n) not in group.added]
    old = list(before.values())
    for node in beside:
        known = context.known_verdict(node)
        if id(node) not in before and known is not None:
            weight = _WEIGHT.get(known.verdict, 0)
            old.append((macs(node) if weight else 0, weight))
    counted = [n for n in beside if id(n) in before or context.known_verdict(n) is not None]
    context.forget(group)
    made = list(group.added.values())
    new = [_refused_work(n, context) for n in (*made, *counted)]
    if _total(new) < _total(old):
        return
    culprits = [n for n in (*made, *counted) if not context.is_native(n)]
    if not culprits:
        raise _Undone("it would change nothing that the target refuses")
    reasons = context.verdict(culprits[0]).findings
    why = f": {reasons[0].message}" if reasons else ""
    raise _Undone(f"it would leave {label(culprits[0])} ({culprits[0].op}) off the DLA{why}")


def _total(work: Iterable[tuple[int, int]]) -> tuple[int, int]:
    pairs = list(work)
    return sum(p[0] for p in pairs), sum(p[1] for p in pairs)


def _check_budget(charge: Budget, budget: Budget) -> None:
    pairs = (
        (charge.macs, budget.macs, "MACs", "--max-growth-macs"),
        (charge.bytes, budget.bytes, "bytes of weights", "--max-growth-bytes"),
        (charge.layers, budget.layers, "layers", "--max-growth-layers"),
    )
    for more, left, what, option in pairs:
        if more > max(left, 0):
            raise _Undone(f"it would add {more:,} {what}; {max(left, 0):,} are left of the growth budget ({option})")

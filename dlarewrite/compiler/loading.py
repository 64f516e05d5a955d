"""From a source to a model that can be judged: loaded, shapes frozen and inferred."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dlarewrite.analysis.shapes import dynamic_inputs
from dlarewrite.catalogue import Registry, discover
from dlarewrite.compiler.options import Options
from dlarewrite.errors import UsageError
from dlarewrite.ir.model import Model
from dlarewrite.rewrite.context import Context
from dlarewrite.rewrite.manager import PassManager
from dlarewrite.rewrite.pass_ import Phase
from dlarewrite.rewrite.spec import create
from dlarewrite.target import Judgement, Target, judge_graph


def load_frozen(source: Any, options: Options) -> tuple[Model, Target]:
    """A model with its shapes frozen and inferred as the options ask, ready to be judged, and the target."""
    target = options.load_target()
    model = Model.load(source)
    freeze_shapes(model, target, options, discover(options.plugins))
    return model, target


def load_static(source: Any, options: Options) -> tuple[Model, Target]:
    """The same, with every input's dims known; raises UsageError that names those that are not."""
    model, target = load_frozen(source, options)
    demand_static(model)
    return model, target


def freeze_shapes(model: Model, target: Target, options: Options, registry: Registry) -> None:
    """Freeze and infer shapes, which every judgement needs; nothing else is changed."""
    settings = replace(options.settings(), limit=None)
    freeze = create(registry.find("freeze-shapes"))
    if freeze.phase is not Phase.PREPARE:
        raise UsageError("pass 'freeze-shapes' was replaced by one that does not run first")
    PassManager([freeze]).run(Context(model, target, settings))


def demand_static(model: Model) -> None:
    """Raise :class:`UsageError` that names the inputs whose dims are not all known."""
    dynamic = dynamic_inputs(model)
    if not dynamic:
        return
    name, dims = next(iter(dynamic.items()))
    example = "x".join(str(d) if isinstance(d, int) else "1" for d in dims)
    listed = ", ".join(f"{n} {list(d)}" for n, d in dynamic.items())
    raise UsageError(
        f"the DLA needs static shapes; dynamic inputs: {listed}",
        hint=f"give the dims, e.g. --shape {name}:{example}, or --batch N where only the first is open",
    )


def judge_model(model: Model, target: Target) -> Judgement:
    """The target's verdicts on a whole model."""
    return judge_graph(model.nodes, model.inputs, model.outputs, target, model.opset)

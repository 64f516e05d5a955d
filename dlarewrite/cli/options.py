"""The options that several commands share, in groups, and how they become :class:`dlarewrite.compiler.Options`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dlarewrite.cli import shapes
from dlarewrite.cli.command import FILE
from dlarewrite.cli.types import Bound, BoundType, PassType, ShareType, SizeType, TargetType
from dlarewrite.errors import UsageError

if TYPE_CHECKING:
    from dlarewrite.compiler import Options

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]

as_json: Decorator[Any] = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
only_target: Decorator[Any] = click.option(
    "--target", type=TargetType(), default="orin-jp6", show_default=True, help="See `dlarewrite list targets`."
)


def dims(text: str) -> Decorator[Any]:
    """``--shape`` alone, with this help."""
    return click.option(
        "--shape",
        "--input-shapes",
        "shape",
        type=shapes.ShapeType(),
        multiple=True,
        metavar="NAME:1x3x640x640",
        help=text,
    )


_TARGET = (
    only_target,
    click.option("--precision", type=click.Choice(["fp16", "int8"]), default="fp16", show_default=True),
)
_SHAPES = (
    dims("Freeze an input's dims; also NAME:1,3,640,640 and NAME:[1,3,640,640]. Repeatable."),
    click.option("--batch", type=click.IntRange(min=1), help="Size of the leading dim where it is symbolic."),
)
_MACHINE = (
    click.option(
        "--module",
        metavar="NAME",
        help="The module whose clocks count: agx-orin-64, agx-orin-32, orin-nx-16, orin-nx-8, drive-orin, agx-xavier, "
        "xavier-nx.  [default: the target's]",
    ),
    click.option("--power-mode", metavar="NAME", help="Its power mode, such as 30W.  [default: the fastest]"),
    click.option(
        "--profile",
        type=FILE,
        metavar="layers.json",
        help="Measured layer times, as trtexec --exportProfile writes them.",
    ),
    click.option(
        "--layer-info",
        type=FILE,
        metavar="info.json",
        help="With --profile: what the layers hold, as trtexec --exportLayerInfo writes it.",
    ),
)
_PLUGIN = (click.option("--plugin", type=FILE, multiple=True, help="Load passes from a Python file. Repeatable."),)
_PASSES = (
    click.option("--pass", "only", type=PassType(), multiple=True, help="Run only these passes. Repeatable."),
    click.option("--skip", type=PassType(), multiple=True, help="Leave these passes out. Repeatable."),
    click.option("--pipeline", default="", metavar="TEXT", help='Such as "fold-batchnorm,(resize-mode,deconv-pads)*".'),
    click.option("--allow", type=click.Choice(["lossy"]), multiple=True, help="Allow passes that change the function."),
    click.option(
        "--io",
        type=click.Choice(["keep", "native"]),
        default="keep",
        show_default=True,
        help="native: graph inputs and outputs may change rank and type.",
    ),
    click.option(
        "--minimal/--everything",
        "minimal",
        default=True,
        show_default=True,
        help="Keep only rewrites that are worth their regions, or all that the DLA takes.",
    ),
    click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Stop after N rewrites (to find a bad one)."),
    click.option(
        "--max-growth-macs", type=ShareType(1000.0), default="50%", show_default=True, help="MACs rewrites may add."
    ),
    click.option(
        "--max-growth-bytes", type=SizeType(), default="128MiB", show_default=True, help="Weights rewrites may add."
    ),
    click.option(
        "--max-growth-layers",
        type=click.IntRange(min=0),
        metavar="N",
        help="Layers rewrites may add.  [default: 1000 and 8 for each node]",
    ),
    click.option(
        "--print-after", type=PassType(), multiple=True, help='Print the graph after this pass, or "all". Repeatable.'
    ),
    click.option("--dump-each", type=FILE, metavar="DIR", help="Save the model after each pass that changed it."),
)
_COMPARISON = (
    click.option("--seed", type=click.IntRange(min=0), multiple=True, default=(0, 1, 2), show_default=True),
    click.option("--atol", type=BoundType(), multiple=True, metavar="[OUTPUT:]X", help="Absolute tolerance."),
    click.option("--rtol", type=BoundType(), multiple=True, metavar="[OUTPUT:]X", help="Share of max|reference|."),
)
_VERIFY = (
    click.option(
        "--verify",
        type=click.Choice(["off", "end", "each"]),
        default="end",
        show_default=True,
        help="Prove the result equal in onnxruntime: never, at the end, or after each pass.",
    ),
    click.option("--no-verify", is_flag=True, help="The same as --verify off."),
    click.option("--inputs", type=FILE, metavar="data.npz", help="Prove on these inputs instead of drawn ones."),
    *_COMPARISON,
    click.option("--keep-going", is_flag=True, help="On a mismatch, write the model without the pass to blame."),
)


def group(options: Sequence[Decorator[Any]]) -> Decorator[F]:
    """Several options as one decorator, in the order in which the help shows them."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


target: Decorator[Any] = group(_TARGET)
shape: Decorator[Any] = group(_SHAPES)
machine: Decorator[Any] = group(_MACHINE)
plugin: Decorator[Any] = group(_PLUGIN)
passes: Decorator[Any] = group((*_PASSES, *_PLUGIN))
comparison: Decorator[Any] = group(_COMPARISON)
verify: Decorator[Any] = group(_VERIFY)


def collect(model: Path, given: Mapping[str, Any]) -> Options:
    """The run's options from what click parsed; groups that a command lacks keep their defaults."""
    from dlarewrite.compiler import Options

    given = {name: value for name, value in given.items() if value is not None}
    known: dict[str, Any] = {}
    for name in (
        "target",
        "precision",
        "batch",
        "pipeline",
        "limit",
        "inputs",
        "dump_each",
        "keep_going",
        "verify",
        "plan",
    ):
        if name in given:
            known[name] = given[name]
    for name, option in (("passes", "only"), ("skip", "skip")):
        if option in given:
            known[name] = names(given[option])
    if given.get("no_verify"):
        known["verify"] = "off"
    if "plugin" in given:
        known["plugins"] = tuple(given["plugin"])
    if given.get("shape"):
        known["shapes"] = shapes.resolve((s for group in given["shape"] for s in group), model)
    if given.get("seed"):
        known["seeds"] = tuple(given["seed"])
    if given.get("print_after"):
        known["print_after"] = _print_after(names(given["print_after"]))
    if "max_growth_macs" in given:
        known["max_growth_macs"] = given["max_growth_macs"].value
        known["max_growth_bytes"] = given["max_growth_bytes"]
        known["max_growth_layers"] = given.get("max_growth_layers")
    known["everything"] = not given.get("minimal", True)
    known["lossy"] = "lossy" in given.get("allow", ())
    known["native_io"] = given.get("io") == "native"
    known["atol"], known["rtol"] = tolerance("atol", given.get("atol", ())), tolerance("rtol", given.get("rtol", ()))
    return Options(**known)


def names(words: Sequence[str]) -> tuple[str, ...]:
    """Names from repeated options, each with commas between or not."""
    return tuple(name for word in words for name in (part.strip() for part in word.split(",")) if name)


def _print_after(chosen: tuple[str, ...]) -> tuple[str, ...]:
    return () if "all" in chosen else chosen


def tolerance(option: str, bounds: Sequence[Bound]) -> float | dict[str, float] | None:
    """One number for all outputs, or a number per output; raises :class:`UsageError` where both are given."""
    if not bounds:
        return None
    if len(bounds) == 1 and not bounds[0].output:
        return bounds[0].value
    if any(not bound.output for bound in bounds):
        raise UsageError(f"--{option} is given for all outputs and for single ones", hint=f"write --{option} OUTPUT:X")
    return {bound.output: bound.value for bound in bounds}

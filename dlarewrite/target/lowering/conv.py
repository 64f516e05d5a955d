"""Convolution, deconvolution and pooling."""

from __future__ import annotations

from dlarewrite.ir.view import shape, window
from dlarewrite.target.facts import Layer, NodeView, WindowFacts


def _window(view: NodeView, *, channels: int, maps: int, constant: bool, exclusive: bool = False) -> WindowFacts | None:
    found = window(view.node)
    if found is None:
        return None
    data = view.xs
    return WindowFacts(
        view,
        found.kernel,
        found.strides,
        found.dilations,
        found.begin,
        found.end,
        found.group,
        channels,
        maps,
        data[-1] if data else 0,
        constant,
        found.output_padding,
        found.ceil_mode,
        exclusive,
    )


def convolution(view: NodeView) -> tuple[Layer, ...]:
    """Conv is a Convolution; a 1-D one stands between Shuffles to two spatial dimensions and back."""
    weights = view.input(1)
    form = shape(weights)
    group = int(view.attr("group", 1))
    channels, maps = (form[1] * group, form[0]) if form else (-1, -1)
    facts = _window(view, channels=channels, maps=maps, constant=_constant(view))
    layer = Layer("Convolution", facts)
    if form is not None and len(form) == 3:
        return (layer, Layer("Shuffle.FLATTEN", None))
    return (layer,)


def deconvolution(view: NodeView) -> tuple[Layer, ...]:
    """ConvTranspose is a Deconvolution."""
    form = shape(view.input(1))
    group = int(view.attr("group", 1))
    channels, maps = (form[0], form[1] * group) if form else (-1, -1)
    return (Layer("Deconvolution", _window(view, channels=channels, maps=maps, constant=_constant(view))),)


def _constant(view: NodeView) -> bool:
    bias = view.input(2)
    return view.const.tensor(view.input(1)) and (bias is None or view.const.tensor(bias))


def max_pool(view: NodeView) -> tuple[Layer, ...]:
    """MaxPool is a Pooling of type MAX."""
    return (Layer("Pooling.MAX", _pool(view, exclusive=False)),)


def average_pool(view: NodeView) -> tuple[Layer, ...]:
    """AveragePool is a Pooling of type AVERAGE; count_include_pad = 0 sets exclusive counting, pads or not."""
    facts = _pool(view, exclusive=not view.attr("count_include_pad", 0))
    if facts is not None and facts.exclusive and (any(facts.begin) or any(facts.end)):
        return (Layer("Pooling.AVERAGE_EXCLUSIVE", facts),)
    return (Layer("Pooling.AVERAGE", facts),)


def _pool(view: NodeView, *, exclusive: bool) -> WindowFacts | None:
    channels = view.xs[1] if view.xs and len(view.xs) > 1 else -1
    return _window(view, channels=channels, maps=channels, constant=True, exclusive=exclusive)

"""The fit of the cost model's parameters to published times; ``benchmarks.cost_model`` prints what comes of it."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from benchmarks.published import BOARD_WATTS, NETWORKS, ON_GPU, PER_JOULE, POINTS, Point
from dlarewrite.partition.cost import CostModel, Device
from dlarewrite.partition.parameters import Parameters, described, fitted_names, shipped
from dlarewrite.partition.work import Work, of_node
from dlarewrite.target import Precision, load_target
from models import BUILDERS

PRIOR_WEIGHT = 0.1
"""A parameter ten times off its prior costs as much as one point 26 % off: enough where the data says nothing."""

SCALE = 0.1
"""Errors beyond this count linearly, not squared, so that one odd figure does not bend the rest."""

ATOMS = (16, 32, 64, 128)
DIGITS = 4


@functools.cache
def graph(network: str, images: int) -> gs.Graph:
    """The network with its batch, without the values of its weights."""
    name, options = NETWORKS[network]
    made = gs.import_onnx(BUILDERS[name](seed=None, **options))
    for tensor in made.tensors().values() if images > 1 else ():
        if isinstance(tensor, gs.Variable) and tensor.shape and tensor.shape[0] == 1:
            tensor.shape = [images, *tensor.shape[1:]]
    return made


@functools.cache
def works(point: Point) -> tuple[tuple[Work, Device], ...]:
    """What the point's time is made of."""
    left_out = ON_GPU.get(point.network, ()) if point.device is Device.DLA else ()
    found = []
    for node in graph(point.network, point.images).nodes:
        device = Device.GPU if node.op in point.gpu_operators else point.device
        work = of_node(node, dla=device is Device.DLA)
        if node.op not in left_out and not work.free:
            found.append((work, device))
    return tuple(found)


@functools.cache
def base(point: Point) -> CostModel:
    """The model of the point's machine with the shipped parameters."""
    target = load_target(point.target, point.precision)
    return CostModel.load(target, module=point.module, mode=point.mode, sparse=point.sparse)


def predict(point: Point, parameters: Parameters) -> float:
    """Seconds of one batch."""
    model = replace(base(point), parameters=parameters)
    layers = sum(model.seconds(work, device) for work, device in works(point))
    handed = sum(model.crossing(nbytes, to).seconds for nbytes, to in point.handed)
    return layers + handed + point.loadables * model.loadable().seconds


def fit(points: Sequence[Point], names: Sequence[str], given: Parameters) -> Parameters:
    """The parameters ``names`` that predict ``points`` best, the others as given; search is in logarithms."""
    from scipy.optimize import least_squares

    entries = [described()[name] for name in names]
    prior = np.log([entry["prior"] for entry in entries])
    bounds = np.log([entry["range"] for entry in entries]).T

    def residuals(x: Any) -> list[float]:
        trial = _with(given, names, np.exp(x))
        errors = [point.weight * math.log(predict(point, trial) / point.seconds) for point in points]
        return [*errors, *(PRIOR_WEIGHT * (x - prior))]

    start = np.clip(prior, bounds[0] + 1e-6, bounds[1] - 1e-6)
    found = least_squares(residuals, start, bounds=tuple(bounds), loss="soft_l1", f_scale=SCALE).x
    return _with(given, names, [f"{value:.{DIGITS}g}" for value in np.exp(found)])


def _with(given: Parameters, names: Sequence[str], values: Sequence[Any]) -> Parameters:
    changed: dict[str, Any] = {name: float(value) for name, value in zip(names, values, strict=True)}
    return replace(given, **changed)


def fit_all(points: Sequence[Point]) -> Parameters:
    """The GPU's parameters from its points, then the rest: DLA points hold few GPU layers, GPU points no DLA ones."""
    gpu = [name for name in fitted_names() if name.startswith("gpu")]
    dla = [name for name in fitted_names() if not name.startswith("gpu")]
    on_gpu = fit([p for p in points if p.device is Device.GPU], gpu, shipped())
    return fit([p for p in points if p.device is Device.DLA], dla, on_gpu)


def with_watts(parameters: Parameters) -> Parameters:
    """The parameters with the watts that agree with the board's reading and, on geometric mean, with both ratios."""
    ratio = parameters.orin_gpu_watts / parameters.orin_dla_watts
    off = [math.log(published / predicted) for published, predicted in per_joule(parameters).values()]
    ratio *= math.exp(statistics.mean(off))
    dla = BOARD_WATTS / (ratio - 1)
    return replace(parameters, orin_dla_watts=round(dla, 2), orin_gpu_watts=round(dla + BOARD_WATTS, 2))


def per_joule(parameters: Parameters) -> dict[str, tuple[float, float]]:
    """Images per joule of one DLA core over those of the GPU: published, predicted. The GPU runs dense weights."""
    found = {}
    for network, mode, sparse, published in PER_JOULE:
        place = ("orin-jp5", "agx-orin-64", mode, Precision.INT8)
        spent = {}
        for device in Device:
            point = Point(network, "", *place, device, 1.0, "", sparse=sparse)
            spent[device] = predict(point, parameters) * replace(base(point), parameters=parameters).watts(device)
        found[f"{network}, {mode}"] = published, spent[Device.GPU] / spent[Device.DLA]
    return found


def atoms() -> str:
    """The DLA's median error after a fit with each pair of atom sizes."""
    points = [p for p in POINTS if p.device is Device.DLA]
    lines = [f"{'channels':>9}{'maps':>6}{'median':>8}{'mean':>8}"]
    for channels, maps in ((c, m) for c in ATOMS for m in ATOMS):
        chosen = replace(shipped(), dla_atom_channels=channels, dla_atom_maps=maps)
        fitted = fit(points, [name for name in fitted_names() if not name.startswith("gpu")], chosen)
        found = [abs(e) for e in errors(points, lambda _, fitted=fitted: fitted).values()]  # type: ignore[misc]
        lines.append(f"{channels:>9}{maps:>6}{statistics.median(found):>8.1%}{statistics.mean(found):>8.1%}")
    return "\n".join(lines)


def errors(points: Sequence[Point], of: Callable[[Point], Parameters]) -> dict[Point, float]:
    """Point -> relative error of its prediction, with sign."""
    return {point: predict(point, of(point)) / point.seconds - 1 for point in points}

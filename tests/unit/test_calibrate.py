"""Calibration: histograms, the choice of amax, resuming, and what hostile activations lead to."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy as divergence

from dlarewrite.errors import ModelError, UsageError
from dlarewrite.ir.model import Model
from dlarewrite.precision import probe
from dlarewrite.precision.calibrate import FLOOR, Settings, calibrate
from dlarewrite.precision.data import Data, Sample
from dlarewrite.precision.histogram import BINS, METHODS, Histogram, choose, entropy
from dlarewrite.precision.scales import Certainty
from dlarewrite.precision.state import load_state
from dlarewrite.testing import parse
from dlarewrite.verify.runner import run

NET = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1,4,6,6] x) => (float[1,4,6,6] y) <float[4,4,3,3] w> {
  a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w)
  b = Relu(a)
  s = Shape(b)
  k = Constant<value = float[1] {2.5}>()
  m = Mul(b, k)
  r = Reshape(m, s)
  y = Tanh(r)
}
"""


def net(text: str = NET) -> Model:
    return Model.load(parse(text))


def feeds(count: int, shape: tuple[int, ...] = (1, 4, 6, 6)) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [(rng.standard_normal(shape) * (1 + i)).astype(np.float32) for i in range(count)]


def data(arrays: list[np.ndarray], name: str = "x", stop: int | None = None) -> Data:
    """Samples; at number ``stop`` the user interrupts."""

    def begin(start: int) -> Iterator[Sample]:
        for number, array in enumerate(arrays[start:], start):
            if number == stop:
                raise KeyboardInterrupt
            yield Sample(f"sample {number}", {name: array})

    return Data("arrays", "key", len(arrays), begin)


def filled(values: np.ndarray) -> Histogram:
    made = Histogram()
    made.add(values)
    return made


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=60), st.integers(1, 7), st.randoms())
def test_counts_depend_on_neither_order_nor_grouping(values: list[float], parts: int, random) -> None:
    whole = filled(np.array(values, dtype=np.float32))
    random.shuffle(values)
    pieces = Histogram()
    for piece in np.array_split(np.array(values, dtype=np.float32), parts):
        pieces.add(piece)
    assert (pieces.counts == whole.counts).all() and pieces.counts.sum() == len(values)
    assert (pieces.width, pieces.low, pieces.high) == (whole.width, whole.low, whole.high)


def test_bins_are_numpys_on_the_same_borders() -> None:
    values = np.random.default_rng(0).laplace(size=5000).astype(np.float32)
    made = Histogram()
    for piece in np.array_split(np.sort(np.abs(values)), 50):
        made.add(piece)
    counts, _ = np.histogram(np.abs(values), bins=BINS, range=(0.0, made.width))
    assert made.width / 2 <= made.peak < made.width and (counts == made.counts).all()


def slow_entropy(counts: np.ndarray) -> int:
    """The published search, bin by bin, with the price of what is cut off."""
    bins = counts.astype(float).copy()
    bins[0] = bins[1]
    found = []
    for size in range(128, len(bins) + 1):
        p = bins[:size].copy()
        p[-1] += bins[size:].sum()
        level = np.arange(size) * 128 // size
        q = np.zeros(size)
        for number in range(128):
            here = (level == number) & (bins[:size] > 0)
            if here.any():
                q[here] = bins[:size][here].sum() / here.sum()
        left = bins[:size].sum() / bins.sum()
        found.append(divergence(p, q) + left - 1 - np.log(left) if left else np.inf)
    return 128 + len(found) - 1 - int(np.argmin(found[::-1]))


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.standard_normal(20000),
        lambda rng: np.maximum(rng.standard_normal(5000), 0),
        lambda rng: rng.standard_t(2, size=3000),
        lambda rng: np.r_[rng.uniform(0, 1, 1000), 50.0],
    ],
)
def test_entropy_is_the_published_search(draw: Callable[[np.random.Generator], np.ndarray]) -> None:
    counts, _ = np.histogram(np.abs(draw(np.random.default_rng(1))), bins=180)
    assert entropy(counts) == slow_entropy(counts)


def test_entropy_does_not_cut_off_a_narrow_band_away_from_zero() -> None:
    values = (0.5 + 0.05 * np.random.default_rng(0).standard_normal(20000)).astype(np.float32)
    amax = choose(filled(values), "entropy")
    assert (values > amax).mean() < 0.01


@pytest.mark.parametrize("method", METHODS)
def test_amax_is_above_zero_and_within_what_was_seen(method: str) -> None:
    values = np.random.default_rng(2).standard_normal(10000).astype(np.float32)
    values[0] = -40.0
    amax = choose(filled(values), method)
    assert 0 < amax <= 40.0
    assert (amax == 40.0) == (method in ("minmax", "entropy")) or method == "entropy"
    assert choose(filled(np.zeros(10, np.float32)), method) == 0


def test_percentile_and_mse_by_their_definitions() -> None:
    values = np.random.default_rng(3).laplace(size=20000).astype(np.float32)
    seen = filled(values)
    step = seen.width / BINS
    assert choose(seen, "percentile", 99.0) == pytest.approx(np.percentile(np.abs(values), 99.0), abs=2 * step)
    errors = {}
    for amax in np.linspace(0.01, 1.0, 100) * seen.peak:
        scale = amax / 127
        kept = np.clip(np.floor(np.abs(values) / scale + 0.5), 0, 127) * scale
        errors[float(amax)] = float(np.square(np.abs(values) - kept).sum())
    assert choose(seen, "mse") == pytest.approx(min(errors, key=lambda a: errors[a]), abs=0.03 * seen.peak)


def test_minmax_is_what_onnxruntime_computes_and_constants_are_left_out() -> None:
    model, arrays = net(), feeds(3)
    made = calibrate(model, data(arrays), Settings("minmax"))
    assert list(made.table.scales) == ["x", "a", "b", "m", "r", "y"]
    outputs = np.stack([run(model.to_proto(), {"x": array})["y"] for array in arrays])
    scale = made.table.scales["y"]
    assert (scale.low, scale.high) == (outputs.min(), outputs.max())
    assert scale.amax == pytest.approx(np.abs(outputs).max(), rel=1e-6)
    assert scale.certainty is Certainty.MEASURED and scale.source == "minmax, 3 samples"
    assert made.table.model and made.samples == 3


def test_entropy_keeps_the_range_of_graph_inputs() -> None:
    array = np.full((1, 4, 6, 6), 0.4, np.float32)
    array[:, :, 0] = np.linspace(0, 1, 6, dtype=np.float32)
    made = calibrate(net(), data([array])).table.scales
    assert made["x"].amax == pytest.approx(1.0) and made["x"].source == "minmax of a graph input, 1 sample"
    assert made["a"].source == "entropy, 1 sample"


def test_groups_of_activations_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = calibrate(net(), data(feeds(2)))
    monkeypatch.setattr(probe, "BUDGET", 1)
    assert calibrate(net(), data(feeds(2))).table == whole.table
    assert calibrate(net(), data(feeds(2)), Settings(threads=1)).table == whole.table


@pytest.mark.parametrize("method", ["entropy", "minmax"])
@pytest.mark.parametrize("stop", [1, 3])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(tmp_path: Path, method: str, stop: int) -> None:
    arrays, state = feeds(5), tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        calibrate(net(), data(arrays, stop=stop), Settings(method), state=state)
    made = calibrate(net(), data(arrays), Settings(method), state=state)
    assert made.resumed == stop
    assert made.table == calibrate(net(), data(arrays), Settings(method)).table


def test_a_finished_state_serves_another_method_without_a_run(tmp_path: Path) -> None:
    arrays, state = feeds(4), tmp_path / "state"
    calibrate(net(), data(arrays), Settings("entropy"), state=state)
    again = calibrate(net(), data(arrays, stop=0), Settings("percentile", 99.0), state=state)
    assert again.table.scales == calibrate(net(), data(arrays), Settings("percentile", 99.0)).table.scales


def test_a_state_with_more_samples_than_asked_for_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    calibrate(net(), data(feeds(4)), state=state)
    with pytest.raises(UsageError, match="holds 4 samples already, and 3 are asked for"):
        calibrate(net(), data(feeds(4)).limited(3), state=state)


def test_a_state_of_other_data_or_another_model_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    calibrate(net(), data(feeds(2)), state=state)
    other = Data("other", "another key", 2, data(feeds(2)).begin)
    with pytest.raises(UsageError, match="another calibration"):
        calibrate(net(), other, state=state)
    with pytest.raises(UsageError, match="other model"):
        calibrate(net(NET.replace("2.5", "2.75")), data(feeds(2)), state=state)
    with pytest.raises(UsageError, match="other statistics"):
        calibrate(net(), data(feeds(2)), Settings("minmax"), state=state)
    state.write_bytes(state.read_bytes()[:200])
    with pytest.raises(UsageError, match="is no state of a calibration"):
        load_state(state, {})


def test_nan_names_the_first_tensor_and_its_node() -> None:
    text = NET.replace("y = Tanh(r)", "q = Sqrt(r)\n  u = Neg(q)\n  v = Sqrt(u)\n  y = Tanh(v)")
    with pytest.raises(ModelError, match=r"tensor .v., output of node .v. \(Sqrt\), holds NaN in sample sample 0"):
        calibrate(net(text), data(feeds(2)))
    made = calibrate(net(text), data(feeds(2)), Settings(lenient=True))
    assert made.gaps == {"v": "NaN in sample sample 0", "y": "NaN in sample sample 0"}
    assert list(made.table.scales) == ["x", "a", "b", "m", "r", "q", "u"]


def test_an_all_zero_tensor_gets_the_documented_floor() -> None:
    made = calibrate(net(), data([np.zeros((1, 4, 6, 6), np.float32)]))
    assert made.zero == ("x", "a", "b", "m", "r", "y")
    assert {(s.amax, s.certainty, s.scale) for s in made.table.scales.values()} == {(FLOOR, Certainty.FIXED, 2.0**-14)}


def test_no_sample_and_bad_settings_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="there is no sample"):
        calibrate(net(), data([]))
    with pytest.raises(UsageError, match="no method 'median'"):
        Settings("median")
    with pytest.raises(UsageError, match="percentile 101"):
        Settings("percentile", 101)


def test_a_limit_takes_the_first_samples() -> None:
    assert calibrate(net(), data(feeds(4)).limited(2)).table == calibrate(net(), data(feeds(2))).table
    endless = Data("endless", "", None, lambda start: itertools.islice(data(feeds(9)).begin(0), start, None))
    assert calibrate(net(), endless.limited(2)).samples == 2

"""The cheaper of several legal forms: costs, the sentence, the growth budget, and that every form is right."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from dlarewrite.catalogue import discover
from dlarewrite.ir.importer import load
from dlarewrite.rewrite import choice, deconv, emit, forms, spatial
from dlarewrite.rewrite.context import Budget, Context
from dlarewrite.rewrite.spec import create
from dlarewrite.target import DEFAULT_TARGET, Precision, load_target
from dlarewrite.testing import Ran, parse, run

ADD = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1,8,40,40] x) => (float[1,8,40,40] y)
{
  y = Add(x, x)
}
"""


def context(precision: Precision = Precision.FP16, text: str = ADD) -> Context:
    return Context(load(parse(text)), load_target(DEFAULT_TARGET, precision=precision))


def ran(name: str, text: str, **settings: Any) -> Ran:
    return run(create(discover().find(name), ""), text, **settings)


def candidates(*costs: choice.Cost) -> list[choice.Candidate[int]]:
    return [choice.Candidate(i, f"form {i}", cost) for i, cost in enumerate(costs)]


def test_macs_elements_weights_and_layers_are_operations() -> None:
    assert choice.Cost(3, 20, 100, 2).operations == 123 + 2 * choice.LAYER
    assert choice.Cost(1, 2, 3, 4, 1) + choice.Cost(1, 1, 1, 1, 1) == choice.Cost(2, 3, 4, 5, 2)


def test_the_sentence_names_both_sides_with_figures() -> None:
    chosen = choice.choose(context(), candidates(choice.Cost(1_200_000, 2048, 0, 1), choice.Cost(0, 524_288, 0, 1)))
    assert chosen.form == 1
    assert (
        chosen.sentence == "form 1 (0 MACs, 1 MiB moved, 1 layer) rather than form 0 (1.2 MMAC, 4 KiB moved, 1 layer)"
    )
    assert chosen.detail("crop") == f"crop: {chosen.sentence}"


def test_bytes_are_those_of_the_build() -> None:
    chosen = choice.choose(context(Precision.INT8), candidates(choice.Cost(0, 2048, 0, 2), choice.Cost(9, 1024, 0, 3)))
    assert (
        chosen.sentence == "form 0 (0 MACs, 2 KiB moved, 2 layers) rather than form 1 (9 MACs, 1 KiB moved, 3 layers)"
    )


def test_a_single_legal_form_is_no_choice() -> None:
    refused = choice.Cost(0, 1, 0, 1, refused=1)
    chosen = choice.choose(context(), candidates(refused, choice.Cost(10**9, 1, 0, 9)))
    assert (chosen.form, chosen.sentence) == (1, "")
    assert choice.choose(context(), candidates(refused)).detail("text") == "text"


def test_equal_costs_leave_the_order() -> None:
    assert choice.choose(context(), candidates(choice.Cost(5), choice.Cost(5))).form == 0


def test_nothing_to_choose_from() -> None:
    with pytest.raises(ValueError, match="nothing to choose"):
        choice.choose(context(), [])


@pytest.mark.parametrize(("left", "form"), [(10**9, 0), (10**5, 1)])
def test_a_form_that_would_use_up_the_growth_budget_loses(left: int, form: int) -> None:
    asking = context()
    asking.budget = Budget(left, 10**9)
    assert choice.choose(asking, candidates(choice.Cost(10**5, layers=1), choice.Cost(0, layers=9))).form == form


def test_the_macs_of_what_goes_are_set_off() -> None:
    asking = context(
        text="""
<ir_version: 8, opset_import: ["" : 17]>
g (float[1,8,40,40] x) => (float[1,8,40,40] y)
<float[8,8,1,1] w>
{
  y = Conv(x, w)
}
"""
    )
    asking.budget = Budget(1000, 10**9)
    both = candidates(choice.Cost(8 * 8 * 1600, layers=1), choice.Cost(0, layers=9))
    assert choice.choose(asking, both, asking.model.nodes).form == 0
    assert choice.choose(asking, both).form == 1


def test_a_trial_counts_its_nodes_and_leaves_no_trace() -> None:
    asking = context()
    x, names = asking.model.inputs[0], set(asking.model.names)
    cost = choice.measure(asking, lambda edit: forms.pick_channels(edit, x, [3, 1]))
    assert cost == choice.Cost(macs=2 * 8 * 1600, moved=10 * 1600, weights=16, layers=1)
    assert len(asking.model) == 1 and len(x.outputs) == 2 and asking.model.names == names


def test_a_slice_reads_what_it_keeps_and_is_doubted_in_int8() -> None:
    def cut(asking: Context) -> choice.Cost | None:
        return choice.measure(asking, lambda e: emit.slice_(e, asking.model.inputs[0], [0], [4], [1]))

    assert cut(context()) == choice.Cost(moved=2 * 4 * 1600, weights=3, layers=1)
    assert cut(context(Precision.INT8)) == choice.Cost(moved=2 * 4 * 1600, weights=3, layers=1, refused=1)


def test_what_cannot_be_made_has_no_cost() -> None:
    asking = context()
    x, narrow = asking.model.inputs[0], gs.Constant("w", np.ones((2, 3, 1, 1), dtype=np.float32))
    assert choice.measure(asking, lambda edit: edit.op("Add", [x, narrow])) is None


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_the_counted_cost_of_a_deconvolution_is_the_measured_one(parts: int) -> None:
    asking = context()
    weights = np.ones((8, 3, 2, 2), dtype=np.float32)
    found = deconv.Deconv(weights, gs.Constant("bias", np.ones(12, dtype=np.float32)), (2, 2), group=4)
    x = spatial.like(asking.model.inputs[0], (1, 8, 5, 6))
    form = deconv.Plan(found, "dense" if parts == 1 else "split", parts, "slice")
    measured = choice.measure(asking, lambda edit: deconv.emit_plan(edit, x, form))
    assert measured is not None
    slices = 0 if parts == 1 else 3 * parts
    counted = deconv._dense_cost((1, 8, 5, 6), found, parts)
    assert measured == counted + choice.Cost(weights=slices)


# ---- both sides of a choice are proved by `run`; LAYER tips the scale ----

SHUFFLE = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1,8,3,4] x) => (float[1,4,3,4] y, float[1,8,3,4] z)
<int64[5] a = {1, 2, 4, 3, 4}, int64[4] b = {1, 8, 3, 4}, float[4,8,1,1] w>
{
  r = Reshape(x, a)
  t = Transpose<perm=[0, 2, 1, 3, 4]>(r)
  u = Reshape(t, b)
  y = Conv(u, w)
  z = Sigmoid(u)
}
"""
GATHER = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1,8,5,4] x) => (float[1,4,5,4] y)
<int64[4] rows = {6, 7, 0, 1}>
{
  y = Gather<axis=1>(x, rows)
}
"""
STEPS = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1,3,9,9] x) => (float[1,3,3,4] y)
<int64[2] s = {3, 1}, int64[2] e = {99, 99}, int64[2] a = {2, 3}, int64[2] t = {2, 2}>
{
  y = Slice(x, s, e, a, t)
}
"""
GROUPS = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1,4,5,6] x) => (float[1,8,10,12] y)
<float[4,4,4,4] w, float[8] b>
{
  y = ConvTranspose <strides=[2,2], pads=[1,1,1,1], group=2> (x, w, b)
}
"""


@pytest.mark.parametrize(
    ("name", "text", "small", "large"),
    [
        ("channel-shuffle", SHUFFLE, "Conv", "Slice"),
        ("channel-select", GATHER, "Conv", "Slice"),
        ("slice-steps", STEPS, "Conv", "Conv"),
        ("deconv-groups", GROUPS, "ConvTranspose", "ConvTranspose"),
    ],
)
@pytest.mark.parametrize("layer", [0, choice.LAYER])
def test_every_form_is_equal(
    name: str, text: str, small: str, large: str, layer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "LAYER", layer)
    found = ran(name, text)
    (change,) = found.changes
    assert " rather than " in change.detail
    assert (large if layer == 0 else small) in [op for _, op in change.added]


def test_a_nearest_resize_is_weighed_against_a_deconvolution() -> None:
    found = ran(
        "resize-mode",
        """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1,8,4,5] x) => (float[1,8,12,10] y)
<float[4] s = {1,1,3,2}>
{
  y = Resize <mode="linear", coordinate_transformation_mode="align_corners"> (x, , s)
}
""".replace("8,4,5", "8,1,1").replace("8,12,10", "8,3,2"),
    )
    assert found.changes[0].detail.startswith("nearest 3 x 2 (0 MACs, ")
    assert " rather than ConvTranspose (384 MACs, " in found.changes[0].detail


CROPS: list[tuple[Precision, str]] = [(Precision.FP16, "slice"), (Precision.INT8, "select")]


@pytest.mark.parametrize(("precision", "form"), CROPS)
def test_a_crop_is_a_slice_where_that_is_certain(precision: Precision, form: str) -> None:
    asking = context(precision)
    chosen = spatial.crop_choice(asking, asking.model.inputs[0], (1, 1), (1, 1))
    assert chosen is not None and chosen.form == form
    assert bool(chosen.sentence) == (form == "slice")


def test_the_log_says_what_was_chosen_against_what() -> None:
    found = ran("deconv-pads", GROUPS.replace(", group=2", "").replace("4,4,4,4", "4,8,4,4"))
    (record,) = [p for p in found.log.passes if p.fired]
    assert record.details[0].startswith("y: crop 1x1 and 1x1: crop by Slice (0 MACs, ")
    assert " rather than one-hot Conv (" in record.details[0]

"""The reports that people read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report_samples import AFTER, JUDGED, PROOF, REPORT

from dlarewrite.report import figures, gates, text
from dlarewrite.report.groups import off_dla
from dlarewrite.report.tables import table
from dlarewrite.rewrite.manager import RefusalRecord


def test_the_first_line_says_what_changed() -> None:
    first, second, third = text.optimized(REPORT, 120).splitlines()[:3]
    assert first == (
        "GPU nodes 3 -> 2, MACs on the DLA 50 % -> >99.9 %, loadables 3 -> 1, crossings 7 -> 2 (1.4 MiB -> 4.0 KiB)"
    )
    assert second == REPORT.verdict
    assert "orin-jp6" in third and REPORT.source in third


def test_sections_come_in_their_order() -> None:
    titles = ["Passes that fired", "Refused", "On the GPU", "No rule", "Uncertain", "whole graph", "Proven equal"]
    found = text.optimized(REPORT, 120)
    places = [found.index(title) for title in titles]
    assert places == sorted(places)


def test_passes_that_did_not_fire_are_left_out() -> None:
    found = text.optimized(REPORT, 120)
    assert "resize-mode" not in found
    fired = found[found.index("pool-window") :].splitlines()
    assert fired[0].split() == ["pool-window", "2", "EXACT", "a:", "13", "->", "5,", "5,", "5"]
    assert [line.strip() for line in fired[1:3]] == ["b: 9 -> 5, 5", "and 1 more"]


def test_equal_refusals_are_counted() -> None:
    line = next(line for line in text.optimized(REPORT, 120).splitlines() if line.startswith("fold-pad"))
    assert line.split() == ["fold-pad", "2", "the", "pad", "value", "is", "1", "pad1"]


def test_many_reasons_of_one_pass_are_cut_short() -> None:
    refusals = tuple(RefusalRecord("fold-pad", f"reason {i}", (f"pad{i}",)) for i in range(30))
    lines = text.optimized(replace(REPORT, refusals=refusals), 120).splitlines()
    found = [line for line in lines if line.startswith("fold-pad")]
    assert len(found) == 6
    assert "25 more reasons, see --json" in found[-1]


def test_ulp_is_shown_where_it_is_judged() -> None:
    (output,) = PROOF.outputs
    exact = replace(PROOF, outputs=(replace(output, tolerance="within 1 ulp", max_ulp=77),))
    assert " 77 " in text.optimized(replace(REPORT, evidence=exact), 120)
    loose = replace(PROOF, outputs=(replace(output, max_ulp=77),))
    assert " 77 " not in text.optimized(replace(REPORT, evidence=loose), 120)


def test_nodes_are_grouped_with_every_rule() -> None:
    groups = off_dla(REPORT)
    assert [(g.verdict, g.op, [n.name for n in g.nodes]) for g in groups] == [
        ("gpu", "MaxPool", ["pool1", "pool2"]),
        ("gpu", "MaxPool", ["pool3"]),
        ("unknown", "Swirl", ["odd [red]"]),
        ("uncertain", "Resize", ["up"]),
    ]
    assert groups[0].reasons[0].text == "window 13, at most 8 (and 1 other value)"
    assert [r.finding.rule for r in groups[1].reasons] == ["POOL-WIN", "POOL-PAD"]
    assert groups[1].cures == ("pool-window",)


def test_names_are_never_taken_for_markup() -> None:
    assert "odd [red]" in text.judged(JUDGED, 120)


def test_the_proof_says_all_that_it_rests_on() -> None:
    found = text.optimized(REPORT, 120)
    for part in (
        "as ROUNDING",
        "scores",
        "2.5e-07",
        "1.25e-07",
        "1e-05",
        "seeds 0, 1, 2",
        "[-2, 2]",
        "onnxruntime 1.0",
    ):
        assert part in found


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        (None, "Not verified: nothing shows"),
        (replace(PROOF, skipped="no inputs can be drawn"), "Not verified: no inputs can be drawn"),
        (replace(PROOF, ok=False), "NOT equal as ROUNDING"),
        (replace(PROOF, inputs_from="data.npz"), "inputs from data.npz"),
        (replace(PROOF, cut=("nms",)), "fed, not run: nms"),
        (replace(PROOF, constant_output=True), "the same for all samples"),
    ],
)
def test_a_proof_that_is_less_says_so(proof, said: str) -> None:
    assert said in text.optimized(replace(REPORT, evidence=proof), 120)


def test_passes_taken_back_are_named() -> None:
    found = text.optimized(replace(REPORT, rolled_back=("pass 'x' changed the outputs",)), 120)
    assert found.index("Taken back") < found.index("Passes that fired")


def test_an_unchanged_model_is_said_to_be() -> None:
    assert "No pass fired" in text.optimized(replace(REPORT, passes=()), 120)
    assert "Nothing is still off the DLA." in text.optimized(replace(REPORT, nodes=REPORT.nodes[:1]), 120)


def test_judged_has_verdict_figures_and_what_was_not_checked() -> None:
    lines = text.judged(JUDGED, 120).splitlines()
    assert lines[0] == JUDGED.verdict
    assert lines[1].startswith("10 nodes, 3 on the GPU (1 uncertain, 0 unknown)")
    assert lines[-2:] == ["Not checked", "  - whether the DLA compiler runs out of memory"]


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_tables_keep_to_the_width(width: int) -> None:
    for line in text.judged(JUDGED, width).splitlines()[3:]:
        assert len(line) <= width, line


def test_long_words_are_folded_not_cut() -> None:
    found = table(("Name", "Count"), [("x" * 100, "1")], 40)
    assert found.count("x") == 100


def test_gates() -> None:
    report = replace(REPORT, after=replace(AFTER, dla_macs=1_900_000))
    judged = gates.judge(report, full_dla=True, min_dla_work=0.95, max_loadables=1, max_crossings=1)
    assert [(g.name, g.ok) for g in judged] == [
        ("require-full-dla", False),
        ("min-dla-work", True),
        ("max-loadables", True),
        ("max-crossings", False),
    ]
    assert "5 off it: pool1, pool2, pool3, and 2 more" in judged[0].found
    assert gates.judge(report) == ()
    assert not gates.judge(report, min_dla_work=0.9501)[0].ok
    assert not gates.judge(report, max_loadables=0)[0].ok
    assert gates.judge(replace(report, nodes=report.nodes[:1]), full_dla=True)[0].ok


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (figures.size(0), "0 B"),
        (figures.size(1023), "1023 B"),
        (figures.size(1024), "1.0 KiB"),
        (figures.size(5 * 2**30), "5.0 GiB"),
        (figures.size(5000 * 2**30), "5000.0 GiB"),
        (figures.percent(1.0), "100 %"),
        (figures.percent(0.99999), ">99.9 %"),
        (figures.percent(0.00001), "<0.1 %"),
        (figures.percent(0.0), "0 %"),
        (figures.percent(0.345), "34.5 %"),
        (figures.some(["a", "b"]), "a, b"),
        (figures.some(list("abcde")), "a, b, c, and 2 more"),
        (figures.plural(1, "node"), "1 node"),
        (figures.plural(2000, "node"), "2,000 nodes"),
        (figures.number(None), "-"),
    ],
)
def test_figures(found: str, expected: str) -> None:
    assert found == expected


def test_a_lossy_result_is_not_called_equal() -> None:
    from dlarewrite.report.text import _claim
    from dlarewrite.verify import Evidence

    assert _claim(Evidence(ok=True, numerics="ROUNDING")) == "Proven equal as ROUNDING"
    assert "equal" not in _claim(Evidence(ok=True, numerics="LOSSY"))
    assert _claim(Evidence(ok=False, numerics="EXACT")).startswith("NOT equal")

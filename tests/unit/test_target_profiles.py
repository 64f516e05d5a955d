"""Targets by name, and the errors for names that have no DLA."""

from __future__ import annotations

import pytest

from dlarewrite.errors import UsageError
from dlarewrite.target import DEFAULT_TARGET, Precision, load_target, profiles, rulebook
from dlarewrite.target.rule import COLUMNS


def test_the_profiles_and_their_versions() -> None:
    assert {p.name: (p.version, p.column) for p in profiles()} == {
        "xavier-jp4": ("8.2.1", "X82"),
        "xavier-jp5": ("8.5.2", "X85"),
        "orin-jp5": ("8.5.2", "O85"),
        "orin-jp6.0": ("8.6.2", "O86"),
        "orin-jp6": ("10.3.0", "O10"),
        "agx-orin-jp7": ("11.4.1", "O114"),
        "drive-orin-6.0.9": ("8.6.12", "D86"),
    }
    assert {p.column for p in profiles()} == set(COLUMNS)
    assert DEFAULT_TARGET == "orin-jp6"


def test_what_a_profile_says_of_its_machine() -> None:
    by_name = {p.name: p for p in profiles()}
    assert [p.name for p in profiles() if not p.orin] == ["xavier-jp4", "xavier-jp5"]
    assert {p.soc for p in profiles() if p.orin} == {"T234"}
    assert {p.dla_cores for p in profiles()} == {2}
    assert by_name["xavier-jp4"].max_loadables == 4
    assert by_name["orin-jp6"].max_loadables == 16
    assert by_name["agx-orin-jp7"].strongly_typed
    assert by_name["agx-orin-jp7"].int8 == "unknown"
    assert all(p.modules for p in profiles())


def test_names_and_aliases() -> None:
    assert load_target("orin-jp6").profile.name == "orin-jp6"
    assert load_target(" Orin-JP6.2 ").name == "orin-jp6"
    target = load_target("xavier-jp5", Precision.INT8)
    assert str(target) == "xavier-jp5 (TensorRT 8.5.2, int8)"
    aliases = [a for p in profiles() for a in p.aliases]
    assert len(set(aliases)) == len(aliases)
    assert all(load_target(a).profile for a in aliases)


@pytest.mark.parametrize(
    ("name", "reason", "nearest"),
    [
        ("thor", "Thor have no DLA", "agx-orin-jp7"),
        ("drive-thor", "Thor have no DLA", "agx-orin-jp7"),
        ("orin-nano", "Orin Nano has no usable DLA", "orin-jp6"),
        ("orin-nano-jp6", "Orin Nano has no usable DLA", "orin-jp6"),
        ("jetson-tx2", "TX2 have no DLA", "xavier-jp4"),
        ("x86", "only Jetson and DRIVE machines have a DLA", "orin-jp6"),
        ("orin-trt11.0", "TensorRT 11.0 to 11.3 have no DLA support", "agx-orin-jp7"),
        ("orin-trt11.1", "TensorRT 11.0 to 11.3 have no DLA support", "agx-orin-jp7"),
        ("orin-trt11.3.1", "TensorRT 11.0 to 11.3 have no DLA support", "agx-orin-jp7"),
        ("orin-trt11.4", "Windows-on-ARM only", "agx-orin-jp7"),
        ("jetpack 7.0", "from 7.2.2", "agx-orin-jp7"),
        ("orin-jp7.1", "from 7.2.2", "agx-orin-jp7"),
        ("orin-nx-jp7", "Orin NX is not named", "agx-orin-jp7"),
        ("xavier-jp6", "TensorRT 8.5.2 is its last", "xavier-jp5"),
        ("xavier-trt8.6", "TensorRT 8.5.2 is its last", "xavier-jp5"),
        ("orin-trt10.8", "sources disagree", "orin-jp6"),
        ("orin-trt10.16", "sources disagree", "orin-jp6"),
        ("orin-trt10.7", "JetPack 6.1 and 6.2 bring 10.3", "orin-jp6"),
        ("windows-arm", "Windows-on-ARM", "agx-orin-jp7"),
    ],
)
def test_known_names_without_a_dla_say_why_and_name_the_nearest(name: str, reason: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_target(name)
    assert name in caught.value.message
    assert reason in caught.value.message
    assert "http" in caught.value.message or "measurement report" in caught.value.message
    assert caught.value.hint == f"the nearest target with a DLA is {nearest}"
    assert load_target(nearest)
    assert caught.value.exit_code == 2


def test_unknown_names_offer_the_nearest() -> None:
    with pytest.raises(UsageError, match="there is no target named 'orin-jp66'") as caught:
        load_target("orin-jp66")
    assert "orin-jp6" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        load_target("zzz")
    assert all(p.name in caught.value.hint for p in profiles())


def test_rules_are_found_by_id_and_unknown_ones_offer_the_nearest() -> None:
    book = rulebook()
    assert book.get("CONV-KERNEL") is book.get("dla-conv-kernel")
    assert "EW-MIN?" in book
    assert len(book) == len(list(book)) > 140
    with pytest.raises(UsageError) as caught:
        book.get("CONV-KERNAL")
    assert "CONV-KERNEL" in caught.value.hint

"""A mapping and an overlay suggested from DBC files: the cloud takes both, always."""

from pathlib import Path

import pytest

from carcloud.codecs.dbc import parse
from carcloud.model.signals import CATALOGUE
from carcloud.services.vocabulary.mapping_document import read_mapping
from carcloud.services.vocabulary.mapping_suggest import suggested
from carcloud.services.vocabulary.overlay import overlaid
from tests.data import shared_data

SOME = (
    "cantools/empty_choice", "cantools/issue_184_extended_mux_cascaded", "cantools/issue_228",
    "cantools/long_names", "cantools/relation_attributes", "cantools/sig_groups",
    "cantools/signed", "css/canmod_gps", "css/gnss", "css/tp_uds", "opendbc/luxgen_s5_2015",
    "opendbc/chrysler_pacifica_2017_hybrid_private_fusion", "opendbc/mazda_rx8",
    "opendbc/volvo_v60_2015_pt",
)  # fmt: skip


def is_taken(text: str, held: str = "") -> list[str]:
    """Suggest, and put what is suggested to use; returns the paths of the mapping."""
    catalogue = overlaid(CATALOGUE, held).catalogue
    found = suggested({"a.dbc": text}, catalogue, held)
    on = overlaid(CATALOGUE, found.overlay)
    assert on.effect.findings == ()
    read = read_mapping(found.mapping, {"a.dbc": text}, on.catalogue)
    assert read.checked.findings == ()
    assert read.checked.signals == found.private + len(found.matched)
    again = suggested({"a.dbc": text}, on.catalogue, found.overlay)
    assert (again.overlay, again.mapping) == (found.overlay, found.mapping)
    return [rule.path for rule in read.mapping.rules]


@pytest.mark.parametrize("name", SOME)
def test_of_real_files(name: str) -> None:
    is_taken(_text(shared_data(f"can/{name}.dbc")))


@pytest.mark.soak  # ten seconds
def test_of_all_real_files() -> None:
    files = sorted(shared_data("can").rglob("*.dbc"))
    texts = [_text(path) for path in files]
    counts = [len(is_taken(text)) for text in texts if parse(text.encode())[0].messages]
    assert len(counts) > 70


def test_names_that_differ_in_case_or_marks_only() -> None:
    long = "x" * 70
    text = "".join(
        f'BO_ {number} {message}: 8 X\n SG_ {first} : 0|8@1+ (1,0) [0|0] "" X\n'
        f' SG_ {second} : 8|8@1+ (1,0) [0|0] "" X\n'
        for number, (message, first, second) in enumerate(
            [("wheels", "speed_1", "speed1"), ("Wheels", "_", "__"), (long, f"{long}a", f"{long}b")]
        )
    )
    paths = [path.removeprefix("Vehicle.Private.") for path in is_taken(text)]
    x = "X" + 56 * "x"
    assert paths == [
        "Wheels.Speed1", "Wheels.Speed12", "Wheels2.N", "Wheels2.N2", f"{x}.{x}", f"{x}.{x}2",
    ]  # fmt: skip


def test_beside_nodes_that_are_there() -> None:
    text = "".join(
        f'BO_ {number} {message}: 8 X\n SG_ {signal} : 0|8@1+ (1,0) [0|0] "" X\n'
        for number, (message, signal) in enumerate(["ms", "nt"])
    )
    branch = "type: branch\n  description: x\n"
    leaf = "type: sensor\n  datatype: double\n  description: x\n"
    held = (
        f"Vehicle.Private:\n  {branch}Vehicle.Private.M:\n  {branch}"
        f"Vehicle.Private.M.S:\n  {branch}"
        f"Vehicle.Private.M.S.A:\n  {leaf}Vehicle.Private.N:\n  {leaf}"
    )
    assert is_taken(text, held) == ["Vehicle.Private.M.S2", "Vehicle.Private.N2.T"]


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")

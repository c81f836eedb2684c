"""Board files: the facts of each, and what a wrong one is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tritloom.errors import InputError
from tritloom.resources import targets_dir
from tritloom.targets import board_toml, bundle_target, list_targets, load_target

# LUT, FF, DSP, BRAM36, URAM, memory GB/s, MiB: docs/boards.md
FACTS = {
    "alveo-u200": (355000, 723000, 2265, 638, 320, 76.8, 65536),
    "alveo-u250": (345000, 690000, 2877, 500, 320, 76.8, 65536),
    "alveo-u280": (369000, 746000, 2733, 507, 320, 460.0, 8192),
    "alveo-u50": (365000, 730000, 2580, 564, 304, 316.0, 8192),
    "alveo-u55c": (386000, 773000, 2664, 600, 320, 460.0, 16384),
    "aup-zu3": (70560, 141120, 360, 216, 0, 9.6, 4096),
    "kd240": (70560, 141120, 360, 216, 0, 4.3, 2048),
    "kr260": (117120, 234240, 1248, 144, 64, 19.2, 4096),
    "kv260": (117120, 234240, 1248, 144, 64, 19.2, 4096),
    "pynq-z1": (53200, 106400, 220, 140, 0, 2.1, 512),
    "pynq-z2": (53200, 106400, 220, 140, 0, 2.1, 512),
    "pynq-zu": (117120, 234240, 1248, 144, 64, 19.2, 4096),
    "rfsoc2x2": (425280, 850560, 4272, 1080, 80, 19.2, 8192),
    "rfsoc4x2": (425280, 850560, 4272, 1080, 80, 19.2, 4096),
    "ultra96-v2": (70560, 141120, 360, 216, 0, 4.3, 2048),
    "zcu102": (274080, 548160, 2520, 912, 0, 17.1, 4096),
    "zcu104": (230400, 460800, 1728, 312, 96, 17.1, 2048),
    "zcu111": (425280, 850560, 4272, 1080, 80, 17.1, 4096),
}
PARTS = {
    "alveo-u200": "xcu200-fsgd2104-2-e",
    "alveo-u250": "xcu250-figd2104-2L-e",
    "alveo-u280": "xcu280-fsvh2892-2L-e",
    "alveo-u50": "xcu50-fsvh2104-2L-e",
    "alveo-u55c": "xcu55c-fsvh2892-2L-e",
    "aup-zu3": "xczu3eg-sfvc784-2-e",
    "kd240": "xck24-ubva530-2LV-c",
    "kr260": "xck26-sfvc784-2LV-c",
    "kv260": "xck26-sfvc784-2LV-c",
    "pynq-z1": "xc7z020clg400-1",
    "pynq-z2": "xc7z020clg400-1",
    "pynq-zu": "xczu5eg-sfvc784-1-e",
    "rfsoc2x2": "xczu28dr-ffvg1517-2-e",
    "rfsoc4x2": "xczu48dr-ffvg1517-2-e",
    "ultra96-v2": "xczu3eg-sbva484-1-i",
    "zcu102": "xczu9eg-ffvb1156-2-e",
    "zcu104": "xczu7ev-ffvc1156-2-e",
    "zcu111": "xczu28dr-ffvg1517-2-e",
}


def _text(board: str = "kv260") -> str:
    return (targets_dir() / f"{board}.toml").read_text(encoding="utf-8")


def test_facts() -> None:
    found = {
        target.name: (
            target.resources.lut,
            target.resources.ff,
            target.resources.dsp,
            target.resources.bram36,
            target.resources.uram,
            target.memory.peak_gb_s,
            target.memory.size_mb,
        )
        for target in list_targets()
    }
    assert found == FACTS
    assert {target.name: target.part for target in list_targets()} == PARTS


def test_a_dram_carries_what_its_width_and_rate_say() -> None:
    for target in list_targets():
        width, rate = (
            re.findall(r"(\d+) bit at (\d+) MT/s", target.memory.kind)[0] if "bit" in target.memory.kind else (0, 0)
        )
        channels = 4 if "4 channels" in target.memory.kind else 1
        if rate:
            assert target.memory.peak_gb_s == pytest.approx(int(width) / 8 * int(rate) / 1000 * channels, rel=0.01), (
                target.name
            )


def test_hbm_is_the_sum_of_its_channels() -> None:
    for name in ("alveo-u280", "alveo-u55c"):
        target = load_target(name)
        assert target.memory.peak_gb_s == 32 * target.ports.peak_gb_s


@pytest.mark.parametrize("name", sorted(FACTS))
def test_the_bundles_copy_reads_back_as_the_same_board(tmp_path: Path, name: str) -> None:
    target = load_target(name)
    (tmp_path / "board.toml").write_text(board_toml(target), encoding="utf-8")
    assert bundle_target(tmp_path) == target


def test_a_bundle_without_its_board_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no board.toml"):
        bundle_target(tmp_path)


def test_quotes_and_letters_beyond_ascii_survive_the_copy(tmp_path: Path) -> None:
    target = load_target("kv260").model_copy(update={"title": 'a "board" \\ of mine \u00fc'})
    (tmp_path / "board.toml").write_text(board_toml(target), encoding="utf-8")
    assert bundle_target(tmp_path) == target


def test_few_ports_cannot_have_all_the_bandwidth() -> None:
    card = load_target("alveo-u280")
    assert card.delivered_by(8) == pytest.approx(9 * 14.375 * 0.85)
    assert card.delivered_by(28) == pytest.approx(29 * 14.375 * 0.85)
    shared = load_target("alveo-u250")
    assert shared.delivered_by(4) == pytest.approx(76.8 * 0.8)
    kria = load_target("kv260")
    assert kria.delivered_by(4) == kria.delivered_gb_s
    assert kria.delivered_by(1) == pytest.approx(2 * 5.3 * 0.8333)


def test_delivered_bandwidth() -> None:
    assert load_target("kv260").delivered_gb_s == pytest.approx(16.0, rel=1e-3)
    assert load_target("pynq-z2").delivered_gb_s == pytest.approx(1.575)


def test_estimated_shares_say_so() -> None:
    assert all(target.memory.share_basis.startswith("estimated") for target in list_targets())


@pytest.mark.parametrize("name", ["pynq-z2", "PYNQ-Z2", "pynq_z2", "PynqZ2"])
def test_spelling_does_not_matter(name: str) -> None:
    assert load_target(name).name == "pynq-z2"


def test_a_file_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(_text().replace('name = "kv260"', 'name = "mine"'))
    assert load_target(str(path)).name == "mine"


def test_zynq_7000_bursts_are_axi3() -> None:
    ports = load_target("pynq-z1").ports
    assert (ports.protocol, ports.max_burst_beats, ports.width) == ("axi3", 16, 64)
    assert ports.names[:2] == ("S_AXI_HP0", "S_AXI_HP2")


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("kv620", "unknown board 'kv620'", "did you mean kv260 or kr260 or kd240?"),
        (
            "xyzzy",
            "unknown board 'xyzzy'",
            f"boards: {', '.join(FACTS)}; or give the path of a board file",
        ),
        (
            "/nowhere/x.toml",
            "cannot read board file '/nowhere/x.toml': No such file or directory",
            "see docs/boards.md for what one holds",
        ),
    ],
)
def test_no_such_board(name: str, message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        load_target(name)
    assert (caught.value.message, caught.value.hint, caught.value.exit_code) == (message, hint, 2)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("peak_gb_s = 19.2", "peak_gb_s = 0", "memory.peak_gb_s: input should be greater than 0"),
        ("peak_gb_s = 19.2", 'peak_gb_s = "19.2"', "memory.peak_gb_s: input should be a valid number"),
        ("uram = 64", "", "resources.uram: field required"),
        ("uram = 64", "uram = 64\nuram2 = 1", "resources.uram2: extra inputs are not permitted"),
        ('family = "zynqmp"', 'family = "versal"', "family: input should be 'zynq', 'zynqmp' or 'alveo'"),
        ("lanes = 8", "lanes = 5", "kernel.lanes: input should be 4, 8 or 16"),
        ("lanes = 8", "lanes = 8.5", "kernel.lanes: input should be 4, 8 or 16"),
        ("count = 4", "count = 3", "ports: count is 3, but 4 names are given"),
        ("\nports = 4", "\nports = 5", "kernel.ports is 5, but the board has 4 ports"),
        (
            "burst_beats = 64",
            "burst_beats = 512",
            "kernel.burst_beats is 512, but the ports take bursts of at most 256 beats",
        ),
        ('"S_AXI_HP3_FPD", ', '"S_AXI_HP0_FPD", ', "ports: names: a port appears twice"),
        ('"S_AXI_HPC0_FPD"', '"S_AXI_HPC0_FPD; exec"', "ports.control: string should match pattern"),
        ('family = "zynqmp"', 'family = "alveo"', "an Alveo card needs a table [alveo]"),
        ('"S_AXI_HPC0_FPD"', '"DDR[0]"', "ports: family 'zynqmp' has no DDR[0]"),
        ("[tools]", '[alveo]\nplatform = "p"\nslr = "SLR9x"\n[tools]', "alveo.slr: string should match pattern"),
        ("achievable_share = 0.8333", "achievable_share = 1.2", "memory.achievable_share: input should be less"),
    ],
)
def test_an_invalid_file_names_the_field(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in _text()
    path = tmp_path / "bad.toml"
    path.write_text(_text().replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        load_target(str(path))
    assert caught.value.message.startswith(f"board file '{path}': {complaint}")
    assert caught.value.hint == "docs/boards.md documents every field"


def test_several_problems_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(_text().replace("uram = 64", "").replace("dsp = 1248", ""))
    with pytest.raises(InputError, match=r"resources\.dsp: field required \(and 1 more\)"):
        load_target(str(path))


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe"])
def test_not_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not TOML"):
        load_target(str(path))

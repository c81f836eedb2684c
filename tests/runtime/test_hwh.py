"""Register offsets come from the .hwh by name; a .hwh that differs from the manifest is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tritloom.runtime import Bundle, DeviceError
from tritloom.runtime.emulator.hwh_writer import write_hwh
from tritloom.runtime.hwh import read_layout
from tritloom.runtime.kernel_manifest import VLNV, Kernel


@pytest.fixture
def kernel(bundle: Path) -> Kernel:
    return Bundle.open(bundle).kernel


@pytest.fixture
def hwh(tmp_path: Path, kernel: Kernel) -> Path:
    write_hwh(tmp_path / "tritloom.hwh", kernel)
    return tmp_path / "tritloom.hwh"


def test_offsets_follow_the_scheme_of_hls(hwh: Path, kernel: Kernel) -> None:
    layout = read_layout(hwh, VLNV, kernel.args)
    offsets = {name: register.offset for name, register in layout.registers.items()}
    assert layout.instance == "tritloom_0"
    assert offsets["port0"] == 0x10  # a pointer: two words and one reserved
    assert offsets["port1"] == 0x1C
    assert offsets["T"] - offsets["mode"] == 8  # an input: one word and one reserved
    assert offsets["count"] - offsets["status"] == 16  # an output: with its control word
    assert offsets["busy"] - offsets["cycles"] == 16
    assert len(offsets) == len(kernel.args)


def test_other_offsets_are_taken_as_they_are(hwh: Path, kernel: Kernel) -> None:
    moved = re.sub(r'NAME="mode">(.*?)VALUE="0x[0-9a-f]+"', r'NAME="mode">\1VALUE="0x400"', hwh.read_text())
    hwh.write_text(moved)
    assert read_layout(hwh, VLNV, kernel.args).registers["mode"].offset == 0x400


def test_a_64_bit_register_in_one_piece(hwh: Path, kernel: Kernel) -> None:
    text = hwh.read_text().replace('NAME="state_1"', 'NAME="state"').replace('NAME="state_2"', 'NAME="other"')
    one = re.sub(r'(NAME="state">.*?NAME="SIZE" VALUE=)"32"', r'\1"64"', text)
    hwh.write_text(one)
    assert read_layout(hwh, VLNV, kernel.args).registers["state"].bits == 64


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('REGISTER NAME="tokens_out_1"', 'REGISTER NAME="x"', "`tokens_out` is missing"),
        ('REGISTER NAME="gains_2"', 'REGISTER NAME="x"', "`gains` is missing"),
        ('REGISTER NAME="mode"', 'REGISTER NAME="kind"', "`mode` is missing"),
        ('REGISTER NAME="CTRL"', 'REGISTER NAME="x"', "CTRL is not at 0x00"),
        (VLNV, "xilinx.com:hls:other:1.0", "has 0 IPs"),
        ('VALUE="0x10"', 'VALUE="sixteen"', "malformed"),
        ("<EDKSYSTEM", "<EDK", "mismatched tag"),
    ],
)
def test_what_does_not_match_is_named(hwh: Path, kernel: Kernel, old: str, new: str, message: str) -> None:
    hwh.write_text(hwh.read_text().replace(old, new, 1))
    with pytest.raises(DeviceError, match=message) as caught:
        read_layout(hwh, VLNV, kernel.args)
    assert "build the overlay again" in caught.value.hint


def test_32_bit_pointers_are_refused(hwh: Path, kernel: Kernel) -> None:
    text = hwh.read_text().replace('REGISTER NAME="port0_1"', 'REGISTER NAME="port0"')
    hwh.write_text(text.replace('REGISTER NAME="port0_2"', 'REGISTER NAME="x"'))
    with pytest.raises(DeviceError, match="`port0` has 32 bits, the manifest says 64"):
        read_layout(hwh, VLNV, kernel.args)


def test_no_hwh(tmp_path: Path, kernel: Kernel) -> None:
    with pytest.raises(DeviceError, match="No such file"):
        read_layout(tmp_path / "tritloom.hwh", VLNV, kernel.args)

"""The linker's configuration for Alveo cards: every interface to a bank, the kernel beside the memory."""

from __future__ import annotations

import configparser
import re

import pytest
from tritloom.backend.connect import engine_kernel
from tritloom.backend.link import link_context
from tritloom.backend.vivado import render_vivado
from tritloom.errors import InputError
from tritloom.targets import Target, list_targets, load_target
from vivado_build import limits_for

CARDS = [target.name for target in list_targets() if target.family == "alveo"]
SECTIONS = {"clock", "connectivity"}


def _pairs(target: Target) -> list[tuple[str, str, str]]:
    """(section, key, value) of each line of link.cfg; keys may repeat."""
    files = render_vivado(limits_for(target), target, "0.1.0")
    assert list(files) == ["vivado/link.cfg"]
    section, found = "", []
    for line in files["vivado/link.cfg"].splitlines():
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = heading.group(1)
            assert section in SECTIONS
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.append((section, key, value))
    return found


@pytest.mark.parametrize("card", CARDS)
def test_every_interface_has_a_bank(card: str) -> None:
    target = load_target(card)
    lines = _pairs(target)
    banks = [value.partition(".")[2].partition(":")[::2] for _, key, value in lines if key == "sp"]
    kernel = engine_kernel(limits_for(target), target)
    assert banks == [(master.interface, master.port) for master in kernel.masters]
    weights = [bank for interface, bank in banks if re.fullmatch(r"m_axi_port\d+", interface)]
    assert len(set(weights)) == len(weights) == target.kernel.ports
    assert set(weights) <= set(target.ports.names)


@pytest.mark.parametrize("card", CARDS)
def test_platform_clock_and_placement(card: str) -> None:
    target = load_target(card)
    assert target.alveo is not None
    lines = _pairs(target)
    assert lines[0] == ("", "platform", target.alveo.platform)
    assert ("clock", "freqHz", "300000000:tritloom_1.ap_clk") in lines
    assert ("connectivity", "nk", "tritloom:1:tritloom_1") in lines
    assert ("connectivity", "slr", f"tritloom_1:{target.alveo.slr}") in lines
    assert [key for _, key, _ in lines].count("slr") == 1


def test_the_file_is_an_ini_file() -> None:
    target = load_target("alveo-u250")
    text = render_vivado(limits_for(target), target, "0.1.0")["vivado/link.cfg"]
    parser = configparser.ConfigParser(strict=False)
    parser.read_string("[global]\n" + text)
    assert set(parser.sections()) == SECTIONS | {"global"}


def test_a_board_without_a_platform_is_refused() -> None:
    target = load_target("kv260")
    with pytest.raises(InputError, match="board 'kv260' has no platform"):
        link_context(engine_kernel(limits_for(target), target), target)

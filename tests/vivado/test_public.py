"""Public scripts in the model, where clones of their repositories are at hand: TRITLOOM_PUBLIC names their folder.

Each repository of catalogue/sources.toml is a folder of its own name in it (`git clone`, with its history).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import vivado_catalogue as catalogue
import vivado_public as public

CLONES = os.environ.get("TRITLOOM_PUBLIC", "")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not CLONES, reason="TRITLOOM_PUBLIC names no folder with clones of the public repositories"),
]


@pytest.mark.parametrize("case", public.RUNS, ids=lambda case: case.scripts[0])
def test_a_public_script_is_accepted(tmp_path: Path, case: public.PublicRun) -> None:
    ran = public.run(Path(CLONES), case, tmp_path)
    if ran is None:
        pytest.skip("its repository is not at hand")
    assert ran.code == 0, ran.errors
    kept, _ = public.split_facts(ran.facts)
    assert kept == catalogue.facts(case.scripts[0])


@pytest.mark.parametrize("source", public.HLS_RUNS)
def test_a_public_hls_script_is_accepted(tmp_path: Path, source: str) -> None:
    ran = public.run_hls(Path(CLONES), source, tmp_path)
    if ran is None:
        pytest.skip("its repository is not at hand")
    assert ran.code == 0, ran.errors


@pytest.mark.parametrize(
    ("pattern", "replacement", "complaint"),
    [
        (r" \[get_bd_pins axi_dma_0/s_axi_lite_aclk\]", "", "clock pin axi_dma_0/s_axi_lite_aclk is not connected"),
        (r"PCW_USE_S_AXI_HP0 \{1\}", "PCW_USE_S_AXI_HP0 {0}", "has no interface S_AXI_HP0"),
        (
            r"M_AXI_MM2S\] \[get_bd_intf_pins axi_interconnect_1/S00_AXI",
            "M_AXI_MM2S] [get_bd_intf_pins axi_dma_0/M_AXI_S2MM",
            "both master",
        ),
        (r"  create_bd_addr_seg .*resize_accel_0/s_axi_control/Reg.*\n", "", "no address: .*resize_accel_0"),
        (r"c_include_sg", "c_include_gs", "axi_dma axi_dma_0 has no parameter c_include_gs"),
    ],
    ids=["clock", "port", "interface", "address", "parameter"],
)
def test_a_broken_public_script_is_refused(tmp_path: Path, pattern: str, replacement: str, complaint: str) -> None:
    ran = public.run(Path(CLONES), public.RUNS[0], tmp_path, change=lambda text: re.sub(pattern, replacement, text))
    if ran is None:
        pytest.skip("its repository is not at hand")
    assert ran.code != 0
    assert re.search(complaint, ran.errors), ran.errors


def test_every_citation_stands_in_its_file() -> None:
    texts = {source: public.text_of(Path(CLONES), source) for source in catalogue.sources()}
    missing = [
        f"{citation.entry}: no {citation.word} in {citation.source}"
        for citation in catalogue.citations()
        if (text := texts[citation.source]) is not None and citation.word.lower() not in text.lower()
    ]
    assert missing == []
    assert sum(text is not None for text in texts.values()) >= 10

"""The Vivado scripts under tclsh, in a strict model of the commands: wiring, refusals, products, stages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tritloom.backend.connect import choose_ports, engine_kernel, plain_kernel
from tritloom.backend.vivado import render_vivado, tcl_word
from tritloom.errors import InputError
from tritloom.targets import list_targets, load_target
from vivado_build import Build, limits_for

BOARDS = [target.name for target in list_targets() if target.family != "alveo"]
PRODUCTS = Path("vivado/build/products")


@pytest.mark.parametrize("board", BOARDS)
def test_runs_to_the_end_and_leaves_both_files(tmp_path: Path, build: Build, board: str) -> None:
    target = load_target(board)
    ran = build(target)
    assert ran.code == 0, ran.errors
    assert sorted(path.name for path in (tmp_path / PRODUCTS).iterdir()) == ["tritloom.bit", "tritloom.hwh"]
    assert f"property board_part {target.board_part.removesuffix('*')}1.10" in ran.log
    reports = {path.name for path in (tmp_path / "vivado" / "build").glob("*.rpt")}
    utilization = {f"utilization{of}.rpt" for of in ("", "_hierarchical", "_synth")}
    assert reports == {*utilization, "timing.rpt", "power.rpt"}


def test_stages_run_one_after_the_other(tmp_path: Path, build: Build) -> None:
    target = load_target("kv260")
    first = build(target, arguments=("2", "synth"))
    assert first.code == 0, first.errors
    assert [entry for entry in first.log if entry.startswith("launch")] == ["launch synth_1"]
    assert not (tmp_path / PRODUCTS).exists()
    second = build(target, arguments=("2", "impl"))
    assert second.code == 0, second.errors
    assert [entry for entry in second.log if entry.startswith("launch")] == ["launch impl_1"]
    assert (tmp_path / PRODUCTS / "tritloom.hwh").read_text() == next(
        (tmp_path / "vivado" / "build").rglob("hw_handoff/*.hwh")
    ).read_text()


def test_an_unknown_stage_is_refused(build: Build) -> None:
    ran = build(load_target("kv260"), arguments=("2", "route"), audit=False)
    assert (ran.code, "there is no stage 'route'" in ran.errors) == (1, True)


# What is taken out of, or put into, the design of the KV260, and what the model says to it.
MUTANTS = {
    "kernel clock": (r" kernel/ap_clk", "", "clock pin kernel/ap_clk is not connected"),
    "controller clock": (r" intc/s_axi_aclk", "", "clock pin intc/s_axi_aclk is not connected"),
    "interconnect clock": (r"memory0/aclk ", "", "clock pin memory0/aclk is not connected"),
    "port clock": (r" ps/saxihp3_fpd_aclk", "", "clock pin ps/saxihp3_fpd_aclk is not connected"),
    "wizard input": (r"wire ps/pl_clk0 clock/clk_in1\n", "", "clock pin clock/clk_in1 is not connected"),
    "kernel reset": (r" kernel/ap_rst_n", "", "reset kernel/ap_rst_n is not connected"),
    "interconnect reset": (r"memory2/aresetn ", "", "reset memory2/aresetn is not connected"),
    "wizard reset": (r" clock/resetn", "", "reset clock/resetn is not connected"),
    "outer reset": (r" reset/ext_reset_in", "", "reset reset/ext_reset_in is not connected"),
    "lock": (r"wire clock/locked reset/dcm_locked\n", "", "data reset/dcm_locked is not connected"),
    "kernel interrupt": (r"wire kernel/interrupt intc/intr\n", "", "interrupt intc/intr is not connected"),
    "system interrupt": (r"wire intc/irq ps/pl_ps_irq0\n", "", "interrupt intc/irq goes nowhere"),
    "interrupt past the controller": (
        r"wire kernel/interrupt intc/intr\n",
        "wire kernel/interrupt ps/pl_ps_irq0\n",
        "ps/pl_ps_irq0",
    ),
    "weight port": (r"axi kernel/m_axi_port1 .*\n", "", r"interface (kernel/m_axi_port1|memory1/S00_AXI) is not"),
    "controller registers": (r"axi control/M01_AXI intc/s_axi\n", "", r"interface (control/M01_AXI|intc/s_axi) is not"),
    "system master": (r"axi ps/M_AXI_HPM0_FPD .*\n", "", "is not connected|reaches nothing"),
    "addresses": (r"assign_bd_address\n", "", "no address: "),
    "one address": (
        r"assign_bd_address\n",
        "assign_bd_address -offset 0xA0000000 -range 0x10000 -target_address_space [get_bd_addr_spaces ps/Data]"
        " [get_bd_addr_segs kernel/s_axi_control/Reg]\n",
        "no address: .*intc/s_axi",
    ),
    "an address left out": (
        r"assign_bd_address\n",
        "assign_bd_address\nexclude_bd_addr_seg [get_bd_addr_segs kernel/Data_m_axi_io/ps/SAXIGP0/HPC0_DDR_LOW]\n",
        "HPC0_DDR_LOW",
    ),
    "overlapping registers": (
        r"assign_bd_address\n",
        "foreach segment {kernel/s_axi_control/Reg intc/S_AXI/Reg} {assign_bd_address -offset 0xA0000000"
        " -range 0x10000 -target_address_space [get_bd_addr_spaces ps/Data] [get_bd_addr_segs $segment]}\n",
        "overlaps",
    ),
    "a port not enabled": (r"  CONFIG.PSU__USE__S_AXI_GP2 .*\n", "", "ps has no (pin|interface) "),
    "a second master left enabled": (
        r"  CONFIG.PSU__USE__M_AXI_GP1 .*\n",
        "",
        "clock pin ps/maxihpm1_fpd_aclk is not connected",
    ),
    "a parameter misspelt": (r"PSU__USE__S_AXI_GP3", "PSU_USE__S_AXI_GP3", "has no parameter PSU_USE__S_AXI_GP3"),
    "an impossible width": (r"(SAXIGP3__DATA_WIDTH) \{128\}", r"\1 {256}", "cannot be '256'; it takes 32 64 128"),
    "one port too few": (r"NUM_SI 3", "NUM_SI 2", "smartconnect memory4 has no interface S02_AXI"),
    "level mode": (r"CONFIG.C_KIND_OF_INTR.VALUE_SRC USER ", "", "intc is not in edge mode"),
    "bus output": (r" CONFIG.C_IRQ_CONNECTION 1", "", "its output is a bus"),
    "no preset": (r"apply_bd_automation .*\n", "", "preset was not applied|has no pin|is not connected"),
    "wrong frequency": (r"REQUESTED_OUT_FREQ 250", "REQUESTED_OUT_FREQ 200", "makes 200 MHz, not 250.0"),
    "past the wizard": (r"wire clock/clk_out1 ", "wire ps/pl_clk0 ", "not on the clock wizard"),
    "two clocks": (
        r"memory0/aclk (ps/saxihp0_fpd_aclk.*)\n",
        r"\1\nwire ps/pl_clk0 memory0/aclk\n",
        "run on clock/clk_out1 and ps/pl_clk0",
    ),
    "clock as reset": (
        r"wire reset/peripheral_aresetn kernel/ap_rst_n",
        "wire clock/clk_out1 kernel/ap_rst_n",
        "cannot drive",
    ),
    "two drivers": (
        r"wire clock/locked ",
        "wire ps/pl_resetn0 kernel/ap_rst_n\nwire clock/locked ",
        "drive one net|twice",
    ),
    "twice": (r"wire intc/irq", "wire kernel/interrupt intc/intr\nwire intc/irq", "intc/intr is connected twice"),
    "two masters": (
        r"axi memory0/M00_AXI ps/S_AXI_HP0_FPD",
        "axi kernel/m_axi_port1 memory0/M00_AXI",
        "are both master",
    ),
    "unknown command": (r"save_bd_design", "save_block_design", "invalid command name"),
    "unknown option": (r"create_bd_cell -type ip", "create_bd_cell -kind ip", "unknown option -kind"),
    "pinned version": (r"proc_sys_reset:\*", "proc_sys_reset:4.0", "no IP matches xilinx.com:ip:proc_sys_reset:4.0"),
    "unknown IP": (r"ip:clk_wiz:", "ip:clock_wizard:", "no IP matches"),
    "unknown pin": (r"clock/clk_out1", "clock/clkout1", "clk_wiz clock has no pin clkout1"),
    "not validated": (r"validate_bd_design\n", "", "generate_target before validate_bd_design"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(tmp_path: Path, build: Build, name: str) -> None:
    pattern, replacement, complaint = MUTANTS[name]
    count = 0

    def change(text: str) -> str:
        nonlocal count
        text, found = re.subn(pattern, replacement, text, count=1)
        count += found
        return text

    ran = build(load_target("kv260"), change)
    assert count == 1, "the mutant is no mutant: its pattern is not in the script"
    assert ran.code != 0
    assert re.search(complaint, ran.errors), ran.errors


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"wns": "-0.35"}, "timing is not met: worst setup slack is '-0.35' ns at 250.0 MHz"),
        ({"whs": "-0.01"}, "timing is not met: worst hold slack is '-0.01' ns"),
        ({"wns": ""}, "timing is not met: worst setup slack is '' ns"),
        ({"fails": "synth_1"}, "synth_1 ended as 'synth_design ERROR': see "),
        ({"fails": "impl_1"}, "impl_1 ended as "),
        ({"hwh": 0}, "generate_target left no tritloom.hwh"),
        ({"boards": "xilinx.com:zcu104:part0:1.1"}, "no board matches xilinx.com:kv260_som:part0:*"),
        ({"ips": "xilinx.com:ip:zynq_ultra_ps_e:3.5"}, "no IP matches xilinx.com:ip:clk_wiz:*"),
        ({"parts": "xc7z020clg400-1"}, "part 'xck26-sfvc784-2LV-c' is not installed"),
    ],
)
def test_a_failure_stops_with_its_reason(
    tmp_path: Path, build: Build, settings: dict[str, object], message: str
) -> None:
    ran = build(load_target("kv260"), **settings)
    assert ran.code == 1
    assert message in ran.errors
    assert not (tmp_path / PRODUCTS).exists()


def test_a_failure_leaves_no_earlier_product(tmp_path: Path, build: Build) -> None:
    target = load_target("kv260")
    assert build(target).code == 0
    assert (tmp_path / PRODUCTS).exists()
    assert build(target, fails="synth_1").code == 1
    assert not (tmp_path / PRODUCTS).exists()


def test_a_description_without_the_kernels_port_is_refused(build: Build) -> None:
    target = load_target("kv260")

    def change(text: str) -> str:
        return text.replace('NAME="m_axi_port2"', 'NAME="m_axi_port9"')

    ran = build(target, change)
    assert 'does not mention NAME="m_axi_port9"' in ran.errors


@pytest.mark.parametrize("board", BOARDS)
def test_no_version_is_pinned_and_the_label_stands(board: str) -> None:
    target = load_target(board)
    files = render_vivado(limits_for(target), target, "0.1.0")
    assert sorted(files) == ["vivado/build.tcl", "vivado/design.tcl"]
    assert "NOT RUN ON HARDWARE" in files["vivado/build.tcl"]
    assert not any(re.search(r"xilinx\.com:ip:\w+:\d", text) for text in files.values())


@pytest.mark.parametrize("board", ["kv260", "pynq-z2"])
def test_another_kernel_goes_through_the_same_template(build: Build, board: str) -> None:
    target = load_target(board)
    kernel = plain_kernel("dataflow", "xilinx.com:hls:dataflow:1.0", [("m_axi_in_", 64), ("m_axi_out", 32)], target)
    assert [master.port for master in kernel.masters] == list(target.ports.names[:2])
    ran = build(target, kernel=kernel)
    assert ran.code == 0, ran.errors
    assert "interface hls_kernel m_axi_in_" in ran.facts


def test_zynq_takes_a_port_of_each_pair_first() -> None:
    target = load_target("pynq-z2")
    assert choose_ports(2, target) == (["S_AXI_HP0", "S_AXI_HP2"], "S_AXI_HP1")
    assert choose_ports(3, target) == (["S_AXI_HP0", "S_AXI_HP2", "S_AXI_HP1"], "S_AXI_HP3")


def test_zynqmp_takes_the_unshared_ports_first() -> None:
    assert choose_ports(2, load_target("kd240")) == (["S_AXI_HP0_FPD", "S_AXI_HP3_FPD"], "S_AXI_HPC0_FPD")


def test_too_many_ports_are_refused() -> None:
    target = load_target("pynq-z2")
    with pytest.raises(InputError) as caught:
        choose_ports(4, target)
    assert caught.value.message == "board 'pynq-z2': all 4 ports carry weights, none is left for gains and io"
    assert caught.value.hint == "give a board file with kernel.ports = 3"
    with pytest.raises(InputError) as caught:
        choose_ports(5, target)
    assert caught.value.message == "the kernel has 5 weight ports, board 'pynq-z2' has 4"


def test_a_board_with_a_port_that_the_script_does_not_know() -> None:
    target = load_target("kv260")
    odd = target.model_copy(update={"ports": target.ports.model_copy(update={"control": "S_AXI_LPD"})})
    with pytest.raises(InputError, match="the script knows no port S_AXI_LPD"):
        render_vivado(limits_for(target), odd, "0.1.0")


def test_notes_name_what_shares_a_port() -> None:
    target = load_target("pynq-z2")
    text = render_vivado(limits_for(target), target, "0.1.0")["vivado/design.tcl"]
    assert "#   m_axi_gains, m_axi_governor, m_axi_io -> S_AXI_HP1\n" in text
    assert "#   S_AXI_HP0 and S_AXI_HP1 share a port of the memory controller\n" in text
    assert "#   smartconnect converts 128 bits to 64\n" in text
    assert engine_kernel(limits_for(target), target).ports() == ("S_AXI_HP0", "S_AXI_HP2", "S_AXI_HP1")


@pytest.mark.parametrize("text", ["a{b", "a}b", "a\\b", "a\nb"])
def test_text_that_braces_cannot_quote(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be quoted in Tcl"):
        tcl_word(text)

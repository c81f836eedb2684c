"""The Vivado script under tclsh, with a strict model of the commands: wiring, refusals, products."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tritloom.analysis import ModelNeeds, default_limits
from tritloom.backend.vivado import choose_ports, render_vivado, tcl_word
from tritloom.errors import InputError
from tritloom.ir.kernel import KernelLimits
from tritloom.targets import Target, list_targets, load_target

STUB = Path(__file__).with_name("stub.tcl")
NEEDS = ModelNeeds(longest_k=1024, vector_words=4000, state_words=2304, instructions=77)
BOARDS = [target.name for target in list_targets()]
IPS = (
    "xilinx.com:ip:zynq_ultra_ps_e:3.3 xilinx.com:ip:zynq_ultra_ps_e:3.5 xilinx.com:ip:processing_system7:5.5 "
    "xilinx.com:ip:proc_sys_reset:5.0 xilinx.com:ip:axi_intc:4.1 xilinx.com:ip:smartconnect:1.0 "
    "xilinx.com:hls:tritloom:1.0"
)

needs_tclsh = pytest.mark.skipif(shutil.which("tclsh") is None, reason="tclsh is not installed")


def _limits(target: Target, ports: int | None = None) -> KernelLimits:
    limits = default_limits(target, NEEDS).as_dict()
    del limits["slices"]
    return KernelLimits(**{**limits, "ports": ports or limits["ports"]})


def _hwh(ports: int) -> str:
    names = [f"m_axi_port{port}" for port in range(ports)]
    interfaces = " ".join(
        f'NAME="{name}"' for name in ("S_AXI_CONTROL", *names, "m_axi_gains", "m_axi_governor", "m_axi_io")
    )
    return f'VLNV="xilinx.com:hls:tritloom:1.0" {interfaces} MODTYPE="axi_intc"'


def _run(folder: Path, text: str, target: Target, ports: int, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a script in `folder`/vivado with the model of Vivado in front of it."""
    (folder / "vivado").mkdir(parents=True)
    script = folder / "vivado" / "build.tcl"
    script.write_text(text)
    board = target.board_part.removesuffix("*")
    values = {
        "wns": "0.2",
        "fails": "",
        "hwh": _hwh(ports),
        "ips": IPS,
        "boards": f"{board}1.0 {board}1.10 {board}1.9",
    }
    values |= {"ports": str(ports), **settings}
    setup = "".join(f"set stub({name}) {{{value}}}\n" for name, value in values.items())
    driver = folder / "driver.tcl"
    driver.write_text(f"{setup}set argv {{}}\nsource {{{STUB}}}\nsource {{{script}}}\nputs $stub_log\n")
    return subprocess.run(["tclsh", driver], capture_output=True, text=True, timeout=20, check=False)


def _script(target: Target, limits: KernelLimits) -> str:
    return render_vivado(limits, target, "0.1.0")["vivado/build.tcl"]


@needs_tclsh
@pytest.mark.parametrize("board", BOARDS)
def test_runs_to_the_end_and_leaves_both_files(tmp_path: Path, board: str) -> None:
    target = load_target(board)
    limits = _limits(target)
    done = _run(tmp_path, _script(target, limits), target, limits.ports)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "overlay").iterdir()) == [
        "tritloom.bit",
        "tritloom.hwh",
    ]
    assert f"board_part {target.board_part.removesuffix('*')}1.10" in done.stdout


@needs_tclsh
@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        (r" kernel/ap_clk", "kernel/ap_clk is not connected"),
        (r" kernel/ap_rst_n", "kernel/ap_rst_n is not connected"),
        (r"wire kernel/interrupt intc/intr\n", "intc/intr is not connected"),
        (r"wire intc/irq ps/pl_ps_irq0\n", "ps/pl_ps_irq0 is not connected"),
        (
            r"axi kernel/m_axi_port1 .*\n",
            "m_axi_port1 is not connected|weights1/S00_AXI is not connected",
        ),
        (r"assign_bd_address\n", "no addresses assigned"),
        (r"  CONFIG.PSU__USE__S_AXI_GP2 .*\n", "has no (pin|interface) "),
        (r" weights0/aclk", "weights0/aclk is not connected"),
    ],
)
def test_a_missing_wire_is_caught(tmp_path: Path, pattern: str, complaint: str) -> None:
    target = load_target("kv260")
    limits = _limits(target)
    mutant, count = re.subn(pattern, "", _script(target, limits), count=1)
    assert count == 1
    done = _run(tmp_path, mutant, target, limits.ports)
    assert done.returncode != 0
    assert re.search(complaint, done.stderr)


@needs_tclsh
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"wns": "-0.35"}, "timing is not met: worst setup slack is '-0.35' ns at 250.0 MHz"),
        ({"fails": "synth_1"}, "synth_1 ended as 'synth_design ERROR': see "),
        ({"fails": "impl_1"}, "impl_1 ended as "),
        ({"hwh": ""}, "generate_target left no tritloom.hwh"),
        (
            {"hwh": 'VLNV="xilinx.com:hls:other:1.0"'},
            'does not mention VLNV="xilinx.com:hls:tritloom:1.0"',
        ),
        ({"hwh": _hwh(2)}, 'does not mention NAME="m_axi_port2"'),
        (
            {"boards": "xilinx.com:zcu104:part0:1.1"},
            "no board matches xilinx.com:kv260_som:part0:*",
        ),
        (
            {"ips": IPS.replace("xilinx.com:hls:tritloom:1.0", "")},
            "no IP matches xilinx.com:hls:tritloom:*",
        ),
    ],
)
def test_a_failure_stops_with_its_reason(tmp_path: Path, settings: dict[str, str], message: str) -> None:
    target = load_target("kv260")
    limits = _limits(target)
    done = _run(tmp_path, _script(target, limits), target, limits.ports, **settings)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "overlay").exists()


@pytest.mark.parametrize("board", BOARDS)
def test_no_version_is_pinned_and_the_label_stands(board: str) -> None:
    target = load_target(board)
    text = _script(target, _limits(target))
    assert "NOT RUN ON HARDWARE" in text
    assert not re.search(r"xilinx\.com:ip:\w+:\d", text)


def test_zynq_takes_a_port_of_each_pair_first() -> None:
    target = load_target("pynq-z2")
    assert choose_ports(_limits(target), target) == (["S_AXI_HP0", "S_AXI_HP2"], "S_AXI_HP1")
    assert choose_ports(_limits(target, 3), target) == (
        ["S_AXI_HP0", "S_AXI_HP2", "S_AXI_HP1"],
        "S_AXI_HP3",
    )


def test_zynqmp_takes_the_unshared_ports_first() -> None:
    target = load_target("kd240")
    assert choose_ports(_limits(target), target) == (
        ["S_AXI_HP0_FPD", "S_AXI_HP3_FPD"],
        "S_AXI_HPC0_FPD",
    )


def test_too_many_ports_are_refused() -> None:
    target = load_target("pynq-z2")
    with pytest.raises(InputError) as caught:
        choose_ports(_limits(target, 4), target)
    assert caught.value.message == "board 'pynq-z2': all 4 ports carry weights, none is left for gains and io"
    assert caught.value.hint == "give a board file with kernel.ports = 3"
    with pytest.raises(InputError) as caught:
        choose_ports(_limits(target, 5), target)
    assert caught.value.message == "the kernel has 5 weight ports, board 'pynq-z2' has 4"


def test_a_board_with_a_port_that_the_script_does_not_know() -> None:
    target = load_target("kv260")
    odd = target.model_copy(update={"ports": target.ports.model_copy(update={"control": "S_AXI_LPD"})})
    with pytest.raises(InputError, match="the script knows no port S_AXI_LPD"):
        render_vivado(_limits(target), odd, "0.1.0")


@pytest.mark.parametrize("text", ["a{b", "a}b", "a\\b", "a\nb"])
def test_text_that_braces_cannot_quote(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be quoted in Tcl"):
        tcl_word(text)

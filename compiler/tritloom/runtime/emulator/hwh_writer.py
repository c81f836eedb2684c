"""The smallest .hwh that pynq's parser takes: a PS, an axi_intc and the kernel, with HLS's usual offsets.

Vitis HLS starts arguments at 0x10. An input takes its words and one reserved word; an output takes its
words, a control word (valid) and is padded to 16 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import quoteattr

from ..hwh import CONTROL
from ..kernel_manifest import Argument, Kernel

_RW, _RO, _WO = "read-write", "read-only", "write-only"
_AXI = 'VLNV="xilinx.com:interface:aximm:1.0"'
_CONTROL_FIELDS = {
    "CTRL": (("AP_START", 0, _RW), ("AP_DONE", 1, _RO), ("AP_IDLE", 2, _RO), ("AP_READY", 3, _RO)),
    "GIER": (("Enable", 0, _RW),),
    "IP_IER": (("CHAN0_INT_EN", 0, _RW), ("CHAN1_INT_EN", 1, _RW)),
    "IP_ISR": (("CHAN0_INT_ST", 0, _RW), ("CHAN1_INT_ST", 1, _RW)),
}
_PS = {
    "zynqmp": ("zynq_ultra_ps_e", "3.5", "M_AXI_HPM0_FPD", "pl_ps_irq0", 0xA000_0000, "zynquplus"),
    "zynq": ("processing_system7", "5.5", "M_AXI_GP0", "IRQ_F2P", 0x4000_0000, "zynq"),
}
_SPAN = 0x1_0000
_PLL_MHZ = {"zynqmp": 1500, "zynq": 1000}
"""The PLL behind the PL clocks, with the reset values of `registers.ps_registers`."""


def write_hwh(path: Path, kernel: Kernel) -> None:
    """Write the .hwh of an overlay that holds `kernel`."""
    path.write_text(_document(kernel), encoding="utf-8")


def _property(name: str, value: object) -> str:
    return f"<PROPERTY NAME={quoteattr(name)} VALUE={quoteattr(str(value))}/>"


def _register(name: str, offset: int, access: str, fields: Iterable[tuple[str, int, str, int]]) -> str:
    inner = "".join(
        f"<FIELD NAME={quoteattr(field)}>{_property('DESCRIPTION', field)}{_property('ACCESS', rights)}"
        f"{_property('BIT_OFFSET', at)}{_property('BIT_WIDTH', width)}</FIELD>"
        for field, at, rights, width in fields
    )
    return (
        f"<REGISTER NAME={quoteattr(name)}>{_property('DESCRIPTION', 'Data signal of ' + name)}"
        f"{_property('ADDRESS_OFFSET', hex(offset))}{_property('SIZE', 32)}{_property('ACCESS', access)}"
        f"{_property('IS_ENABLED', 'true')}<FIELDS>{inner}</FIELDS></REGISTER>"
    )


def _argument(arg: Argument, offset: int) -> tuple[str, int]:
    """The registers of an argument at `offset`, and the next argument's offset."""
    words = arg.bits // 32
    access = _RO if arg.kind == "out" else _WO
    names = [arg.name] if words == 1 else [f"{arg.name}_{word + 1}" for word in range(words)]
    text = "".join(
        _register(name, offset + 4 * word, access, [(arg.name, 0, access, 32)]) for word, name in enumerate(names)
    )
    if arg.kind != "out":
        return text, offset + 4 * (words + 1)
    valid = [(f"{arg.name}_ap_vld", 0, _RO, 1)]
    return text + _register(f"{arg.name}_ctrl", offset + 4 * words, _RO, valid), offset + 16


def _registers(args: Iterable[Argument]) -> str:
    texts = [
        _register(name, offset, _RW, [(field, at, rights, 1) for field, at, rights in _CONTROL_FIELDS[name]])
        for name, offset in CONTROL.items()
    ]
    offset = 0x10
    for arg in args:
        text, offset = _argument(arg, offset)
        texts.append(text)
    return "\n      ".join(texts)


def _clock_parameters(family: str, mhz: float) -> dict[str, object]:
    """The parameters of all four PL clocks that pynq looks for; only clock 0 is on."""
    found: dict[str, object] = {}
    divisor = max(1, min(63, round(_PLL_MHZ[family] / mhz)))
    for clock in range(4):
        if family != "zynq":
            reference = f"PSU__CRL_APB__PL{clock}_REF_CTRL__"
            found[f"PSU__FPGA_PL{clock}_ENABLE"] = int(clock == 0)
            found |= {reference + "DIVISOR0": divisor, reference + "DIVISOR1": 1}
            found |= {reference + "SRCSEL": "IOPLL", reference + "ACT_FREQMHZ": mhz}
        else:
            found[f"PCW_FPGA_FCLK{clock}_ENABLE"] = int(clock == 0)
            fclk = f"PCW_FCLK{clock}_PERIPHERAL_"
            found |= {fclk + "DIVISOR0": divisor, fclk + "DIVISOR1": 1, fclk + "CLKSRC": "IO PLL"}
            found[f"PCW_ACT_FPGA{clock}_PERIPHERAL_FREQMHZ"] = mhz
    return found


def _range(instance: str, bus: str, base: int, master: str) -> str:
    return (
        f'<MEMRANGE ADDRESSBLOCK="Reg" BASENAME="C_BASEADDR" BASEVALUE="0x{base:08X}"'
        f' HIGHNAME="C_HIGHADDR" HIGHVALUE="0x{base + _SPAN - 1:08X}" INSTANCE="{instance}"'
        f' IS_DATA="TRUE" IS_INSTRUCTION="TRUE" MASTERBUSINTERFACE="{master}" MEMTYPE="REGISTER"'
        f' SLAVEBUSINTERFACE="{bus}"/>'
    )


def _document(kernel: Kernel) -> str:
    ps, version, master, irq, base, arch = _PS["zynq" if kernel.family == "zynq" else "zynqmp"]  # a card's kernel, too
    parameters = "".join(
        f'<PARAMETER NAME="{name}" VALUE="{value}"/>'
        for name, value in _clock_parameters(kernel.family, kernel.clock_mhz).items()
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no" ?>
<EDKSYSTEM EDWVERSION="1.2" TIMESTAMP="emulated" VIVADOVERSION="2024.1">
 <SYSTEMINFO ARCH="{arch}" DEVICE="emulated" NAME="tritloom" PACKAGE="p" SPEEDGRADE="-1"/>
 <EXTERNALPORTS/>
 <EXTERNALINTERFACES/>
 <MODULES>
  <MODULE FULLNAME="/{ps}_0" INSTANCE="{ps}_0" IS_PL="FALSE" MODTYPE="{ps}" VLNV="xilinx.com:ip:{ps}:{version}">
   <PARAMETERS>{parameters}</PARAMETERS>
   <PORTS><PORT DIR="I" NAME="{irq}" SIGIS="INTERRUPT"><CONNECTIONS>
     <CONNECTION INSTANCE="axi_intc_0" PORT="irq"/></CONNECTIONS></PORT></PORTS>
   <BUSINTERFACES><BUSINTERFACE NAME="{master}" TYPE="MASTER" {_AXI}/></BUSINTERFACES>
   <MEMORYMAP>{_range("tritloom_0", "s_axi_control", base, master)}
     {_range("axi_intc_0", "s_axi", base + _SPAN, master)}</MEMORYMAP>
  </MODULE>
  <MODULE FULLNAME="/axi_intc_0" INSTANCE="axi_intc_0" MODTYPE="axi_intc" VLNV="xilinx.com:ip:axi_intc:4.1">
   <PARAMETERS/>
   <PORTS>
    <PORT DIR="O" NAME="irq"><CONNECTIONS><CONNECTION INSTANCE="{ps}_0" PORT="{irq}"/></CONNECTIONS></PORT>
    <PORT DIR="I" NAME="intr"><CONNECTIONS>
      <CONNECTION INSTANCE="tritloom_0" PORT="interrupt"/></CONNECTIONS></PORT>
   </PORTS>
   <BUSINTERFACES><BUSINTERFACE NAME="s_axi" TYPE="SLAVE" {_AXI}/></BUSINTERFACES>
  </MODULE>
  <MODULE FULLNAME="/tritloom_0" INSTANCE="tritloom_0" MODTYPE="tritloom" VLNV={quoteattr(kernel.vlnv)}>
   <ADDRESSBLOCKS><ADDRESSBLOCK ACCESS="read-write" INTERFACE="s_axi_control" NAME="Reg"
      RANGE="{_SPAN}" USAGE="register"><REGISTERS>
      {_registers(kernel.args)}
   </REGISTERS></ADDRESSBLOCK></ADDRESSBLOCKS>
   <PARAMETERS><PARAMETER NAME="C_S_AXI_CONTROL_ADDR_WIDTH" VALUE="10"/></PARAMETERS>
   <PORTS><PORT DIR="O" NAME="interrupt" SIGIS="INTERRUPT"><CONNECTIONS>
      <CONNECTION INSTANCE="axi_intc_0" PORT="intr"/></CONNECTIONS></PORT></PORTS>
   <BUSINTERFACES><BUSINTERFACE NAME="s_axi_control" TYPE="SLAVE" {_AXI}/></BUSINTERFACES>
  </MODULE>
 </MODULES>
</EDKSYSTEM>
"""

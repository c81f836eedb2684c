"""Behaviour of the 7-series block RAMs, for simulating netlists.

UG473: ports and organisations of RAMB18E1 and RAMB36E1.

A read of a word that is written in the same cycle gives the old one. No output registers, resets, cascades or ECC:
yosys connects none of them here.
"""

from __future__ import annotations


def block_ram_models() -> str:
    return _model("RAMB18E1", bits=16384, address=14, data=16) + _model("RAMB36E1", bits=32768, address=16, data=32)


def _model(name: str, bits: int, address: int, data: int) -> str:
    """`bits` of data and an eighth of it parity; each port `data` wide, both together in the SDP mode."""
    rows = bits // 256
    parity = data // 8
    parameters = [f"parameter [255:0] INIT_{row:02X} = 0" for row in range(rows)]
    parameters += [f"parameter [255:0] INITP_{row:02X} = 0" for row in range(rows // 8)]
    parameters += [f"parameter {text} = 0" for text in ("DOA_REG", "DOB_REG", "INIT_A", "INIT_B", "SRVAL_A", "SRVAL_B")]
    parameters += [f"parameter integer {way}_WIDTH_{port} = 0" for way in ("READ", "WRITE") for port in "AB"]
    texts = ("RAM_MODE", "WRITE_MODE_A", "WRITE_MODE_B", "RAM_EXTENSION_A", "RAM_EXTENSION_B", "SIM_DEVICE")
    parameters += [f'parameter {text} = ""' for text in texts]
    controls = (
        "CLKARDCLK CLKBWRCLK ENARDEN ENBWREN REGCEAREGCE REGCEB RSTRAMARSTRAM RSTRAMB RSTREGARSTREG RSTREGB".split()
    )
    ports = [f"input {control}" for control in controls]
    ports += [f"input [{address - 1}:0] {port}" for port in ("ADDRARDADDR", "ADDRBWRADDR")]
    ports += [f"input [{data - 1}:0] DIADI, DIBDI", f"input [{parity - 1}:0] DIPADIP, DIPBDIP"]
    ports += [f"input [{parity - 1}:0] WEA", f"input [{2 * parity - 1}:0] WEBWE"]
    ports += [f"output [{data - 1}:0] DOADO, DOBDO", f"output [{parity - 1}:0] DOPADOP, DOPBDOP"]
    initial = " ".join(f"data[{256 * row}+:256] = INIT_{row:02X};" for row in range(rows))
    initial += " ".join(f"parity[{256 * row}+:256] = INITP_{row:02X};" for row in range(rows // 8))
    return f"""
module {name} #({", ".join(parameters)}) ({", ".join(ports)});
  reg [{bits - 1}:0] data;
  reg [{bits // 8 - 1}:0] parity;
  reg [{2 * data - 1}:0] read_a = 0;
  reg [{2 * parity - 1}:0] parity_a = 0;
  reg [{data - 1}:0] read_b = 0;
  reg [{parity - 1}:0] parity_b = 0;
  initial begin {initial} end
  localparam WIDE = RAM_MODE == "SDP";
  // Data bits of a word; its first bit.
  function integer width(input integer ports); width = ports >= 9 ? ports / 9 * 8 : ports; endfunction
  function integer place(input [15:0] address, input integer ports);
    place = ports ? address % {bits} / width(ports) * width(ports) : 0;
  endfunction
  wire [{2 * data - 1}:0] in_b = WIDE ? {{DIBDI, DIADI}} : DIBDI;
  wire [{2 * parity - 1}:0] in_parity_b = WIDE ? {{DIPBDIP, DIPADIP}} : DIPBDIP;
  integer i;
  // A word that is narrower than the port comes in low.
  wire [{2 * data - 1}:0] written_b = WIDE && WRITE_WIDTH_B <= {data // 8 * 9} ? DIBDI : in_b;
  wire [{2 * parity - 1}:0] written_parity_b = WIDE && WRITE_WIDTH_B <= {data // 8 * 9} ? DIPBDIP : in_parity_b;
  always @(posedge CLKARDCLK) if (ENARDEN) begin
    if (READ_WIDTH_A) begin
      read_a <= data[place(ADDRARDADDR, READ_WIDTH_A)+:{2 * data}];
      parity_a <= parity[place(ADDRARDADDR, READ_WIDTH_A)/8+:{2 * parity}];
    end
    if (WRITE_WIDTH_A) for (i = 0; i < {data}; i = i + 1) if (i < width(WRITE_WIDTH_A) && WEA[i/8]) begin
      data[place(ADDRARDADDR, WRITE_WIDTH_A)+i] <= DIADI[i];
      if (i % 8 == 0) parity[place(ADDRARDADDR, WRITE_WIDTH_A)/8+i/8] <= DIPADIP[i/8];
    end
  end
  always @(posedge CLKBWRCLK) if (ENBWREN) begin
    if (READ_WIDTH_B) begin
      read_b <= data[place(ADDRBWRADDR, READ_WIDTH_B)+:{data}];
      parity_b <= parity[place(ADDRBWRADDR, READ_WIDTH_B)/8+:{parity}];
    end
    if (WRITE_WIDTH_B) for (i = 0; i < {2 * data}; i = i + 1) if (i < width(WRITE_WIDTH_B) && WEBWE[i/8]) begin
      data[place(ADDRBWRADDR, WRITE_WIDTH_B)+i] <= written_b[i];
      if (i % 8 == 0) parity[place(ADDRBWRADDR, WRITE_WIDTH_B)/8+i/8] <= written_parity_b[i/8];
    end
  end
  assign {{DOBDO, DOADO}} = WIDE ? read_a : {{read_b, read_a[{data - 1}:0]}};
  assign {{DOPBDOP, DOPADOP}} = WIDE ? parity_a : {{parity_b, parity_a[{parity - 1}:0]}};
endmodule
"""

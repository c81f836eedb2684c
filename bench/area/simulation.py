"""Runs a netlist on Icarus Verilog, cycle by cycle, and compares it with what Python computed.

In cycle t the inputs have their t-th value; outputs are read before the clock edge that ends the cycle.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .primitives import block_ram_models
from .synthesis import cell_models

Value = int | None
"""None: whatever it is, unknown included."""


@dataclass(frozen=True)
class Port:
    """Value of a port in each cycle; negative ones in two's complement."""

    width: int
    values: Sequence[Value]

    def bits(self, cycle: int) -> str:
        return format((self.values[cycle] or 0) & ((1 << self.width) - 1), f"0{self.width}b")


@dataclass(frozen=True)
class Trace:
    """Inputs and the outputs expected of them."""

    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]

    @property
    def cycles(self) -> int:
        return len(next(iter(self.inputs.values())).values)


@dataclass(frozen=True)
class Stream:
    """Words that go in with in_valid and in_ready, words that come out with out_valid and out_ready, in order.

    Both sides pause at random. `always_ready`: the block has no out_ready.
    """

    in_width: int
    words_in: Sequence[int]
    out_width: int
    words_out: Sequence[int]
    always_ready: bool = False

    @property
    def cycles(self) -> int:
        """More than are needed: what comes too much must show."""
        return 8 * (len(self.words_in) + len(self.words_out)) + 2000


class Mismatch(Exception):
    """The netlist does not compute what Python does."""


def bench(top: str, trace: Trace) -> str:
    """Testbench: inputs from a file, one line a cycle; outputs printed, one line a cycle."""
    inputs = sum(port.width for port in trace.inputs.values())
    outputs = sum(port.width for port in trace.outputs.values())
    connections, places = [], []
    low = inputs
    for name, port in trace.inputs.items():
        low -= port.width
        connections.append(f".{name}(in[{low}+:{port.width}])")
    low = outputs
    for name, port in trace.outputs.items():
        low -= port.width
        places.append(f".{name}(out[{low}+:{port.width}])")
    return f"""`timescale 1ps/1ps
module bench;
  reg clk = 0;
  reg [{inputs - 1}:0] stimulus[0:{trace.cycles - 1}];
  reg [{inputs - 1}:0] in;
  wire [{outputs - 1}:0] out;
  integer t;
  {top} dut(.clk(clk), {", ".join(connections)}, {", ".join(places)});
  initial begin
    $readmemb("stimulus.txt", stimulus);
    #100000;
    for (t = 0; t < {trace.cycles}; t = t + 1) begin
      in = stimulus[t];
      #50000 $display("%b", out);
      clk = 1;
      #50000 clk = 0;
    end
    $finish;
  end
endmodule
"""


def stream_bench(top: str, stream: Stream) -> str:
    """Testbench of a stream: prints the words that come out."""
    ready = "" if stream.always_ready else ".out_ready(out_ready), "
    return f"""`timescale 1ps/1ps
module bench;
  reg clk = 0, offer = 0, out_ready = 0;
  reg [{stream.in_width - 1}:0] stimulus[0:{len(stream.words_in)}];
  wire [{stream.out_width - 1}:0] out;
  wire in_ready, out_valid;
  integer t, next = 0;
  wire in_valid = offer && next < {len(stream.words_in)};
  wire [{stream.in_width - 1}:0] in_data = in_valid ? stimulus[next] : {{{stream.in_width}{{1'bx}}}};
  {top} dut(.clk(clk), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data),
    {ready}.out_valid(out_valid), .out_data(out));
  initial begin
    $readmemb("stimulus.txt", stimulus);
    #100000;
    for (t = 0; t < {stream.cycles}; t = t + 1) begin
      if (!(in_valid && !in_ready)) offer = $urandom_range(3) != 0;
      // Now and then nothing is taken, so that the block fills up.
      out_ready = {int(stream.always_ready)} || (t / 200 % 2 && $urandom_range(3) != 0);
      #50000;
      if (out_valid !== 0 && out_ready) $display("%b", out);
      clk = 1;
      if (in_valid && in_ready) begin #1 next = next + 1; offer = 0; end
      #50000 clk = 0;
    end
    $finish;
  end
endmodule
"""


def simulate(top: str, trace: Trace | Stream, folder: Path) -> int:
    """Runs `netlist.v` of `folder`; returns the values compared, raises Mismatch at the first that differs."""
    if isinstance(trace, Stream):
        text = stream_bench(top, trace)
        lines = [Port(trace.in_width, [word]).bits(0) for word in trace.words_in]
    else:
        text = bench(top, trace)
        lines = ["".join(port.bits(t) for port in trace.inputs.values()) for t in range(trace.cycles)]
    (folder / "bench.v").write_text(text)
    (folder / "block_ram.v").write_text(block_ram_models())
    (folder / "stimulus.txt").write_text("\n".join(lines) + "\n")
    models = _without_black_boxes(cell_models().read_text())
    (folder / "cells.v").write_text(models)
    run = ["iverilog", "-g2005-sv", "-o", "bench.vvp", "-s", "bench", "bench.v", "netlist.v", "cells.v", "block_ram.v"]
    for command in (run, ["vvp", "-n", "bench.vvp"]):
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise RuntimeError(f"{' '.join(command)}:\n{ran.stdout[-1000:]}{ran.stderr[-2000:]}")
    lines = [line for line in ran.stdout.split("\n") if line and set(line) <= set("01xz")]
    return compare_words(trace, lines) if isinstance(trace, Stream) else compare(trace, lines)


def compare_words(stream: Stream, lines: Sequence[str]) -> int:
    expected = [Port(stream.out_width, [word]).bits(0) for word in stream.words_out]
    for number, (found, right) in enumerate(zip(lines, expected, strict=False)):
        if found != right:
            raise Mismatch(f"word {number} is {found}, not {right}")
    if len(lines) != len(expected):
        raise Mismatch(f"{len(lines)} words came out, not {len(expected)}")
    return len(expected)


def compare(trace: Trace, lines: Sequence[str]) -> int:
    if len(lines) != trace.cycles:
        raise Mismatch(f"{len(lines)} cycles came out, not {trace.cycles}")
    compared = 0
    for cycle, line in enumerate(lines):
        at = 0
        for name, port in trace.outputs.items():
            found, at = line[at : at + port.width], at + port.width
            if port.values[cycle] is None:
                continue
            if found != port.bits(cycle):
                raise Mismatch(f"cycle {cycle}: {name} is {found}, not {port.bits(cycle)}")
            compared += 1
    if not compared:
        raise Mismatch("nothing was compared")
    return compared


def simulator() -> str | None:
    """Where Icarus Verilog is, if it is installed."""
    return shutil.which("iverilog")


def _without_black_boxes(models: str) -> str:
    """yosys ships the block RAMs without behaviour: ours take their place."""
    kept, skipping = [], False
    for line in models.splitlines():
        skipping = skipping or line.startswith(("module RAMB18E1", "module RAMB36E1"))
        if not skipping:
            kept.append(line)
        if line.startswith("endmodule"):
            skipping = False
    return "\n".join(kept) + "\n"

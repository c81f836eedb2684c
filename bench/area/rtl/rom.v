// Read-only memory with a registered output.
module rom #(
    parameter WIDTH = 32,
    parameter DEPTH = 64,
    parameter BLOCK = 0,  // block RAM rather than LUTs
    parameter ADDRESS = $clog2(DEPTH)
) (
    input clk,
    input [ADDRESS-1:0] address,
    output reg [WIDTH-1:0] data
);
  generate
    if (BLOCK) begin : block
      (* rom_style = "block" *) reg [WIDTH-1:0] words[0:DEPTH-1];
      initial $readmemh("rom.hex", words);
      always @(posedge clk) data <= words[address];
    end else begin : distributed
      (* rom_style = "logic" *) reg [WIDTH-1:0] words[0:DEPTH-1];
      initial $readmemh("rom.hex", words);
      always @(posedge clk) data <= words[address];
    end
  endgenerate
endmodule

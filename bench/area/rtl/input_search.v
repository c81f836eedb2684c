// float32 to a code by a binary search among the floats at which the code changes, read as ordered integers.
module input_search #(
    parameter BITS = 8,
    parameter BLOCK_FROM = 9
) (
    input clk,
    input [31:0] x,
    output [BITS-1:0] code
);
  search #(
      .KEY(32),
      .STEPS(BITS),
      .BLOCK_FROM(BLOCK_FROM)
  ) stages (
      .clk(clk),
      .key(x ^ {1'b0, {31{x[31]}}}),
      .channel(1'b0),
      .code(code)
  );
endmodule

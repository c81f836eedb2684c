// Code = how many of the LEVELS thresholds a sum reaches, all compared at once.
module thresholds #(
    parameter ACC = 24,
    parameter LEVELS = 3,
    parameter OUT = $clog2(LEVELS + 1)
) (
    input clk,
    input signed [ACC-1:0] total,
    input [LEVELS*ACC-1:0] thresholds,
    output reg [OUT-1:0] code
);
  reg [LEVELS-1:0] reached;
  integer i;
  always @(posedge clk) for (i = 0; i < LEVELS; i = i + 1) reached[i] <= total >= $signed(thresholds[i*ACC+:ACC]);

  reg [OUT-1:0] count;
  always @* begin
    count = 0;
    for (i = 0; i < LEVELS; i = i + 1) count = count + reached[i];
  end
  always @(posedge clk) code <= count;
endmodule
